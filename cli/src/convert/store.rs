//! Stores of External Secrets: which vault, and as whom it is read.
//!
//! Fields: <https://external-secrets.io/latest/provider/azure-key-vault/>.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{group, some_text, text};

/// What a store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Store {
    /// A vault of Azure.
    Vault {
        name: String,
        /// The ServiceAccount as which it is read, when that is one of the namespace.
        service_account: Option<String>,
    },
    /// Something else: the name of its provider.
    Other(String),
}

/// Stores by kind, namespace (empty for those of the cluster) and name.
pub(super) type Stores = BTreeMap<(String, String, String), Store>;

/// The stores among `documents`.
pub(super) fn stores(documents: &[Value]) -> Stores {
    let is_store = |document: &&Value| {
        let kind = text(document, "/kind");
        group(document) == "external-secrets.io" && (kind == "SecretStore" || kind == "ClusterSecretStore")
    };
    let key = |document: &Value| {
        let [kind, namespace, name] =
            ["/kind", "/metadata/namespace", "/metadata/name"].map(|at| text(document, at).to_owned());
        (kind, namespace, name)
    };
    documents
        .iter()
        .filter(is_store)
        .map(|document| (key(document), store(document)))
        .collect()
}

fn store(document: &Value) -> Store {
    let Some(azure) = document.pointer("/spec/provider/azurekv") else {
        let provider = document.pointer("/spec/provider").and_then(Value::as_object);
        let name = provider.and_then(|provider| provider.keys().next());
        return Store::Other(name.cloned().unwrap_or_default());
    };
    let url = text(azure, "/vaultUrl");
    let host = url.trim_start_matches("https://");
    let of_namespace = text(document, "/kind") == "SecretStore" && text(azure, "/authType") == "WorkloadIdentity";
    let account = some_text(azure, "/serviceAccountRef/name").filter(|_| of_namespace);
    Store::Vault {
        name: host.split('.').next().unwrap_or_default().to_owned(),
        service_account: account.map(str::to_owned),
    }
}
