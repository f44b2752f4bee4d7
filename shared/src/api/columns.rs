//! What `kubectl get akvs` prints. Each version has the columns it always had, in their order, and then [`ADDED`].

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

/// Heading, type, and path of a column.
pub(super) type Column = (&'static str, &'static str, &'static str);

pub(super) const VAULT: Column = ("Vault", "string", ".spec.vault.name");
pub(super) const VAULT_OBJECT: Column = ("Vault Object", "string", ".spec.vault.object.name");
pub(super) const SECRET_NAME: Column = ("Secret Name", "string", SECRET_NAME_PATH);
pub(super) const SECRET_NAME_PATH: &str = ".status.secretName";
pub(super) const CONFIG_MAP_NAME: Column = ("ConfigMap Name", "string", ".status.configMapName");
pub(super) const SYNCHED: Column = ("Synched", "date", SYNCHED_PATH);
pub(super) const SYNCHED_PATH: &str = ".status.lastAzureUpdate";
pub(super) const AGE: Column = ("Age", "date", ".metadata.creationTimestamp");

/// Columns that all versions gained.
pub(super) const ADDED: [Column; 3] = [
    ("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#),
    ("Reason", "string", r#".status.conditions[?(@.type=="Ready")].reason"#),
    ("Version", "string", ".status.objectVersion"),
];

/// The column as the CustomResourceDefinition writes it.
pub(super) fn definition((name, type_, json_path): Column) -> CustomResourceColumnDefinition {
    CustomResourceColumnDefinition {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        ..Default::default()
    }
}
