//! Environment and files.

section! {
    TrustStoreUnreadable, ErrAzureVault, "start" {
        "`SSL_CERT_FILE` or `SSL_CERT_DIR` has no usable certificate.",
        "The certificate authorities that are to be trusted cannot be read.",
        "Point SSL_CERT_FILE to a readable file of PEM certificates, or remove both variables to use the system's.";
        OwnAuthoritiesEmpty: "What is configured for them holds no PEM certificate.",
            "Name a file of PEM certificates.";
        ServerAuthorityEmpty: "What is configured for it holds no PEM certificate.",
            "Check AZURE_KUBERNETES_CA_FILE or AZURE_KUBERNETES_CA_DATA, whichever is set.";
        AuthoritiesEmpty: "They hold no PEM certificate.";
        AuthoritiesUnreadable { error }: "Reading them failed: {error}.";
    }
    AuthTypeUnknown, ErrAzureVault, "start" {
        "`AUTH_TYPE` names no method.",
        "It names no way to authenticate; case matters.",
        "Set AUTH_TYPE to one of {expected}.";
    }
    CloudUnknown, ErrAzureVault, "slowly for the file, start for the variable" {
        "`AZURE_ENVIRONMENT` names no cloud, or the file of `AZURE_ENVIRONMENT_FILEPATH` cannot be used.",
        "The cloud decides where Entra and vaults are, so nothing can be asked.",
        "Set AZURE_ENVIRONMENT to the cloud's name, or AZURE_ENVIRONMENT_FILEPATH to a JSON file with activeDirectoryEndpoint, keyVaultDNSSuffix and resourceIdentifiers.keyVault; leave both out for the public cloud.";
        CloudFileNotNamed: "AZURE_ENVIRONMENT_FILEPATH is not set.";
        CloudNameUnknown: "Known are AzurePublicCloud, AzureUSGovernmentCloud, AzureChinaCloud, AzureGermanCloud and AzureStackCloud.";
        CloudFileUnusable { error }: "{error}.";
        VaultSuffixMalformed: "keyVaultDNSSuffix is not a DNS suffix, optionally with a port.";
        AuthorityIsAdfs: "It is the address of AD FS, which is not supported: tokens are asked for at Entra.";
        AuthorityHasPath { path }: "It has a path, {path}; the tenant is not part of it.";
        AddressMalformed { schemes }: "It is not an address that begins with {schemes}://.";
    }
    CloudConfigUnreadable, ErrAzureVault, "slowly" {
        "`/etc/kubernetes/azure.json` is missing, cannot be read, or holds no credential.",
        "The file is there on AKS nodes only and belongs to root; a pod security policy may keep it from the pod.",
        "Mount the node's /etc/kubernetes/azure.json into the pod (hostPath, readable for its user), or set AUTH_TYPE to workloadIdentity or environment.";
        CloudConfigNotRead: "It was not read.";
        CloudConfigUnusable { error }: "{error}.";
        CloudConfigMalformed { line, column }: "It is not the JSON or YAML of a cloud configuration: line {line}, column {column}.";
        CloudConfigWithoutCredential: "It holds no credential: neither useManagedIdentityExtension, nor aadClientSecret, nor aadClientCertPath.";
        CloudConfigWithoutCredentialOf { client_id }: "It holds no credential for application '{client_id}': neither useManagedIdentityExtension, nor aadClientSecret, nor aadClientCertPath.";
        CloudConfigIncomplete { missing }: "It holds a credential, but not {missing}.";
        CloudConfigSilent { error }: "{error}.",
            "Look at the mount that holds it; it is read again by itself.";
    }
    CloudConfigMsiPlaceholder, ErrAzureVault, "slowly" {
        "`azure.json` says `aadClientId: msi`, and `useManagedIdentityExtension` is not true.",
        "The word msi stands for the node's managed identity; it is no application's id.",
        "Set useManagedIdentityExtension to true in the file, or set AUTH_TYPE=managedIdentity.";
    }
    VariableMalformed, ErrAzureVault, "start" {
        "The value of an `AZURE_…` variable has quotes at an end; in a pod or an annotation of a ServiceAccount also blanks.",
        "Quotes and blanks at its ends belong to YAML or to the shell, not to the value; here they came along.",
        "Write the value without them (in YAML, quotes around the whole value are enough): {names}";
        AnnotationMalformed { name, namespace, annotation, value }: "It is taken as it stands, and Entra knows nobody of that name.",
            "`kubectl annotate serviceaccount {name} -n {namespace} --overwrite {annotation}={value}`";
    }
    SecretShadowsWorkloadIdentity, ErrAzureVault, "slowly" {
        "`AZURE_CLIENT_SECRET` is set beside `AZURE_FEDERATED_TOKEN_FILE`, and does not work.",
        "Methods are tried in an order, and the client secret comes before workload identity, which is set up as well.",
        "Remove the variable AZURE_CLIENT_SECRET, or choose explicitly: AUTH_TYPE=workloadIdentity";
        CredentialGoesFirst { variable }: "Azure's chain of credentials takes the first that is set up, and that is not workload identity.",
            "Remove {variable} from the pod's manifest; workload identity needs no secret";
        SecretTriedFirst { passed_over, cause, fix }: "{passed_over} {cause}",
            "Remove AZURE_CLIENT_SECRET, or choose: AUTH_TYPE=workloadIdentity. Else: {fix}";
    }
    WorkloadIdentityIncomplete, ErrAzureVault, "slowly" {
        "Some of `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE` are set, not all.",
        "The ServiceAccount names no identity, or the workload identity webhook did not see this pod.",
        "Annotate the ServiceAccount with azure.workload.identity/client-id, label the pod azure.workload.identity/use=true, and re-create the pod.";
        TenantUnknown { name, namespace, recreate }: "The webhook has no tenant of its own, and the ServiceAccount names none.",
            "`kubectl annotate serviceaccount {name} -n {namespace} azure.workload.identity/tenant-id=TENANT_ID`, then {recreate}";
        SetUpInPart { recreate }: "The pod was set up by hand and in part, or something changed it after the webhook.",
            "Set what is missing, or leave it all to the webhook; then {recreate}";
        BindingIncomplete: "The workload identity webhook sets these variables together where AKS identity binding is used.",
            "Leave them to the webhook (annotation azure.workload.identity/use-identity-binding on the pod), or remove them all.";
        BindingAuthorityUnreadable { path, error }: "{path}: {error}.",
            "Leave them to the webhook (annotation azure.workload.identity/use-identity-binding on the pod), or remove them all.";
        WorkloadIdentityPassedOver { passed_over, cause, fix }: "{passed_over} {cause}",
            "Set what is missing of the method that is meant. Else: {fix}";
    }
    EnvironmentIncomplete, ErrAzureVault, "slowly; start for the proxy" {
        "A method is configured in part: the message names what is missing for each. Or `HTTPS_PROXY` is no URL of an HTTP proxy.",
        "Every method needs all of its variables.",
        "Set what is missing, or remove the rest of that method.";
        MethodsIncomplete { reasons, missing }: "{reasons}",
            "Set {missing}, or remove the rest of the method that is not meant.";
        MethodIncomplete { reason, missing }: "{reason}",
            "Set {missing}, or choose another method by AUTH_TYPE.";
        CredentialIncomplete { missing, serviceaccount }: "An application's credential is used only when all of its variables are set; this set is partial, and is passed over.",
            "Set {missing} (a secret: by secretKeyRef from a Secret), or use workload identity, which needs none: `kubectl akv2k8s doctor identity --serviceaccount {serviceaccount}`";
        MethodPassedOver { passed_over, cause, fix }: "{passed_over} {cause}",
            "Set what is missing of the method that is meant. Else: {fix}";
        ProxyMalformed: "Its value is not the URL of an HTTP proxy.",
            "Write it as http://HOST:PORT, or remove the variable.";
    }
    TokenFileUnreadable, ErrAzureVault, "slowly" {
        "The ServiceAccount token of `AZURE_FEDERATED_TOKEN_FILE` is missing, empty, or no token.",
        "Its volume is not mounted, or somebody else's file is.",
        "Check that the workload identity webhook mounted its volume: pod label azure.workload.identity/use=true, then re-create the pod.";
        TokenFileUnread { error }: "{error}.";
        TokenFileHoldsNone: "The file is empty or holds no ServiceAccount token.";
        TokenNotMounted { recreate }: "AZURE_FEDERATED_TOKEN_FILE names a file that no volume of the pod brings.",
            "Remove AZURE_FEDERATED_TOKEN_FILE and its volume from the manifest so that the webhook sets both, then {recreate}";
    }
    FederatedAudienceWrong, ErrAzureVault, "slowly" {
        "The ServiceAccount token is for another audience than `api://AzureADTokenExchange`.",
        "The token's audience is '{audience}': it is the API server's own token, or a volume with another audience.",
        "Let the workload identity webhook mount the token, or write audience: api://AzureADTokenExchange in the volume's serviceAccountToken source.";
        TokenForOthers { audience }: "Entra exchanges tokens for api://AzureADTokenExchange; this one's audience is {audience}.",
            "Write audience: api://AzureADTokenExchange in the projected volume, or leave token and variables to the workload identity webhook";
    }
    ClientCertificateUnreadable, ErrAzureVault, "slowly" {
        "The certificate of `AZURE_CLIENT_CERTIFICATE_PATH` (or `AZURE_CERTIFICATE_PATH`) or `aadClientCertPath` is missing, has another password, or lacks its private key.",
        "It must be a PFX or PEM file with certificate and key.",
        "Mount a PFX or PEM file with the certificate and its RSA private key there; its password goes into AZURE_CLIENT_CERTIFICATE_PASSWORD (AZURE_CERTIFICATE_PASSWORD, or aadClientCertPassword in azure.json).";
        CertificateFileUnread { error }: "{error}.";
        CertificateFileUnusable { cause }: "{cause}";
        CertificatePasswordMissing: "It is protected by a password, and none is given.";
        CertificatePasswordWrong: "The password does not open it (or its key is encrypted in the old PEM form, which is not read).";
        CertificateReadInterrupted: "Reading it was interrupted.";
    }
    AuthMethodUnsupported, ErrAzureVault, "slowly" {
        "What is configured is known, and not offered here: Azure PowerShell, Azure Developer CLI or a browser; the managed identity of Azure Arc, Service Fabric or Cloud Shell.",
        "These belong to a person's computer, or to a platform on which Kubernetes pods do not run.",
        "Choose a method that works in a pod: AUTH_TYPE=workloadIdentity";
        PersonNeeded { tool, expected }: "{tool} needs a person at a screen, or a program that no container of this kind has.",
            "Set AUTH_TYPE to one of {expected}. On a laptop use azureCli.";
        ChainLinkNeedsPerson { tool }: "{tool} needs a person at a screen, or a program that is not here.",
            "Remove it, or set it to prod, dev, EnvironmentCredential, WorkloadIdentityCredential, ManagedIdentityCredential or AzureCLICredential.";
        ChainLinkUnknown: "It names no link of the chain.",
            "Remove it, or set it to prod, dev, EnvironmentCredential, WorkloadIdentityCredential, ManagedIdentityCredential or AzureCLICredential.";
        PlatformUnsupported { platform, variable }: "{variable} is set, which says that this runs on {platform}.",
            "Use workload identity or a client secret; if this is not {platform}, remove {variable}.";
        ClientIdOnly: "MSI_ENDPOINT and MSI_SECRET are set, without IDENTITY_ENDPOINT and IDENTITY_HEADER: the form of before 2019.",
            "Name the identity by its client id.";
    }
    AppServiceIdentityMissing, ErrAzureVault, "slowly" {
        "Only one of `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` is set (or of `MSI_ENDPOINT` and `MSI_SECRET`).",
        "App Service sets both when a managed identity is assigned to the app.",
        "Assign an identity to the app, or remove the variable.";
        EndpointNotLocal: "It is neither an https address nor an http address on this machine.",
            "Leave it as the platform sets it, or remove it to use the node's managed identity.";
    }
    AzureCliMissing, ErrAzureVault, "slowly" {
        "`az` is not on the `PATH`.",
        "The Azure CLI is meant for people's computers; images of programs do not have it.",
        "Install the Azure CLI, or in a cluster choose another method: AUTH_TYPE=workloadIdentity";
    }
    AzureCliLoggedOut, ErrAzureVault, "slowly" {
        "The Azure CLI asks to run `az login`.",
        "Nobody is logged in, or the login has expired.",
        "Log in: `az login`";
        CliAsksForLogin { message }: "It says: {message}";
    }
    AzureCliFailed, ErrAzureVault, "slowly" {
        "The Azure CLI failed, took too long, or printed no token.",
        "The message has its own words.",
        "Try it by hand: `az account get-access-token --output json --resource https://vault.azure.net`";
        CliNotRun { program, error }: "{program} cannot be run: {error}.";
        CliTooSlow { seconds }: "It gave no answer within {seconds} s and was stopped.";
        CliWithoutToken: "What it printed is no token.";
        CliSays { message }: "It says: {message}";
    }
}
