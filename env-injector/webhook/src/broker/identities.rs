//! As whom vaults are read.

use akv2k8s_shared::diagnosis::{Code, Diagnosis, Retry};
use akv2k8s_shared::identity::{Identity, Provider, TokenError};
use async_trait::async_trait;

/// Tells who reads.
#[async_trait]
pub trait Identities: Send + Sync {
    /// The injector's own identity; or that of a ServiceAccount of `namespace`.
    ///
    /// # Errors
    /// There is none, it may not be used, or cannot be found out now.
    async fn identity(&self, namespace: &str, service_account: Option<&str>) -> Result<Identity, TokenError>;
}

/// The injector's own identity, and nobody else's.
#[async_trait]
impl Identities for Provider {
    async fn identity(&self, namespace: &str, service_account: Option<&str>) -> Result<Identity, TokenError> {
        let slowly = |diagnosis| TokenError {
            diagnosis,
            retry: Retry::Slowly,
        };
        if let Some(name) = service_account {
            let what =
                format!("Vaults are not read as ServiceAccount '{name}' of namespace '{namespace}', nor as any other.");
            return Err(slowly(Diagnosis::of(Code::ServiceAccountIdentitiesOff, what, &[])));
        }
        self.identity().await.map_err(|diagnosis| slowly(*diagnosis))
    }
}
