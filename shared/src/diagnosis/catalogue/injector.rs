//! The env injector.

section! {
    ServingCertificateUnusable, Itself, "soon" {
        "The injector's own certificates, or those in the folder of `TLS_CERT_DIR`, cannot be read, or key and certificate do not belong together; the message names the part.",
        "Somebody or something else changed them.",
        "Restore them; they are read again by themselves.";
        CertificatesCannotBeMade { error }: "{error}.",
            "It is tried again; see that the names in the configuration are DNS names.";
        FilesUnusable { error }: "{error}.",
            "Put tls.crt and tls.key there that belong together; they are read again by themselves.";
        SecretUnusable { error, name, namespace }: "{error}.",
            "Delete it: an injector that has run since before it broke writes it again as it was. If none has, new authorities are made, and pods that were prepared before have to be created anew: `kubectl delete secret {name} --namespace {namespace}`";
        SecretNeverStill { attempts }: "{attempts} attempts to write it met another writer.",
            "See who else writes it; it is tried again.";
    }
    WebhookConfigurationRefused, Itself, "soon" {
        "The API server refuses the change by which the injector keeps its `MutatingWebhookConfiguration` up to date; the message has its words.",
        "A policy or a webhook in the cluster does not allow it.",
        "Exempt the injector's ServiceAccount from it for MutatingWebhookConfiguration '{name}': until then the API server may not trust the injector's certificate, and nothing keeps others from the webhook's port.";
        WebhookChangeRefused { name, message }: "A policy or a webhook in the cluster does not allow it. It said: {message}.";
    }
    WebhookCallerUnknown, Itself, "" {
        "A request to the webhook's port came by another path than the one that the injector wrote into its `MutatingWebhookConfiguration`. It is answered with 403, and nothing else.",
        "It does not come from the API server, or `WEBHOOK_CONFIGURATION` names another configuration than the one by which the API server calls.",
        "Nothing to do if pods are created as ever. Else set WEBHOOK_CONFIGURATION to the configuration's name: `kubectl get mutatingwebhookconfigurations`";
    }
    WrapperOutdated, Itself, "" {
        "A pod asks the broker for a token, as wrappers of akv2k8s 1.x did.",
        "The pod was prepared before this injector was installed. The broker gives values, not tokens.",
        "Re-create the pod, which prepares it anew: `kubectl rollout restart {workload} --namespace {namespace}`";
        PreparedByOldInjector { recreate }: "The pod was prepared before this injector was installed. The broker gives values, not tokens.",
            "{recreate}";
    }
    PodTokenRefused, Itself, "" {
        "The broker does not accept the token it was sent: it is expired, for another audience, not bound to a pod, or its pod is gone.",
        "The wrapper sends the token that the kubelet keeps fresh in the pod; this is another one, or the pod is being deleted.",
        "Nothing to do if the pod is being deleted. Else re-create the pod.";
        TokenMissing: "There is not just one header 'Authorization: Bearer TOKEN'.",
            "Re-create the pod.";
        TokenNotRecognised: "Of the token: the API server does not recognise it: it is expired, for another audience, or its pod is gone.";
        TokenOfOtherAudience: "Of the token: it is for another audience.";
        TokenOfNoPod: "Of the token: it is not bound to a pod.";
        TokenIsNone: "Of the token: it is no token of a ServiceAccount that is bound to a pod.";
        TokenExpired: "Of the token: it is expired.";
    }
    PodNotPrepared, Itself, "" {
        "A pod asks the broker for values, and none of its containers starts the wrapper.",
        "The broker gives values to pods that the injector prepared, and this one it did not.",
        "See that the injector is installed, then re-create the pod.";
        WrapperNotStarted: "None of its containers starts the wrapper that the injector puts into pods.",
            "Let the injector prepare it: see that it is installed, then re-create the pod.";
        PodGone: "It is gone, or another pod has its name.",
            "Let the injector prepare it: see that it is installed, then re-create the pod.";
    }
    InjectionNotEnabled, Itself, "" {
        "A pod asks the broker for values, and its namespace lacks the label that switches injection on, by default `azure-key-vault-env-injection: enabled`; or a pod asks for injection in a namespace that is none of `--watch-namespaces`.",
        "Whoever runs the namespace has not switched injection on, or has switched it off.",
        "Label the namespace: `kubectl label namespace {namespace} {label}`";
        NamespaceNotServed { namespace }: "This env injector serves the namespaces of --watch-namespaces alone (the chart's watchNamespaces and watchAllNamespaces), and '{namespace}' is none of them.",
            "Add it there; or take the references out of the pod, and the namespace out of the webhook configuration.";
    }
    BrokerRequestInvalid, Itself, "" {
        "The broker does not understand a request: it is too large or too slow, or holds something that is no reference.",
        "The wrapper is of another version than the broker, or the request does not come from a wrapper.",
        "Re-create the pod, which gives it the wrapper that fits.";
        RequestTooSlow: "Its body did not arrive in time.";
        RequestTooLarge { bytes }: "Its body has more than {bytes} bytes.";
        ReferenceTooLong { bytes }: "It holds a reference of more than {bytes} bytes.";
        RequestCutOff: "Its body did not arrive as a whole.";
        RequestMalformed { error }: "Its body is not a list of references: {error}.";
        TooManyReferences { limit }: "It holds more than {limit} references.";
        NotAReference: "It holds something that is no reference.";
    }
    BrokerBusy, Itself, "" {
        "A pod asks the broker for values more often than its share, or the broker has too much to do.",
        "One pod may ask 30 times at once, then every two seconds; many references or large values count as several times.",
        "Nothing to do if it passes: it is tried again. Else see why the containers start so often.";
    }
}
