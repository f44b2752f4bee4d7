//! How to become somebody at Entra, and which cloud that somebody lives in.

mod cloud;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

pub use cloud::Cloud;

use crate::diagnosis::{Code, Diagnosis};
pub use crate::environment::Environment;
use crate::http::HttpClient;

/// How a token is obtained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// An application's client secret.
    ClientSecret,
    /// A Kubernetes service account token, exchanged at Entra.
    WorkloadIdentity,
    /// The identity of the node or container, from the instance metadata service.
    ManagedIdentity,
}

impl Method {
    /// The method as written in status and configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecret => "clientSecret",
            Self::WorkloadIdentity => "workloadIdentity",
            Self::ManagedIdentity => "managedIdentity",
        }
    }
}

/// Who somebody is; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdentityInfo {
    /// How tokens are obtained.
    pub method: Method,
    /// The application's or managed identity's client id; `None` for a node's only identity.
    pub client_id: Option<String>,
    /// The tenant; `None` when the platform knows it.
    pub tenant_id: Option<String>,
}

/// Somebody who can ask Entra for tokens. Cheap to clone; equal when cloud and [`IdentityInfo`] are.
#[derive(Debug, Clone)]
pub struct Identity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cloud: Cloud,
    info: IdentityInfo,
}

impl Identity {
    /// The identity that the variables of contract §4.3 and workload identity describe, first match wins:
    /// `AZURE_CLIENT_SECRET`, `AZURE_FEDERATED_TOKEN_FILE`, else the managed identity (`AZURE_CLIENT_ID` names which).
    pub fn from_environment(
        _environment: &Environment,
        _cloud: Cloud,
        _http: &HttpClient,
    ) -> Result<Self, Box<Diagnosis>> {
        Err(Box::new(Diagnosis::new(
            Code::EnvironmentIncomplete,
            "Identities are not there yet.",
            "They are being written.",
            "Wait for their author.",
        )))
    }

    /// Who this is.
    pub fn info(&self) -> &IdentityInfo {
        &self.inner.info
    }

    /// Where this somebody lives.
    pub fn cloud(&self) -> &Cloud {
        &self.inner.cloud
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.inner.cloud.name == other.inner.cloud.name && self.inner.info == other.inner.info
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.cloud.name.hash(state);
        self.inner.info.hash(state);
    }
}
