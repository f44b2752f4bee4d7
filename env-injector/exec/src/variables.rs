//! The variables of the wrapper alone.

use akv2k8s_shared::injection::names;

akv2k8s_shared::variables! {
    /// Where values come from, and for how long they are waited for.
    pub(crate) TABLE:
    START_BUDGET = names::START_BUDGET, "`60`", "seconds until the program must have started; what may pass (a broker or sidecar that is not ready, an outage, throttling) is tried again that long, with pauses that double up to 5 s";
    RETRIES = names::RETRIES, "no limit", "further attempts";
    WAIT_BEFORE_RETRY = names::WAIT_BEFORE_RETRY, "`0.25`", "seconds of the first pause; whole numbers";
    LOG_FORMAT = names::LOG_FORMAT, "`fmt`", "`json`: a failure is one line of JSON, as in [logging.md](../logging.md#the-wrapper)";
    DISABLE_AUTH_SERVICE = names::DISABLE_AUTH_SERVICE, "`false`", "set by users on a container: `true` turns the broker off for it; the case of the name does not matter";
    USE_AUTH_SERVICE = names::USE_AUTH_SERVICE, "", "`true`: values come from the broker; `false`: the wrapper reads vaults itself. Set by the webhook";
    AUTH_SERVICE = names::AUTH_SERVICE, "", "the broker, `https://HOST:PORT`. Set by the webhook";
    AUTH_SERVICE_CA = names::AUTH_SERVICE_CA, "", "the authorities that sign its certificates, PEM. Set by the webhook";
    AUTH_SERVICE_TOKEN_FILE = names::AUTH_SERVICE_TOKEN_FILE, "`/var/run/secrets/akv2k8s/token`", "the pod's token for the broker";
    SPECS = names::SPECS, "", "specs of AzureKeyVaultSecrets as a JSON object, by name. Set by the webhook where there is no broker; without it they are read from the API server";
    POD_NAMESPACE = names::POD_NAMESPACE, "that of the ServiceAccount", "where AzureKeyVaultSecrets are, where there is no broker. Set by the webhook";
    KUBERNETES_SERVICE_HOST, "", "where the API server is. Set by Kubernetes";
    KUBERNETES_SERVICE_PORT, "`443`", "its port. Set by Kubernetes";
}
