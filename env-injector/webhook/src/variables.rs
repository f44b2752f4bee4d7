//! The variables of the env injector alone.

akv2k8s_shared::variables! {
    /// What the env injector does.
    pub(crate) TABLE:
    AZUREKEYVAULT_ENV_IMAGE, "(required)", "image of the init container, of the same version as the program";
    HTTP_PORT, "`8080`", "port of health and [metrics](../metrics.md)";
    TLS_PORT, "`8443`", "port of the webhook";
    MTLS_PORT, "`9443`", "port of the [broker](../broker.md)";
    MTLS_PORT_EXTERNAL, "`9443`", "the broker's port at the Service";
    WEBHOOK_AUTH_SERVICE, "`akv2k8s-envinjector`", "name of the Service";
    POD_NAMESPACE, "the ServiceAccount's", "our own namespace";
    USE_AUTH_SERVICE, "`true`", "`false`: there is no broker, and wrappers read vaults themselves";
    TLS_CERT_DIR, "[certificates of our own](../certificates.md)", "folder with `tls.crt` and `tls.key` for the webhook's port, read again when they change";
    WEBHOOK_CONFIGURATION, "", "the `MutatingWebhookConfiguration` whose `caBundle` and [secret path](../certificates.md#the-secret-path) are kept up to date; without it everybody who reaches the webhook's port is answered";
    INJECTION_NAMESPACE_LABEL, "`azure-key-vault-env-injection=enabled`", "the label of namespaces whose pods are prepared, which the webhook configuration has to name too; the label of pods with references from elsewhere stays the same";
    PKI_SECRET, "`akv2k8s-envinjector-pki`", "Secret with our own certificates";
    SERVING_NAMES, "", "further names and addresses for our certificates, separated by commas";
    METRICS_ENABLED, "`false`", "`true`, or another boolean of Go: serve `/metrics`";
    DRAIN_SECONDS, "`5`", "how long requests are still served after the signal to stop";
    ENV_INJECTOR_EXEC_DIR, "`/azure-keyvault`", "can only be that";
    IMAGE_LOOKUP, "`true`", "`false`: no registry is asked; containers that ask for injection need `command`: [image-lookup.md](../image-lookup.md)";
    DOCKER_IMAGE_INSPECTION_TIMEOUT, "`6`", "seconds a look-up may take, at most 8: the API server waits ten for the webhook. A look-up goes on behind it, so that the next attempt finds the answer";
    IMAGE_LOOKUP_CA_FILE, "", "file of PEM certificates: authorities that are believed besides all others; not for what the injector's own identity reads at Azure";
    IMAGE_LOOKUP_INSECURE_REGISTRIES, "", "`HOST[:PORT]` separated by commas: asked without TLS, and so without credentials";
    IMAGE_LOOKUP_LOCAL_REGISTRIES, "", "`HOST[:PORT]` separated by commas: may have a loopback or link-local address; so may those without TLS";
    IMAGE_LOOKUP_PULL_SECRETS, "`true`", "`false`: no Secret and no ServiceAccount is read; the right to read Secrets can be taken away";
    IMAGE_LOOKUP_ACR_IDENTITY, "`true`", "`false`: the injector's own identity is not used at registries";
    WEBHOOK_CONTAINER_IMAGE_PULL_POLICY, "`IfNotPresent`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_READ_ONLY, "`true`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_NON_ROOT, "`true`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_SECCOMP_RUNTIME_DEFAULT, "`true`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_PRIVILEGED, "`false`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_ALLOW_PRIVILEGE_ESCALATION, "`false`", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_USER_UID, "the pod's, else the image's; 65532 where the pod's is root", "of the init container";
    WEBHOOK_CONTAINER_SECURITY_CONTEXT_GROUP_GID, "the same", "of the init container";
    WEBHOOK_INIT_CONTAINER_REQUESTS_CPU, "`5m`", "of the init container";
    WEBHOOK_INIT_CONTAINER_REQUESTS_MEMORY, "`32Mi`", "of the init container";
    WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY, "`32Mi`", "of the init container";
}
