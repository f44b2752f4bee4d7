//! Workload identity in the cluster.

section! {
    OidcIssuerNotEnabled, ErrAzureVault, "slowly" {
        "The ServiceAccount token names an issuer that only the cluster itself can reach, such as `https://kubernetes.default.svc`.",
        "The cluster has no public OIDC issuer, so Entra cannot check its tokens (the token's issuer is '{issuer}').",
        "Enable issuer and workload identity, then re-create the pods: `az aks update --resource-group GROUP --name CLUSTER --enable-oidc-issuer --enable-workload-identity`";
        IssuerNotPublic: "The OIDC issuer is not enabled on this cluster, so Entra cannot check its tokens.";
    }
    WorkloadIdentityWebhookMissing, Itself, "" {
        "The cluster has no mutating webhook of workload identity.",
        "Nothing gives pods their token file and variables: workload identity is not enabled on this cluster, or its webhook was removed.",
        "Enable it, then re-create the pods: `az aks update --resource-group GROUP --name CLUSTER --enable-oidc-issuer --enable-workload-identity` (elsewhere: install the chart azure-workload-identity/workload-identity-webhook)";
        WebhookBlindToNamespace { namespace, selector }: "The webhook does not look at namespace {namespace}: its labels do not match '{selector}'.",
            "Run the pod in a namespace that the webhook covers, or change the webhook's selector.";
        WebhookBlindToPod { selector }: "The webhook does not look at this pod: its labels do not match '{selector}'.",
            "Label the pod as the webhook's selector asks, or change the selector.";
    }
    ServiceAccountIdentitiesOff, Itself, "edit; start with the other flag" {
        "`spec.vault.serviceAccountName` is set, and controller or env injector was not started with `--service-account-identities`.",
        "Reading vaults as somebody's ServiceAccount is off in this installation, and the installation's own identity does not step in.",
        "Start controller and env injector with --service-account-identities, or leave serviceAccountName out to read with the installation's own identity.";
    }
    ServiceAccountNotFound, Itself, "slowly" {
        "The ServiceAccount does not exist.",
        "The namespace has no ServiceAccount of that name; a Deployment's name is often taken for it.",
        "Create it, or correct the name: `kubectl get serviceaccounts --namespace {namespace}`";
        PodsAccountMissing { name, namespace }: "Its name is misspelt (a Deployment's in its place?), or it is in another namespace.",
            "`kubectl create serviceaccount {name} -n {namespace}`, then annotate it with its identity's client id";
        VaultsAccountMissing { name, namespace }: "spec.vault.serviceAccountName names it; only those of the same namespace can be used.",
            "`kubectl create serviceaccount {name} --namespace {namespace} && kubectl annotate serviceaccount {name} --namespace {namespace} azure.workload.identity/client-id=CLIENT_ID`";
    }
    ServiceAccountNotAnnotated, Itself, "slowly" {
        "The ServiceAccount lacks the annotation `azure.workload.identity/client-id`.",
        "The annotation says which identity the ServiceAccount stands for; without it there is none.",
        "Annotate it, then re-create its pods: `kubectl annotate serviceaccount {serviceaccount} --namespace {namespace} azure.workload.identity/client-id={client_id}`";
        ClientIdIsLabel { name, namespace }: "The client id is a label there, and only an annotation is read.",
            "`kubectl annotate serviceaccount {name} -n {namespace} --overwrite azure.workload.identity/client-id=CLIENT_ID` (`az identity show --query clientId`)";
        NotAnnotated { name, namespace }: "Without it nobody knows which identity the pod is.",
            "`kubectl annotate serviceaccount {name} -n {namespace} --overwrite azure.workload.identity/client-id=CLIENT_ID` (`az identity show --query clientId`)";
        ClientIdMissing { name, namespace }: "It lacks the annotation azure.workload.identity/client-id, or the annotation is empty.",
            "`kubectl annotate serviceaccount {name} --namespace {namespace} --overwrite azure.workload.identity/client-id=CLIENT_ID`";
        ClientIdMalformed { name, namespace }: "Its annotation azure.workload.identity/client-id holds other characters than letters, digits and hyphens.",
            "`kubectl annotate serviceaccount {name} --namespace {namespace} --overwrite azure.workload.identity/client-id=CLIENT_ID`";
        TenantMissing { name, namespace }: "Neither its annotation azure.workload.identity/tenant-id nor AZURE_TENANT_ID or azure.json of akv2k8s names a tenant.",
            "`kubectl annotate serviceaccount {name} --namespace {namespace} --overwrite azure.workload.identity/tenant-id=TENANT_ID`";
        TenantMalformed { name, namespace }: "Its annotation azure.workload.identity/tenant-id is neither a tenant's id nor its domain.",
            "`kubectl annotate serviceaccount {name} --namespace {namespace} --overwrite azure.workload.identity/tenant-id=TENANT_ID`";
    }
    ServiceAccountForbidden, Itself, "slowly" {
        "Controller or env injector may not look at the ServiceAccount, or not ask for its token (`TokenRequest`).",
        "No RoleBinding in the namespace gives it the right.",
        "Let the namespace in: `kubectl create rolebinding akv2k8s-controller-identities --namespace {namespace} --clusterrole akv2k8s-service-account-identities --serviceaccount {controller}`";
        RoleBindingMissing { namespace, user, message, own, subject }: "No RoleBinding in namespace '{namespace}' gives '{user}' the right: {message}",
            "`kubectl create rolebinding {own}-identities --namespace {namespace} --clusterrole akv2k8s-service-account-identities {subject}`";
    }
    ServiceAccountTokenRefused, Itself, "slowly" {
        "An admission policy keeps the ServiceAccount's token from controller or env injector (`TokenRequest`).",
        "Most often the namespace lacks the label that the policy of examples/isolation asks for.",
        "Label the namespace: `kubectl label namespace {namespace} akv2k8s.spv.no/service-account-identities=enabled`";
        TokenDenied { message }: "The API server says: {message}",
            "Do what the message asks for, or ask whoever runs the cluster to let this namespace have identities of its own.";
        TokenMissingInAnswer: "The answer holds no token.",
            "Look at the API server's log.";
        TokenRefusedToUser { message }: "The API server says: {message}",
            "Create the ServiceAccount, or name another one.";
        TokenNotAnswered { error }: "{error}.",
            "Check the connection to the API server.";
    }
    TokenRequestsUnrestricted, Itself, "" {
        "`akv2k8s-controller doctor` asked in dry run for a ServiceAccount's token that is not for Entra, and no admission policy refused it.",
        "The policy of examples/isolation is not there, or it is pinned to another user than this controller's ({user}). Whoever steals the controller's token can become any ServiceAccount of the namespaces that were let in.",
        "Add '{user}' to the list of users in both policies of examples/isolation/01-cluster.yaml, and apply it: `kubectl apply -f examples/isolation/01-cluster.yaml`";
    }
    WorkloadIdentityLabelMissing, Itself, "" {
        "The pod lacks the label `azure.workload.identity/use: \"true\"`.",
        "The webhook looks at pods with this label only. On a Deployment it belongs into spec.template.metadata.labels; on the Deployment itself or on the ServiceAccount it does nothing.",
        "`kubectl patch {workload} -n {namespace} --type merge -p '{\"spec\":{\"template\":{\"metadata\":{\"labels\":{\"azure.workload.identity/use\":\"true\"}}}}}'`";
        LabelNotTrue { value }: "Its value is '{value}'; only 'true', written like that, counts.",
            "Write it on the pod template as 'true'.";
        LabelYoungerThanPod { kind, name }: "The pod template of {kind} {name} has it, but this pod is older than that.",
            "Re-create the pod.";
        LabelOnOwner { kind, name }: "The label is on the {kind} {name} itself, and pods get the labels of its pod template only.",
            "Put it on the pod template.";
        LabelIsAnnotation: "It is an annotation of the pod, and the webhook looks at labels.",
            "Put it on the pod template, as a label.";
        LabelOnServiceAccount { name }: "The label is on the ServiceAccount {name}, and the webhook looks at the pod's.",
            "Put it on the pod template.";
        LabelNowhere: "The webhook sets up only pods that carry it.",
            "Put it on the pod template.";
        TemplateIsLabelled { recreate }: "The pod template has it by now.",
            "{recreate}";
        PodWithoutTemplate: "Nothing makes this pod anew from a template.",
            "Add azure.workload.identity/use: \"true\" to the pod's metadata.labels, and create it again";
    }
    PodOlderThanSetUp, Itself, "" {
        "The pod was created before its ServiceAccount was annotated, or before the webhook was there.",
        "The webhook changes pods only when they are created.",
        "Re-create the pod: `kubectl rollout restart {workload} --namespace {namespace}`";
        WebhookInstalledLater { recreate }: "The webhook was installed after the pod was created, and it changes pods only as they are created.",
            "{recreate}";
        AnnotatedLater { recreate }: "The ServiceAccount was annotated after the pod was created, and pods are changed only as they are created.",
            "{recreate}";
        WebhookDidNotAnswer { recreate }: "The webhook did not answer when the pod was created, or the label was put on the running pod.",
            "{recreate}";
    }
    ClientIdMismatch, Itself, "" {
        "The annotation of the ServiceAccount differs from `AZURE_CLIENT_ID` in the pod.",
        "The annotation changed after the pod was created, or the pod sets the variable itself.",
        "Take AZURE_CLIENT_ID out of the pod's own variables, and re-create the pod: `kubectl rollout restart {workload} --namespace {namespace}`";
        IdentityChanged { recreate }: "The annotation was changed after the pod was created, or the pod names another one itself.",
            "{recreate}";
    }
}
