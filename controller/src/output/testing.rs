//! Objects for table tests.

use akv2k8s_shared::api::{StatusOutput, StatusOutputKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta, OwnerReference};
use serde_json::{Value, json};

use super::meta::OutputMeta;
use super::owner::AkvsId;
use super::{Desired, Kind, Target};

/// An AKVS in namespace `team`, created at second `age` of a fixed minute.
pub(super) fn akvs(name: &str, age: u8) -> AkvsId {
    AkvsId {
        namespace: "team".into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        created: format!("2026-01-01T00:00:{age:02}Z").parse().expect("a timestamp"),
    }
}

/// Secret `db`.
pub(super) fn secret() -> Target {
    Target {
        kind: Kind::Secret,
        name: "db".into(),
    }
}

/// Secret `db` with these keys.
pub(super) fn desired(keys: &[&str]) -> Desired {
    Desired {
        target: secret(),
        secret_type: None,
        data: keys.iter().map(|key| ((*key).to_owned(), "value".into())).collect(),
        binary: [].into(),
        labels: [].into(),
        annotations: [].into(),
    }
}

/// What the status says of Secret `db`.
pub(super) fn recorded(keys: &[&str]) -> StatusOutput {
    StatusOutput {
        kind: StatusOutputKind::Secret,
        name: "db".into(),
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        uid: Some("uid-of-db".into()),
    }
}

/// Secret `db` as the API server describes it.
pub(super) struct Object(pub(super) ObjectMeta);

impl Object {
    pub(super) fn new() -> Self {
        Self(ObjectMeta {
            name: Some("db".into()),
            namespace: Some("team".into()),
            uid: Some("uid-of-db".into()),
            resource_version: Some("7".into()),
            ..ObjectMeta::default()
        })
    }

    pub(super) fn owned_by(mut self, akvs: &AkvsId) -> Self {
        self.0
            .owner_references
            .get_or_insert_default()
            .push(akvs.owner_reference());
        self
    }

    pub(super) fn owned_by_a(mut self, kind: &str) -> Self {
        self.0.owner_references.get_or_insert_default().push(OwnerReference {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            name: "x".into(),
            uid: "uid-x".into(),
            ..OwnerReference::default()
        });
        self
    }

    pub(super) fn labelled(mut self, key: &str, value: &str) -> Self {
        self.0.labels.get_or_insert_default().insert(key.into(), value.into());
        self
    }

    /// Everything an AKVS applies.
    pub(super) fn applied(self, akvs: &AkvsId, keys: &[&str], labels: &[&str]) -> Self {
        let reference = format!("k:{{\"uid\":\"{}\"}}", akvs.uid);
        let fields = json!({
            "f:data": names(keys),
            "f:metadata": {"f:labels": names(labels), "f:ownerReferences": {reference: {}}},
            "f:type": {},
        });
        self.managed(&akvs.manager(), "Apply", fields)
    }

    /// One entry of `managedFields`.
    pub(super) fn managed(mut self, manager: &str, operation: &str, fields: Value) -> Self {
        self.0.managed_fields.get_or_insert_default().push(ManagedFieldsEntry {
            manager: Some(manager.into()),
            operation: Some(operation.into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        });
        self
    }

    pub(super) fn meta(&self) -> OutputMeta {
        OutputMeta::of(&self.0)
    }
}

/// `{"f:a": {}, "f:b": {}}`.
pub(super) fn names(keys: &[&str]) -> Value {
    keys.iter()
        .map(|key| (format!("f:{key}"), json!({})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
