//! A kubeconfig of one cluster and one user.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::pki::Pair;

/// Where an API server is, and who asks it. Its text is what goes into the file.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    cluster: Value,
    user: Value,
    context: Value,
}

impl Kubeconfig {
    /// For `user`, as kubeconfigs have users: with a `token`, a `tokenFile`, …
    pub(super) fn new(server_url: &str, ca_pem: &str, user: Value) -> Self {
        Self {
            cluster: json!({"server": server_url, "certificate-authority-data": STANDARD.encode(ca_pem)}),
            user,
            context: json!({"cluster": "testbed", "user": "user"}),
        }
    }

    /// For whoever `pair` is the certificate of.
    pub(super) fn of(server_url: &str, ca_pem: &str, pair: &Pair) -> Self {
        let user = json!({
            "client-certificate-data": STANDARD.encode(&pair.certificate),
            "client-key-data": STANDARD.encode(&pair.key),
        });
        Self::new(server_url, ca_pem, user)
    }

    /// With another field of the cluster, or another value of it.
    #[must_use]
    pub fn with(mut self, field: &str, value: &str) -> Self {
        self.cluster[field] = value.into();
        self
    }

    /// With the namespace that counts when none is named.
    #[must_use]
    pub fn in_namespace(mut self, name: &str) -> Self {
        self.context["namespace"] = name.into();
        self
    }
}

impl fmt::Display for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // JSON is YAML.
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "testbed",
            "contexts": [{"name": "testbed", "context": self.context}],
            "clusters": [{"name": "testbed", "cluster": self.cluster}],
            "users": [{"name": "user", "user": self.user}],
        });
        writeln!(f, "{document:#}")
    }
}
