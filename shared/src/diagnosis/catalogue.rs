//! The table of all failures: one row per code, with every text that does not depend on more than names and ids.
//!
//! **The order of the rows is the order of causes**: what stands above explains what stands below (a missing pod label explains a
//! missing variable, which explains a refused token). [`super::first_cause`] relies on it.
//!
//! `{names}` in braces are filled in by [`super::Diagnosis::of`]; commands stand in backticks. The documentation is generated from
//! the same texts: `cargo testbed docs`.

use std::fmt;

/// The reason of the Kubernetes event that tells a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventReason {
    /// `ErrAzureVault`, as akv2k8s says of everything on the way from the vault to the value.
    ErrAzureVault,
    /// `ErrResourceExists`, as akv2k8s says of outputs that belong to others.
    ErrResourceExists,
    /// The code itself: akv2k8s has no word for it.
    Itself,
}

/// A part of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its rows, in the order of causes.
    pub codes: &'static [Code],
}

/// What the catalogue says of a code. Markdown; `{name}` stands for what only an actual failure knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// By what it is recognised, and what that means.
    pub seen: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// The event's reason.
    pub event: EventReason,
    /// When it is tried again: `soon`, `slowly`, `edit` or `start`; an empty text where nothing of ours tries.
    pub again: &'static str,
}

/// Declares [`Code`], [`Code::row`] and [`SECTIONS`]: `Name, event, "tried again", "seen", "cause", "fix";`.
macro_rules! catalogue {
    ($($title:literal { $($code:ident, $event:ident, $again:literal, $seen:literal, $cause:literal, $fix:literal;)* })*) => {
        /// A stable code of the failure catalogue. Its name is the condition's reason, the event's note and the metric's label.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $seen] $code,)*)*
        }

        impl Code {
            /// Every code, in the order of causes.
            pub const ALL: &[Self] = &[$($(Self::$code,)*)*];

            /// The code as written in conditions, events, logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$code => stringify!($code),)*)*
                }
            }

            /// What the catalogue says of it.
            pub fn row(self) -> Row {
                match self {
                    $($(Self::$code => Row {
                        seen: $seen, cause: $cause, fix: $fix, event: EventReason::$event, again: $again,
                    },)*)*
                }
            }
        }

        /// The catalogue by sections, in the order of causes.
        pub const SECTIONS: &[Section] = &[$(Section { title: $title, codes: &[$(Code::$code,)*] },)*];
    };
}

