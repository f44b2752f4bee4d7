//! An AKVS that is being made.

use serde_json::{Map, Value, json};

/// What it reads.
#[derive(Debug, Default, Clone)]
pub(super) struct Source {
    pub(super) vault: String,
    pub(super) name: String,
    /// `secret`, `certificate`, `key` or `multi-key-value-secret`.
    pub(super) object_type: &'static str,
    pub(super) version: Option<String>,
    /// The ServiceAccount as which the vault is read.
    pub(super) service_account: Option<String>,
}

/// Where and as what it goes.
#[derive(Debug, Default, Clone)]
pub(super) struct Target {
    pub(super) secret: String,
    /// Left out: `Opaque`.
    pub(super) secret_type: Option<String>,
    pub(super) data_key: Option<String>,
    pub(super) key_format: Option<&'static str>,
    pub(super) transform: Option<&'static str>,
}

/// The manifest; `like` gives namespace, `labels` and `annotations` go to the outputs, too.
pub(super) fn manifest(name: &str, like: &Value, pairs: &Pairs, source: &Source, target: Option<&Target>) -> Value {
    let mut metadata = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(namespace) = like.pointer("/metadata/namespace") {
        metadata.insert("namespace".to_owned(), namespace.clone());
    }
    for (field, pairs) in [("labels", &pairs.labels), ("annotations", &pairs.annotations)] {
        if !pairs.is_empty() {
            metadata.insert(field.to_owned(), Value::Object(pairs.clone()));
        }
    }
    let mut object = json!({"name": source.name, "type": source.object_type});
    if source.object_type == "multi-key-value-secret" {
        object["contentType"] = json!("application/x-json");
    }
    if let Some(version) = &source.version {
        object["version"] = json!(version);
    }
    let mut vault = json!({"name": source.vault, "object": object});
    if let Some(account) = &source.service_account {
        vault["serviceAccountName"] = json!(account);
    }
    let mut spec = json!({"vault": vault});
    if let Some(target) = target {
        spec["output"] = output(target);
    }
    json!({"apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": metadata, "spec": spec})
}

/// Labels and annotations.
#[derive(Debug, Default, Clone)]
pub(super) struct Pairs {
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
}

impl Pairs {
    /// Those at `value`.
    pub(super) fn of(value: &Value) -> Self {
        let pairs = |field: &str| value.get(field).and_then(Value::as_object).cloned().unwrap_or_default();
        Self {
            labels: pairs("labels"),
            annotations: pairs("annotations"),
        }
    }
}

fn output(target: &Target) -> Value {
    let mut secret = json!({"name": target.secret});
    if let Some(secret_type) = &target.secret_type {
        secret["type"] = json!(secret_type);
    }
    if let Some(data_key) = &target.data_key {
        secret["dataKey"] = json!(data_key);
    }
    let mut output = json!({"secret": secret});
    if let Some(format) = target.key_format {
        output["keyFormat"] = json!(format);
    }
    if let Some(transform) = target.transform {
        output["transform"] = json!([transform]);
    }
    output
}
