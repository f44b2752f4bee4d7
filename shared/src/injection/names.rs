//! Names in a pod that was prepared for injection. Those that akv2k8s 1.x users can see are the same here; manifests, policies and
//! dashboards rely on them.

/// Label of a namespace, and of a pod that opts in because its references come from `envFrom`; its value is [`ENABLED`].
pub const LABEL: &str = "azure-key-vault-env-injection";
/// The value of [`LABEL`].
pub const ENABLED: &str = "enabled";

/// Init container that puts the wrapper into [`VOLUME`].
pub const INIT_CONTAINER: &str = "copy-azurekeyvault-env";
/// Volume (`emptyDir` in memory) that carries the wrapper to the containers.
pub const VOLUME: &str = "azure-keyvault-env";
/// Where [`VOLUME`] is mounted.
pub const DIRECTORY: &str = "/azure-keyvault";
/// The wrapper in a mutated container: its `command`.
pub const WRAPPER: &str = "/azure-keyvault/azure-keyvault-env";
/// The wrapper's file name.
pub const PROGRAM: &str = "azure-keyvault-env";

/// Projected volume with the pod's token for the broker.
pub const TOKEN_VOLUME: &str = "azure-keyvault-token";
/// Where [`TOKEN_VOLUME`] is mounted, read-only.
pub const TOKEN_DIRECTORY: &str = "/var/run/secrets/akv2k8s";
/// The token's file in [`TOKEN_DIRECTORY`].
pub const TOKEN_FILE: &str = "token";
/// Audience of that token: nothing but our broker takes it.
pub const TOKEN_AUDIENCE: &str = "akv2k8s-envinjector";

/// The common name of each of the injector's authorities begins so.
pub const AUTHORITY: &str = "akv2k8s env injector";

/// Every variable of the wrapper's own begins so; none of them reaches the program.
pub const OWN_PREFIX: &str = "ENV_INJECTOR_";
/// `true` (default): values come from the broker; `false`: the wrapper asks the vault itself. A Go boolean.
pub const USE_AUTH_SERVICE: &str = "ENV_INJECTOR_USE_AUTH_SERVICE";
/// Set by users on a container: `true` turns the broker off for it. A Go boolean; the name is compared without regard to case.
pub const DISABLE_AUTH_SERVICE: &str = "ENV_INJECTOR_DISABLE_AUTH_SERVICE";
/// The pod's namespace.
pub const POD_NAMESPACE: &str = "ENV_INJECTOR_POD_NAMESPACE";
/// The pod's name.
pub const POD_NAME: &str = "ENV_INJECTOR_POD_NAME";
/// The broker: `https://SERVICE.NAMESPACE.svc:PORT`.
pub const AUTH_SERVICE: &str = "ENV_INJECTOR_AUTH_SERVICE";
/// Certificates of the authorities that sign the broker's certificates, PEM, the current one and the next.
pub const AUTH_SERVICE_CA: &str = "ENV_INJECTOR_AUTH_SERVICE_CA";
/// Path of the token file, when it is not the usual place.
pub const AUTH_SERVICE_TOKEN_FILE: &str = "ENV_INJECTOR_AUTH_SERVICE_TOKEN_FILE";
/// Direct mode: the specs of the AKVS that the container's references name, as a JSON object: AKVS name → its `spec`.
pub const SPECS: &str = "ENV_INJECTOR_SPECS";
/// Further attempts, a number; only kept for those who set it: see [`START_BUDGET`].
pub const RETRIES: &str = "ENV_INJECTOR_RETRIES";
/// Wait before the first of [`RETRIES`], in seconds.
pub const WAIT_BEFORE_RETRY: &str = "ENV_INJECTOR_WAIT_BEFORE_RETRY";
/// How long the wrapper may take until the program starts, in seconds; 60 when unset.
pub const START_BUDGET: &str = "ENV_INJECTOR_START_BUDGET";
/// `fmt` (default) or `json`.
pub const LOG_FORMAT: &str = "ENV_INJECTOR_LOG_FORMAT";
