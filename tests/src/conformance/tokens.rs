//! ServiceAccount tokens that should and should not convince Entra: of an issuer of our own, which can be told to err, and of
//! a real API server.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::issuer::Issuer;
use crate::controlplane::ControlPlane;
use crate::emulator::FederatedCredential;

const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Tokens, and what an application must have registered to be convinced by the good ones.
pub(super) struct Tokens {
    /// What the application registers.
    pub(super) credentials: Vec<FederatedCredential>,
    /// By the names of the target file.
    tokens: Vec<(&'static str, String)>,
}

impl Tokens {
    /// Asks both issuers for their tokens.
    pub(super) async fn collect(issuer: &Issuer, cluster: &ControlPlane) -> anyhow::Result<Self> {
        let credential = FederatedCredential::service_account(issuer.url(), "conformance", "reader");
        let subject = credential.subject.as_str();
        let mut tokens = vec![
            ("valid", issuer.token(subject, AUDIENCE)?),
            (
                "wrongSubject",
                issuer.token("system:serviceaccount:conformance:other", AUDIENCE)?,
            ),
            (
                "wrongAudience",
                issuer.token(subject, "https://kubernetes.default.svc")?,
            ),
            ("wrongIssuer", issuer.token_of_another_issuer(subject, AUDIENCE)?),
            ("expired", issuer.expired_token(subject, AUDIENCE)?),
            ("forged", issuer.forged_token(subject, AUDIENCE)?),
        ];
        let namespace = cluster.namespace("conformance").await?;
        let own_audience = cluster.issuer().await?;
        let token = async |audience: &str| {
            cluster
                .service_account_token(namespace.name(), "default", audience)
                .await
        };
        tokens.push(("apiServer", token(AUDIENCE).await?));
        tokens.push(("apiServerWrongAudience", token(&own_audience).await?));
        let of_cluster = FederatedCredential::service_account(&own_audience, namespace.name(), "default");
        Ok(Self {
            credentials: vec![credential, of_cluster],
            tokens,
        })
    }

    /// Writes each token into a file of its own below `folder`; gives the paths by name.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<Value> {
        let mut files = Map::new();
        for (name, token) in &self.tokens {
            let path = folder.join(format!("token-{name}"));
            fs::write(&path, token).with_context(|| format!("write {}", path.display()))?;
            files.insert((*name).to_owned(), json!(path));
        }
        Ok(files.into())
    }
}
