//! What the installation decides of every pod that is prepared.

/// How pods are prepared in this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Image of the init container; it has the wrapper in it.
    pub image: String,
    /// Its `imagePullPolicy`.
    pub image_pull_policy: String,
    /// What the init container may do.
    pub security: Security,
    /// What it may use.
    pub resources: Resources,
    /// The broker as pods reach it, `https://SERVICE.NAMESPACE.svc:PORT`; `None`: wrappers ask the vault themselves.
    pub broker: Option<String>,
}

/// The init container's security context. The default meets the *restricted* pod security standard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a field of Kubernetes' security context"
)]
pub struct Security {
    /// `readOnlyRootFilesystem`.
    pub read_only: bool,
    /// `runAsNonRoot`.
    pub non_root: bool,
    /// `privileged`.
    pub privileged: bool,
    /// `allowPrivilegeEscalation`; `None` leaves it out, as a privileged container has to.
    pub allow_privilege_escalation: Option<bool>,
    /// `runAsUser`; `None`: the pod's, else the image's.
    pub user: Option<u32>,
    /// `runAsGroup`; `None`: the pod's, else the image's.
    pub group: Option<u32>,
    /// Whether the seccomp profile is `RuntimeDefault`; else it is the pod's.
    pub seccomp_runtime_default: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            read_only: true,
            non_root: true,
            privileged: false,
            allow_privilege_escalation: Some(false),
            user: None,
            group: None,
            seccomp_runtime_default: true,
        }
    }
}

/// The init container's resources, each a Kubernetes quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resources {
    /// `requests.cpu`.
    pub requests_cpu: String,
    /// `requests.memory`.
    pub requests_memory: String,
    /// `limits.memory`; the copy of the wrapper counts, too, since it goes to memory.
    pub limits_memory: String,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            requests_cpu: "5m".to_owned(),
            requests_memory: "32Mi".to_owned(),
            limits_memory: "32Mi".to_owned(),
        }
    }
}