impl Code {
    /// Where the documentation explains it.
    pub fn link(self) -> String {
        const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/troubleshooting.md#");
        format!("{PAGE}{}", self.as_str().to_ascii_lowercase())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

catalogue! {
"The installation" {
    CrdNotInstalled, Itself, "",
        "The cluster does not know the resource AzureKeyVaultSecret, or not in version v2beta1.",
        "Its definition was never applied, or is another program's.",
        "Apply it: `akv2k8s-controller crd | kubectl apply --server-side -f -`";
    ControllerNotRunning, Itself, "",
        "No controller holds the Lease, its Deployment has no available replica, or nobody has worked on an object.",
        "No controller is running, or it does not watch that namespace or label.",
        "Look at its pods and their logs: `kubectl get pods --namespace {namespace}`";
}
"The specification" {
    InvalidSpec, Itself, "edit; slowly for `keyFormat: raw` of an EC key",
        "A field has a value that cannot be; the message names the field.",
        "The specification asks for something that cannot be.",
        "Correct the field, for example with `kubectl edit akvs`";
    DataKeyMissing, Itself, "edit",
        "Nothing says under which key the value goes.",
        "The output has no dataKey, and its type does not decide the key.",
        "Write dataKey.";
    DataKeyInvalid, Itself, "edit; slowly when the key comes from a multi-key value",
        "Kubernetes does not allow that key.",
        "A key holds letters, digits, hyphens, underscores and dots only, is no longer than 253 characters, and is neither . nor .. nor begins with ..",
        "In the specification: correct dataKey. In a multi-key value: correct the pair in the vault.";
}
"The env injector" {
    ServingCertificateUnusable, Itself, "soon",
        "The injector's own certificates, or those in the folder of `TLS_CERT_DIR`, cannot be read, or key and certificate do not belong together; the message names the part.",
        "Somebody or something else changed them.",
        "Restore them; they are read again by themselves.";
    WrapperOutdated, Itself, "",
        "A pod asks the broker for a token, as wrappers of akv2k8s 1.x did.",
        "The pod was prepared before this injector was installed. The broker gives values, not tokens.",
        "Re-create the pod, which prepares it anew: `kubectl rollout restart {workload} --namespace {namespace}`";
    PodTokenRefused, Itself, "",
        "The broker does not accept the token it was sent: it is expired, for another audience, not bound to a pod, or its pod is gone.",
        "The wrapper sends the token that the kubelet keeps fresh in the pod; this is another one, or the pod is being deleted.",
        "Nothing to do if the pod is being deleted. Else re-create the pod.";
    PodNotPrepared, Itself, "",
        "A pod asks the broker for values, and none of its containers starts the wrapper.",
        "The broker gives values to pods that the injector prepared, and this one it did not.",
        "See that the injector is installed, then re-create the pod.";
    InjectionNotEnabled, Itself, "",
        "A pod asks the broker for values, and its namespace lacks the label `azure-key-vault-env-injection: enabled`.",
        "Whoever runs the namespace has not switched injection on, or has switched it off.",
        "Label the namespace: `kubectl label namespace {namespace} azure-key-vault-env-injection=enabled`";
    BrokerRequestInvalid, Itself, "",
        "The broker does not understand a request: it is too large or too slow, or holds something that is no reference.",
        "The wrapper is of another version than the broker, or the request does not come from a wrapper.",
        "Re-create the pod, which gives it the wrapper that fits.";
    BrokerBusy, Itself, "",
        "A pod asks the broker for values more often than its share.",
        "One pod may ask 30 times at once, then every two seconds.",
        "Nothing to do if it passes: it is tried again. Else see why the containers start so often.";
}
"Grants" {
    VaultGrantsUnreadable, Itself, "soon after the file was corrected",
        "The file of `--vault-grants` is missing, cannot be read or breaks its own rules; the message names line and key.",
        "Without readable grants nothing is allowed when the program starts; later, the rules last read stay in force.",
        "Correct the file; it is read again by itself.";
    VaultNotGranted, Itself, "when the grants or the labels of the namespace change",
        "No rule of the grants lets this namespace have this object. Nothing was asked of Entra or the vault.",
        "Rules exist, so what no rule allows is denied.",
        "Add a rule for this namespace, vault and object to the grants, or name another vault.";
}
"Workload identity in the cluster" {
    OidcIssuerNotEnabled, ErrAzureVault, "slowly",
        "The ServiceAccount token names an issuer that only the cluster itself can reach, such as `https://kubernetes.default.svc`.",
        "The cluster has no public OIDC issuer, so Entra cannot check its tokens (the token's issuer is '{issuer}').",
        "Enable issuer and workload identity, then re-create the pods: `az aks update --resource-group GROUP --name CLUSTER --enable-oidc-issuer --enable-workload-identity`";
    WorkloadIdentityWebhookMissing, Itself, "",
        "The cluster has no mutating webhook of workload identity.",
        "Nothing gives pods their token file and variables: workload identity is not enabled on this cluster, or its webhook was removed.",
        "Enable it, then re-create the pods: `az aks update --resource-group GROUP --name CLUSTER --enable-oidc-issuer --enable-workload-identity`";
    ServiceAccountIdentitiesOff, Itself, "edit; start with the other flag",
        "`spec.vault.serviceAccountName` is set, and controller or env injector was not started with `--service-account-identities`.",
        "Reading vaults as somebody's ServiceAccount is off in this installation, and the installation's own identity does not step in.",
        "Start controller and env injector with --service-account-identities, or leave serviceAccountName out to read with the installation's own identity.";
    ServiceAccountNotFound, Itself, "slowly",
        "The ServiceAccount does not exist.",
        "The namespace has no ServiceAccount of that name; a Deployment's name is often taken for it.",
        "Create it, or correct the name: `kubectl get serviceaccounts --namespace {namespace}`";
    ServiceAccountNotAnnotated, Itself, "slowly",
        "The ServiceAccount lacks the annotation `azure.workload.identity/client-id`.",
        "The annotation says which identity the ServiceAccount stands for; without it there is none.",
        "Annotate it, then re-create its pods: `kubectl annotate serviceaccount {serviceaccount} --namespace {namespace} azure.workload.identity/client-id={client_id}`";
    ServiceAccountForbidden, Itself, "slowly",
        "Controller or env injector may not look at the ServiceAccount, or not ask for its token (`TokenRequest`).",
        "No RoleBinding in the namespace gives it the right.",
        "Let the namespace in: `kubectl create rolebinding akv2k8s-controller-identities --namespace {namespace} --clusterrole akv2k8s-service-account-identities --serviceaccount {controller}`";
    ServiceAccountTokenRefused, Itself, "slowly",
        "An admission policy keeps the ServiceAccount's token from controller or env injector (`TokenRequest`).",
        "Most often the namespace lacks the label that the policy of examples/isolation asks for.",
        "Label the namespace: `kubectl label namespace {namespace} akv2k8s.spv.no/service-account-identities=enabled`";
    TokenRequestsUnrestricted, Itself, "",
        "`akv2k8s-controller doctor` asked in dry run for a ServiceAccount's token that is not for Entra, and no admission policy refused it.",
        "The policy of examples/isolation is not there, or it is pinned to another user than this controller's ({user}). Whoever steals the controller's token can become any ServiceAccount of the namespaces that were let in.",
        "Add '{user}' to the list of users in both policies of examples/isolation/01-cluster.yaml, and apply it: `kubectl apply -f examples/isolation/01-cluster.yaml`";
    WorkloadIdentityLabelMissing, Itself, "",
        "The pod lacks the label `azure.workload.identity/use: \"true\"`.",
        "The webhook looks at pods with this label only. On a Deployment it belongs into spec.template.metadata.labels; on the Deployment itself or on the ServiceAccount it does nothing.",
        "Put it on the pod template: `kubectl patch {workload} --namespace {namespace} --patch '{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"azure.workload.identity/use\":\"true\"}}}}}'`";
    PodOlderThanSetUp, Itself, "",
        "The pod was created before its ServiceAccount was annotated, or before the webhook was there.",
        "The webhook changes pods only when they are created.",
        "Re-create the pod: `kubectl rollout restart {workload} --namespace {namespace}`";
    ClientIdMismatch, Itself, "",
        "The annotation of the ServiceAccount differs from `AZURE_CLIENT_ID` in the pod.",
        "The ServiceAccount says {expected}, the pod {actual}: the annotation changed after the pod was created, or the pod sets the variable itself.",
        "Take AZURE_CLIENT_ID out of the pod's own variables, and re-create the pod: `kubectl rollout restart {workload} --namespace {namespace}`";
}
"Environment and files" {
    TrustStoreUnreadable, ErrAzureVault, "start",
        "`SSL_CERT_FILE` or `SSL_CERT_DIR` has no usable certificate.",
        "The certificate authorities that are to be trusted cannot be read.",
        "Point it to a readable file of PEM certificates, or remove both.";
    AuthTypeUnknown, ErrAzureVault, "start",
        "`AUTH_TYPE` names no method.",
        "AUTH_TYPE is '{actual}'.",
        "Set it to one of: {expected}";
    CloudUnknown, ErrAzureVault, "slowly for the file, start for the variable",
        "`AZURE_ENVIRONMENT` names no cloud, or the file of `AZURE_ENVIRONMENT_FILEPATH` cannot be used.",
        "The cloud decides where Entra and vaults are, so nothing can be asked.",
        "Set AZURE_ENVIRONMENT to the cloud's name, or AZURE_ENVIRONMENT_FILEPATH to a JSON file with activeDirectoryEndpoint, keyVaultDNSSuffix and resourceIdentifiers.keyVault; leave both out for the public cloud.";
    CloudConfigUnreadable, ErrAzureVault, "slowly",
        "`/etc/kubernetes/azure.json` is missing, cannot be read, or holds no credential.",
        "The file is there on AKS nodes only and belongs to root; a pod security policy may keep it from the pod.",
        "Mount the node's file and run as root, or choose another method: AUTH_TYPE=workloadIdentity.";
    CloudConfigMsiPlaceholder, ErrAzureVault, "slowly",
        "`azure.json` says `aadClientId: msi`, and `useManagedIdentityExtension` is not true.",
        "The word msi stands for the node's managed identity; it is no application's id.",
        "Set useManagedIdentityExtension to true in the file, or choose another method: AUTH_TYPE=workloadIdentity.";
    VariableMalformed, ErrAzureVault, "start",
        "The value of an `AZURE_…` variable has quotes at an end; in a pod or an annotation of a ServiceAccount also blanks.",
        "Quotes and blanks at its ends belong to YAML or to the shell, not to the value; here they came along.",
        "Write the value without them (in YAML, quotes around the whole value are enough): {names}";
    SecretShadowsWorkloadIdentity, ErrAzureVault, "slowly",
        "`AZURE_CLIENT_SECRET` is set beside `AZURE_FEDERATED_TOKEN_FILE`, and does not work.",
        "Methods are tried in an order, and the client secret comes before workload identity, which is set up as well.",
        "Remove the variable AZURE_CLIENT_SECRET, or choose explicitly: AUTH_TYPE=workloadIdentity";
    WorkloadIdentityIncomplete, ErrAzureVault, "slowly",
        "Some of `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE` are set, not all.",
        "The ServiceAccount names no identity, or the workload identity webhook did not see this pod.",
        "Annotate the ServiceAccount with azure.workload.identity/client-id, label the pod azure.workload.identity/use=true, and re-create the pod.";
    EnvironmentIncomplete, ErrAzureVault, "slowly; start for the proxy",
        "A method is configured in part: the message names what is missing for each. Or `HTTPS_PROXY` is no URL of an HTTP proxy.",
        "Every method needs all of its variables.",
        "Set what is missing, or remove the rest of that method.";
    TokenFileUnreadable, ErrAzureVault, "slowly",
        "The ServiceAccount token of `AZURE_FEDERATED_TOKEN_FILE` is missing, empty, or no token.",
        "Its volume is not mounted, or somebody else's file is.",
        "Check that the workload identity webhook mounted its volume: pod label azure.workload.identity/use=true, then re-create the pod.";
    FederatedAudienceWrong, ErrAzureVault, "slowly",
        "The ServiceAccount token is for another audience than `api://AzureADTokenExchange`.",
        "The token's audience is '{audience}': it is the API server's own token, or a volume with another audience.",
        "Let the workload identity webhook mount the token, or write audience: api://AzureADTokenExchange in the volume's serviceAccountToken source.";
    ClientCertificateUnreadable, ErrAzureVault, "slowly",
        "The certificate of `AZURE_CLIENT_CERTIFICATE_PATH` (or `AZURE_CERTIFICATE_PATH`) or `aadClientCertPath` is missing, has another password, or lacks its private key.",
        "It must be a PFX or PEM file with certificate and key.",
        "Mount the file, and give its password in AZURE_CLIENT_CERTIFICATE_PASSWORD (aadClientCertPassword in azure.json).";
    AuthMethodUnsupported, ErrAzureVault, "slowly",
        "What is configured is known, and not offered here: Azure PowerShell, Azure Developer CLI or a browser; the managed identity of Azure Arc, Service Fabric or Cloud Shell.",
        "These belong to a person's computer, or to a platform on which Kubernetes pods do not run.",
        "Choose a method that works in a pod: AUTH_TYPE=workloadIdentity";
    AppServiceIdentityMissing, ErrAzureVault, "slowly",
        "Only one of `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` is set (or of `MSI_ENDPOINT` and `MSI_SECRET`).",
        "App Service sets both when a managed identity is assigned to the app.",
        "Assign an identity to the app, or remove the variable.";
    AzureCliMissing, ErrAzureVault, "slowly",
        "`az` is not on the `PATH`.",
        "The Azure CLI is meant for people's computers; images of programs do not have it.",
        "Install the Azure CLI, or in a cluster choose another method: AUTH_TYPE=workloadIdentity";
    AzureCliLoggedOut, ErrAzureVault, "slowly",
        "The Azure CLI asks to run `az login`.",
        "Nobody is logged in, or the login has expired.",
        "Log in: `az login`";
    AzureCliFailed, ErrAzureVault, "slowly",
        "The Azure CLI failed, took too long, or printed no token.",
        "The message has its own words.",
        "Try it by hand: `az account get-access-token --output json --resource https://vault.azure.net`";
}
"Managed identity" {
    ImdsUnreachable, ErrAzureVault, "soon",
        "Nothing answers at the address of the instance metadata service.",
        "This is not an Azure node, or a network policy or aad-pod-identity blocks the address.",
        "On AKS use workload identity: label the pod azure.workload.identity/use=true and annotate its ServiceAccount with azure.workload.identity/client-id.";
    ImdsGateway, ErrAzureVault, "soon",
        "502 or 504: something answered in place of the instance metadata service.",
        "Something between this pod and the metadata service answered in its place, most often a proxy.",
        "Add 169.254.169.254 to NO_PROXY.";
    PodIdentityNotReady, ErrAzureVault, "soon",
        "aad-pod-identity says `no azure identity found for request clientID`.",
        "aad-pod-identity answers in place of the metadata service and has not assigned the identity to this pod yet (20 s, on scale sets 60 s), or the pod's label aadpodidbinding is not its binding's selector.",
        "Wait a minute; then compare: `kubectl get azureidentitybindings --all-namespaces --output custom-columns=NAME:.metadata.name,SELECTOR:.spec.selector`. To use the node's identity instead, add an AzurePodIdentityException for this pod.";
    ImdsAmbiguousIdentity, ErrAzureVault, "slowly",
        "400: the node has several managed identities, and none was named.",
        "Several managed identities are on this node, and none was named.",
        "Set AZURE_CLIENT_ID to the client id of the one that may read the vault.";
    ImdsIdentityNotAssigned, ErrAzureVault, "slowly; soon for the first two minutes",
        "400 `Identity not found`: the node has no such identity, or not yet, or it was deleted.",
        "No such identity is assigned to this node, or not yet, or it was deleted.",
        "Check AZURE_CLIENT_ID (the client id, not the object id), and assign the identity to the node pool: `az vmss identity assign --resource-group NODE_GROUP --name SCALE_SET --identities ID`";
    ImdsThrottled, ErrAzureVault, "soon",
        "429, or 5xx again and again: the metadata service asks to slow down, or is failing.",
        "Too many token requests on this node, or the metadata service has a problem of its own.",
        "Nothing to do: it is asked again with growing pauses.";
}
"Entra ID" {
    TenantNotFound, ErrAzureVault, "slowly",
        "`AADSTS90002`, `AADSTS900023`: no such tenant; or `AZURE_TENANT_ID` is no id.",
        "AZURE_TENANT_ID is {tenant_id}.",
        "Set AZURE_TENANT_ID to the tenant's id: `az account show --query tenantId`";
    ManagedIdentityNotFound, ErrAzureVault, "slowly",
        "`AADSTS700016` after a ServiceAccount token was sent: nothing has that client id.",
        "The managed identity was deleted or never existed, the annotation has its object id in place of its client id, or the tenant is another.",
        "Look for it: `az identity list --query \"[?clientId=='{client_id}']\"`. If it is gone: create it anew, federate it, give it its role, and write its new client id into the annotation azure.workload.identity/client-id.";
    AppNotFoundInTenant, ErrAzureVault, "slowly",
        "`AADSTS700016`: no such application in that tenant.",
        "The client id or the tenant id is wrong, or a multi-tenant application was never added to this tenant.",
        "Check AZURE_CLIENT_ID and AZURE_TENANT_ID: `az ad sp show --id {client_id}`";
    ClientSecretIsId, ErrAzureVault, "slowly",
        "`AADSTS7000215`, and the secret has the form of a GUID: it is the secret's ID.",
        "What is configured as client secret is a GUID. The portal shows a secret's ID and its value side by side, and secrets have no such form: this is the ID.",
        "Use the secret's value. It is shown only once; if it is lost, make a new one: `az ad app credential reset --id {client_id} --append`";
    ClientSecretEncodedTwice, ErrAzureVault, "slowly",
        "`AADSTS7000215`, and the secret is base64 of readable text.",
        "The client secret was encoded in base64 by hand; Kubernetes encodes it once more by itself.",
        "Store the value as it is: `kubectl create secret generic NAME --from-literal=AZURE_CLIENT_SECRET='VALUE'`, or encode it exactly once under data:.";
    ClientSecretExpired, ErrAzureVault, "slowly",
        "`AADSTS7000222`: the client secret has expired.",
        "Client secrets end on a date that was chosen when they were made.",
        "Make a new one (`az ad app credential reset --id {client_id} --append`), or use workload identity, which needs none.";
    ClientSecretInvalid, ErrAzureVault, "slowly",
        "`AADSTS7000215`: the client secret is wrong.",
        "AZURE_CLIENT_SECRET is not this application's secret: another one's, an old one, or the secret's ID in place of its value.",
        "Use the secret's value, or make a new one: `az ad app credential reset --id {client_id} --append`";
    AssertionSignatureInvalid, ErrAzureVault, "slowly",
        "`AADSTS700027`: the signature of the client's assertion is not trusted.",
        "The certificate that signed it, thumbprint {thumbprint}, is not registered on the application, or not any more.",
        "Upload the certificate: `az ad app credential reset --id {client_id} --append --cert @cert.pem`";
    UserPasswordInvalid, ErrAzureVault, "slowly",
        "`AADSTS50126`: wrong user name or password.",
        "AZURE_USERNAME or AZURE_PASSWORD is wrong.",
        "Check both. Users with multi-factor authentication cannot sign in this way at all.";
    AssertionOutsideValidity, ErrAzureVault, "slowly",
        "`AADSTS700024`: the ServiceAccount token is expired or not yet valid.",
        "The token in the file is expired, or a clock is wrong.",
        "Check the clock of the node, and that the kubelet still renews the token file.";
    FederatedIssuerMismatch, ErrAzureVault, "slowly",
        "`AADSTS700211`: no federated credential of the identity has the token's issuer.",
        "The token's issuer is '{issuer}', and no federated credential has it: it was made for another cluster, or differs in a slash at the end.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
    FederatedSubjectMismatch, ErrAzureVault, "slowly",
        "`AADSTS700213`: no federated credential of this issuer has the token's subject.",
        "The token's subject is '{subject}', and no federated credential has it: another namespace, a Deployment's name in place of the ServiceAccount's, or blanks or quotes in the subject.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
    FederatedAudienceMismatch, ErrAzureVault, "slowly",
        "`AADSTS700212`: the federated credential wants another audience than `api://AzureADTokenExchange`.",
        "The token's audience is '{audience}', as it should be; the federated credential for subject '{subject}' has another.",
        "`az identity federated-credential update --name NAME --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a change takes up to 5 minutes to work)";
    NoFederatedCredential, ErrAzureVault, "slowly",
        "`AADSTS70021`: the identity has no federated credential that matches the ServiceAccount token.",
        "The token says issuer '{issuer}', subject '{subject}', audience '{audience}'; all three must match.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
    NoMethodWorked, ErrAzureVault, "slowly",
        "`AUTH_TYPE=environment-azidentity`: every method was tried; the message has each one's reason.",
        "None of the methods that are tried in turn gave a token.",
        "Repair the first one that is meant to work, and name it in AUTH_TYPE: then its reason stands alone.";
    TokenRequestFailed, ErrAzureVault, "soon if there was no answer, 429 or 5xx; else slowly",
        "Any other refusal, no answer from Entra, or the vault does not accept the token.",
        "The message has Entra's words; DNS, firewall, proxy or the node's clock are the most frequent causes of silence.",
        "Look the AADSTS code up at https://login.microsoftonline.com/error";
}
"Key Vault" {
    VaultNotFound, ErrAzureVault, "slowly",
        "DNS knows no such vault.",
        "The vault's name is wrong, the vault is of another cloud or was deleted, or its private DNS zone is not linked to this network.",
        "Check the name: `az keyvault show --name {vault}`";
    VaultUnavailable, ErrAzureVault, "soon; slowly if the certificate is not trusted",
        "5xx, no answer, a broken connection, or no trusted certificate.",
        "The service has a problem of its own, or firewall or proxy are in the way; the message says which.",
        "Nothing to do if it passes: it is tried again. Else check firewall and proxy between this pod and the vault; name the CA of a proxy that inspects TLS in SSL_CERT_FILE.";
    VaultResponseInvalid, ErrAzureVault, "soon; slowly if the object itself is incomplete",
        "The answer is not one of Key Vault's; or an object lacks what its type has.",
        "What answers is not a vault, or something in between changes its answers.",
        "Check the cloud's vault suffix (AZURE_ENVIRONMENT), proxies and DNS.";
    ChallengeRefused, ErrAzureVault, "slowly",
        "A server asked for a token that it must not have, or pointed elsewhere; no token was sent.",
        "What answers is not a vault of the cloud in AZURE_ENVIRONMENT.",
        "Check that the vault is of that cloud, and that DNS leads to it.";
    WrongAudience, ErrAzureVault, "slowly",
        "401 `AKV10022`: the token is for another cloud.",
        "Vault and identity are of different clouds.",
        "Set AZURE_ENVIRONMENT to the vault's cloud.";
    WrongTenant, ErrAzureVault, "slowly",
        "401 `AKV10032`: vault and identity are of different tenants; the message names both where it can.",
        "The vault belongs to another tenant than the identity.",
        "Use an identity of the vault's tenant (AZURE_TENANT_ID). An application that exists in both tenants may be allowed to use the vault's: AZURE_ADDITIONALLY_ALLOWED_TENANTS={vault_tenant}. A managed identity cannot leave its tenant.";
    Throttled, ErrAzureVault, "soon",
        "429: the vault or its subscription is over its limit.",
        "This vault, or all vaults of its subscription together, are over the service's limit.",
        "Nothing to do: this client slows down by itself. If it stays, lower --vault-requests-per-10s, or split the objects over several vaults.";
    ForbiddenByFirewall, ErrAzureVault, "slowly",
        "403 `ForbiddenByFirewall`, `ForbiddenByConnection`: the vault's network rules do not admit this client.",
        "Requests arrive from an address or network that no rule of the vault admits, or the vault is open to private endpoints only.",
        "Admit the address in the message, or connect by private endpoint: `az keyvault network-rule add --name {vault} --ip-address {address}`";
    ForbiddenByRbac, ErrAzureVault, "slowly",
        "403 `ForbiddenByRbac`: no role on this vault allows it.",
        "{caller} lacks {action} on this vault: it has no role, or one that is assigned on another scope, or one too small. A role assigned within the last 10 minutes may not work yet.",
        "`az role assignment create --role \"{role}\" --assignee {assignee} --scope {scope}`";
    ForbiddenByPolicy, ErrAzureVault, "slowly",
        "403 `AccessDenied`, `ForbiddenByPolicy`: the vault uses access policies, and none allows it.",
        "{caller} lacks the permission {permission}.",
        "`az keyvault set-policy --name {vault} --object-id {object_id} --{kind}-permissions get list`";
    WrongPermissionKind, ErrAzureVault, "slowly",
        "403 on the secret behind a certificate: the certificate may be read, but not the secret that holds its private key.",
        "A certificate with its key takes secrets/get besides certificates/get. {caller} lacks the former.",
        "`az role assignment create --role \"{role}\" --assignee {assignee} --scope {scope}`, or with access policies give secrets/get too";
    Forbidden, ErrAzureVault, "slowly",
        "403 for a reason that this version does not know; the message has the vault's words.",
        "The vault gives no reason that is known.",
        "Do what the vault's own words say.";
    ObjectNotFound, ErrAzureVault, "slowly",
        "404 `SecretNotFound` (`CertificateNotFound`, `KeyNotFound`): no such object or version, or it was deleted.",
        "The name or the version is wrong, or it was deleted (deleted objects can be recovered for a while).",
        "`az keyvault {kind} list --vault-name {vault}`; deleted ones: `az keyvault {kind} list-deleted --vault-name {vault}`";
    ObjectDisabled, ErrAzureVault, "slowly",
        "403 `SecretDisabled` and the like: the version is disabled.",
        "The newest version counts, even when an older one is enabled.",
        "Enable it, or pin a version in the reference.";
    ObjectNotYetValid, ErrAzureVault, "slowly",
        "Its activation date lies ahead, and the vault does not give it out.",
        "Its activation date (nbf) lies in the future.",
        "Change the activation date, or wait for it.";
    ObjectExpired, ErrAzureVault, "slowly",
        "Its expiration date has passed, and the vault does not give it out.",
        "Its expiration date (exp) has passed.",
        "Make a new version, or change the expiration date.";
    NotExportable, ErrAzureVault, "slowly",
        "The certificate's policy keeps its private key in the vault.",
        "Its policy says that the key is not exportable.",
        "Issue a new version with an exportable key (key_props.exportable: true), or take the certificate without its key: an output of no type.";
}
"The value" {
    TransformFailed, ErrAzureVault, "slowly",
        "`base64decode` met a value that is no base64.",
        "The value is not what the transform takes.",
        "Correct the value or output.transform; put trim first if there are blanks around it.";
    ValueMalformed, ErrAzureVault, "slowly",
        "The value is not in the format its type needs: no JSON or YAML mapping, no `user:password`, no Docker configuration, a symmetric key.",
        "The value is not in the format that its type needs; the message names the place.",
        "Correct the value in the vault.";
    ValueTooLarge, ErrAzureVault, "slowly",
        "More than 1,048,576 bytes, or a certificate file that would take too long to read.",
        "Kubernetes stores no larger objects.",
        "Spread the value over several objects.";
    CertificateUnreadable, ErrAzureVault, "slowly",
        "Certificate or private key cannot be read, one is missing, or with `chainOrder` no certificate belongs to the key.",
        "What the vault holds is no certificate with its key.",
        "Store PEM, or a PFX in base64, with both.";
    CertificatePasswordProtected, ErrAzureVault, "slowly",
        "PFX or private key has a password.",
        "Nobody can be asked for the password.",
        "Store it without one.";
    QueryInvalid, Itself, "start",
        "A reference asks for a part that its object does not have, or for no part of a multi-key value.",
        "What stands after the question mark is no part of such an object.",
        "Correct the reference; [the parts of each object](env-injection.md#queries).";
}
"Secrets and ConfigMaps in the cluster" {
    ApiServerUnavailable, Itself, "soon",
        "The API server does not answer, or is busy.",
        "The API server does not answer, or is busy.",
        "Nothing to do: it is tried again.";
    ApiServerForbidden, Itself, "slowly",
        "The controller lacks a right.",
        "No Role gives the controller's ServiceAccount the right that the message names.",
        "Grant it; all rights: [controller-rbac.yaml](../examples/install/controller-rbac.yaml)";
    OutputTypeRefused, Itself, "slowly",
        "Secrets of that type give rights in the cluster and are never written.",
        "Whoever may write such a Secret can make tokens of ServiceAccounts.",
        "Choose another type.";
    OutputConflict, ErrResourceExists, "slowly, and when the other one goes; soon in the second case",
        "An older AzureKeyVaultSecret has that key; or the output changed in the moment it was written.",
        "Another object claims the same key.",
        "Choose another key or name; in the second case nothing.";
    OutputNotOwned, ErrResourceExists, "slowly; soon if it appeared in the moment of creation",
        "The output, or the key, is somebody else's.",
        "Nobody's object is taken over silently.",
        "[Adopt it](azurekeyvaultsecret.md#adoption), delete it, or choose another name.";
    OutputTypeImmutable, Itself, "slowly",
        "The Secret has another type, and keys of others in it.",
        "Kubernetes does not let a Secret's type change.",
        "Choose another name, or delete the Secret.";
    OutputImmutable, Itself, "slowly",
        "The output is marked immutable, and its value has changed.",
        "Kubernetes does not let an immutable object change.",
        "Delete it; it is created anew.";
    OutputRejected, Itself, "slowly",
        "The API server, a policy or a webhook refuses the output; the message has its words.",
        "Something in the cluster does not allow this object.",
        "Do what the message says.";
}
"The env injector" {
    InjectionImpossible, Itself, "",
        "A pod asks for injection and cannot be prepared: it runs on Windows, a name or place that the injector needs is taken, or nothing says what a container starts.",
        "The message says which.",
        "Change that in the pod.";
    InjectionSettingInvalid, Itself, "",
        "A variable by which a container tells the env injector something has a value that means nothing.",
        "`ENV_INJECTOR_DISABLE_AUTH_SERVICE` is a boolean, and written as a `value`.",
        "Correct the variable, or remove it.";
    ReferenceInvalid, Itself, "",
        "The value of a variable begins with `azurekeyvault://` and is no reference, or one that the broker does not resolve.",
        "The grammar is broken, or the container gets its values from the broker, which gives those of AzureKeyVaultSecrets only.",
        "Correct the value; or name an AzureKeyVaultSecret: `NAME@azurekeyvault`.";
    AkvsNotFound, Itself, "",
        "A reference names an AzureKeyVaultSecret that the pod's namespace does not have.",
        "The name is misspelt, the object is in another namespace, or was not created yet.",
        "Create it, or correct the name: `kubectl get akvs --namespace {namespace}`";
}
"Images of containers without `command`" {
    ImageNameInvalid, Itself, "",
        "The name of a container's image is none.",
        "No registry can be asked for an image of such a name.",
        "Correct the container's `image`.";
    ImagePullDenied, Itself, "",
        "The registry wants other credentials for an image, or none of those that there are may read it.",
        "Neither the pod's imagePullSecrets nor those of its ServiceAccount open the image, nor does the injector's own identity (Azure Container Registry only).",
        "Set `command` in the container, then no registry is asked; or give the pod imagePullSecrets that open the image.";
    ImageNotFound, Itself, "",
        "The registry has no such image.",
        "Repository, tag or digest is wrong, or the image was deleted.",
        "Correct the container's `image`, or set `command` in the container, then no registry is asked.";
    RegistryUnavailable, Itself, "",
        "The registry gave no answer in time, one that is an error of its own, or one that asks to slow down (429).",
        "The registry has a problem, or DNS, firewall, proxy or an untrusted certificate are in the way; the message says which.",
        "Set `command` in the container, then no registry is asked. Name a registry's own certificate authority in IMAGE_LOOKUP_CA_FILE, and one without TLS in IMAGE_LOOKUP_INSECURE_REGISTRIES.";
    ImagePlatformUnclear, Itself, "",
        "No image of the list fits the nodes that the pod may run on, or those that fit start different programs.",
        "The wrapper runs on linux/amd64 and linux/arm64; which of them it will be is decided by the scheduler, after the pod was prepared.",
        "Set `command` in the container, or the architecture in the pod: `nodeSelector: {kubernetes.io/arch: amd64}`";
    ImageUnusable, Itself, "",
        "What the registry gave is no image of a container, is too large, or is not what its digest names.",
        "Manifest or configuration of the image breaks the formats of OCI and Docker, or the limits that hold here.",
        "Set `command` in the container, then no registry is asked; or build the image anew.";
}
"The start of a program" {
    InjectionMisconfigured, Itself, "start",
        "A variable of the wrapper's own (`ENV_INJECTOR_…`) is missing or has a value that cannot be; the message names it.",
        "The container does not have what the webhook gives it, or was set up by hand and not completely.",
        "Re-create the pod, so that the webhook sets the variables; without webhook set ENV_INJECTOR_USE_AUTH_SERVICE=false and the variables of an identity.";
    BrokerUnavailable, Itself, "soon, within the time for the start",
        "The injector's value service does not answer, or not in the way it should, until the time for the start is over.",
        "The service is not running, or a network policy or a mesh keeps this pod from it.",
        "Look at its pods: `kubectl get pods --namespace {namespace}`; let this pod reach port 9443 there.";
    BrokerNotTrusted, Itself, "start",
        "The certificate of the injector's value service is of neither authority that the pod was given when it was created.",
        "The pod is older than two of the injector's certificate authorities, its installation was replaced, or something in between ends TLS.",
        "Re-create the pod: `kubectl rollout restart {workload}`";
    ValueNotForEnvironment, Itself, "start",
        "A value has a NUL byte, which no environment variable can hold.",
        "The value is binary.",
        "Store it as text, or transform it: output.transform [base64encode].";
    EnvironmentTooLarge, Itself, "start",
        "Arguments and environment together are more than the kernel takes, or one variable is longer than 131,071 bytes.",
        "Linux limits what a program can be started with.",
        "Inject fewer or shorter values, or let the controller write a Secret and mount it as files.";
}
}
