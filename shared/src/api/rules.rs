//! CEL rules of the CRD: they refuse at `kubectl apply` only what no controller could ever sync, and say what to write.
//!
//! [`super::parse`] decides the same in Rust, for objects stored before the rules; the API server lets those be updated
//! as long as the offending part is left alone (CRD validation ratcheting).

use kube::core::{Rule, validate};
use schemars::Schema;

/// Secret types whose keys follow from the type when the object is a secret.
const TYPES_WITH_KEYS: &str = "['kubernetes.io/basic-auth', 'kubernetes.io/dockerconfigjson', \
                               'kubernetes.io/dockercfg', 'kubernetes.io/ssh-auth', 'kubernetes.io/tls']";

/// Longest name of a Kubernetes object and longest key of its data.
const LONGEST_NAME: u64 = 253;

/// Rules on `spec`: what needs both the vault object's type and the output.
pub(super) fn spec(schema: &mut Schema) {
    add(
        schema,
        &format!(
            "!has(self.output) || !has(self.output.secret) || self.vault.object.type == 'multi-key-value-secret' \
             || (self.vault.object.type == 'secret' && has(self.output.secret.type) && self.output.secret.type in {TYPES_WITH_KEYS}) \
             || (self.vault.object.type == 'certificate' && has(self.output.secret.type) && self.output.secret.type == 'kubernetes.io/tls') \
             || (has(self.output.secret.dataKey) && self.output.secret.dataKey != '')"
        ),
        "output.secret.dataKey is missing: write the key under which the value goes, for example 'dataKey: password' \
         (only typed Secrets and multi-key-value-secret name their keys themselves)",
    );
    add(
        schema,
        "!has(self.output) || !has(self.output.configMap) || self.vault.object.type == 'multi-key-value-secret' \
         || self.output.configMap.dataKey != ''",
        "output.configMap.dataKey is empty: write the key under which the value goes, for example 'dataKey: settings.json'",
    );
    known_transforms(schema, "transform");
    known_transforms(schema, "transforms");
}

/// Rule on `spec`: the steps in `output.{field}` are known (they have no effect on other types than `secret`).
fn known_transforms(schema: &mut Schema, field: &str) {
    add(
        schema,
        &format!(
            "self.vault.object.type != 'secret' || !has(self.output) || !has(self.output.{field}) \
             || self.output.{field}.all(step, step in ['trim', 'base64encode', 'base64decode'])"
        ),
        &format!("unknown step in output.{field}: write 'trim', 'base64encode' or 'base64decode'"),
    );
}

/// Rules on `spec.vault`: the vault's name and the ServiceAccount's.
pub(super) fn vault(schema: &mut Schema) {
    add_to(
        schema,
        "name",
        "size(self) >= 3 && size(self) <= 24 && self.matches('^[a-zA-Z](-?[a-zA-Z0-9])*$')",
        "not a vault name: write the vault's short name, 3 to 24 letters, digits and single hyphens, beginning with a \
         letter, without https:// and without the DNS suffix, for example 'name: my-vault'",
    );
    object_name(
        schema,
        "serviceAccountName",
        "a ServiceAccount's",
        "'serviceAccountName: vault-reader', one of the same namespace",
    );
}

/// Rules on `spec.vault.object`: name, version, content type.
pub(super) fn vault_object(schema: &mut Schema) {
    add_to(
        schema,
        "name",
        "size(self) <= 127 && self.matches('^[a-zA-Z0-9-]+$')",
        "not a vault object's name: write 1 to 127 letters, digits and hyphens, for example 'name: db-password'",
    );
    add_to(
        schema,
        "version",
        "self.matches('^([a-fA-F0-9]{32})?$')",
        "not an object version: write its 32 hexadecimal digits, or leave 'version' out to follow the latest",
    );
    add(
        schema,
        "self.type != 'multi-key-value-secret' || has(self.contentType)",
        "contentType is missing: a multi-key-value-secret needs 'contentType: application/x-json' or \
         'contentType: application/x-yaml'",
    );
}

/// Rules on `spec.output.secret`: its name and key.
pub(super) fn secret_output(schema: &mut Schema) {
    object_name(schema, "name", "a Secret's", "'name: db-credentials'");
    data_key(schema);
}

/// Rules on `spec.output.configMap`: its name and key.
pub(super) fn config_map_output(schema: &mut Schema) {
    object_name(schema, "name", "a ConfigMap's", "'name: db-credentials'");
    data_key(schema);
}

/// The property is the name of a Kubernetes object.
fn object_name(schema: &mut Schema, property: &str, whose: &str, example: &str) {
    add_to(
        schema,
        property,
        &format!(
            "size(self) <= {LONGEST_NAME} && self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?([.][a-z0-9]([a-z0-9-]*[a-z0-9])?)*$')"
        ),
        &format!(
            "not {whose} name: write lower-case letters, digits, '-' and '.', beginning and ending with a letter or \
             digit, for example {example}"
        ),
    );
}

fn data_key(schema: &mut Schema) {
    add_to(
        schema,
        "dataKey",
        &format!(
            "size(self) <= {LONGEST_NAME} && self.matches('^[a-zA-Z0-9._-]*$') && self != '.' && !self.startsWith('..')"
        ),
        "not a data key: write letters, digits, '-', '_' and '.', for example 'dataKey: password'",
    );
}

/// Adds a rule on the property called `name`.
fn add_to(schema: &mut Schema, name: &str, rule: &str, message: &str) {
    let property = schema
        .ensure_object()
        .get_mut("properties")
        .and_then(|properties| properties.get_mut(name))
        .expect("rules name properties of the struct they stand on");
    let mut inner = Schema::try_from(property.take()).expect("a derived property is a schema");
    add(&mut inner, rule, message);
    *property = inner.to_value();
}

fn add(schema: &mut Schema, rule: &str, message: &str) {
    validate(schema, Rule::new(rule).message(message)).expect("a rule of two texts serialises");
}
