//! The few requests outputs are read and written with. Every answer is metadata, or a number: no value ever comes back.

use std::fmt::Debug;

use axum::http::Request;
use axum::http::header::ACCEPT;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde::Serialize;
use serde_json::{Value, json};

use super::body::Body;
use super::meta::OutputMeta;
use super::{Kind, Target};

/// How kubectl asks for the columns it prints.
const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

/// How much data an object has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// So many keys.
    Keys(usize),
    /// There is no such object.
    Absent,
    /// The answer has no such column: whoever answers for the API server does not make tables.
    NotTold,
}

/// One object of the API server.
pub(super) struct Object<'a> {
    client: kube::Client,
    namespace: &'a str,
    api: Api<DynamicObject>,
    target: &'a Target,
}

impl<'a> Object<'a> {
    /// The object `target` in `namespace`.
    pub(super) fn new(client: &kube::Client, namespace: &'a str, target: &'a Target) -> Self {
        let resource = match target.kind {
            Kind::Secret => ApiResource::erase::<Secret>(&()),
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        };
        Self {
            client: client.clone(),
            namespace,
            api: Api::namespaced_with(client.clone(), namespace, &resource),
            target,
        }
    }

    /// Which object it is.
    pub(super) fn target(&self) -> &'a Target {
        self.target
    }

    /// The client it is read and written with, and its namespace.
    pub(super) fn place(&self) -> (&kube::Client, &'a str) {
        (&self.client, self.namespace)
    }

    /// Its metadata; `None`: it does not exist.
    pub(super) async fn metadata(&self) -> Result<Option<ObjectMeta>, kube::Error> {
        Ok(self
            .api
            .get_metadata_opt(&self.target.name)
            .await?
            .map(|object| object.metadata))
    }

    /// How many keys its data has, as the column `DATA` of kubectl says.
    pub(super) async fn size(&self) -> Result<Size, kube::Error> {
        let path = format!("{}/{}?includeObject=None", self.api.resource_url(), self.target.name);
        let request = Request::get(path).header(ACCEPT, TABLE).body(Vec::new());
        let request = request.map_err(kube::Error::HttpError)?;
        match self.client.request::<Value>(request).await {
            Ok(table) => Ok(data_column(&table).map_or(Size::NotTold, Size::Keys)),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Size::Absent),
            Err(error) => Err(error),
        }
    }

    /// Server-side apply as `manager`.
    pub(super) async fn apply(&self, manager: &str, force: bool, body: &Body<'_>) -> Result<ObjectMeta, kube::Error> {
        let params = PatchParams {
            force,
            ..PatchParams::apply(manager)
        };
        self.patch(&params, &Patch::Apply(body)).await
    }

    /// Replaces `managedFields` of exactly the version `meta`, and its owner references if given.
    pub(super) async fn replace_ownership(
        &self,
        meta: &ObjectMeta,
        managed_fields: Vec<ManagedFieldsEntry>,
        owner_references: Option<Vec<OwnerReference>>,
    ) -> Result<ObjectMeta, kube::Error> {
        // An empty list would mean "leave it to the server"; a list of one empty entry clears it.
        let managed_fields = if managed_fields.is_empty() {
            vec![ManagedFieldsEntry::default()]
        } else {
            managed_fields
        };
        let mut body = json!({
            "metadata": {
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
                "managedFields": managed_fields,
            }
        });
        if let Some(references) = owner_references {
            body["metadata"]["ownerReferences"] = json!(references);
        }
        self.patch(&PatchParams::default(), &Patch::Merge(body)).await
    }

    /// Deletes exactly what was seen. Where finalizers keep it for the time being: what is still there.
    pub(super) async fn delete(&self, seen: &OutputMeta) -> Result<Option<ObjectMeta>, kube::Error> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(seen.uid.to_string()),
                resource_version: Some(seen.resource_version.to_string()),
            }),
            ..DeleteParams::default()
        };
        let answer = self.api.delete(&self.target.name, &params).await?;
        let kept = answer.left().map(|object| object.metadata);
        Ok(kept.filter(|meta| meta.finalizers.as_ref().is_some_and(|it| !it.is_empty())))
    }

    async fn patch<P: Serialize + Debug>(
        &self,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<ObjectMeta, kube::Error> {
        Ok(self
            .api
            .patch_metadata(&self.target.name, params, patch)
            .await?
            .metadata)
    }
}

/// The number under `Data` in the only row.
fn data_column(table: &Value) -> Option<usize> {
    let columns = table["columnDefinitions"].as_array()?;
    let at = columns.iter().position(|column| column["name"] == "Data")?;
    table["rows"][0]["cells"][at].as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_by_the_column_alone() {
        let table = |column: &str, cell: Value| {
            json!({
                "kind": "Table", "columnDefinitions": [{"name": "Name"}, {"name": column}],
                "rows": [{"cells": ["db", cell]}],
            })
        };
        assert_eq!(data_column(&table("Data", json!(2))), Some(2));
        for told in [
            table("Age", json!(2)),
            table("Data", json!("<none>")),
            json!({"kind": "Table", "columnDefinitions": [{"name": "Data"}], "rows": []}),
            json!({"kind": "PartialObjectMetadata", "metadata": {"name": "db"}}),
            json!({"kind": "Secret", "data": {"k": "dg=="}}),
        ] {
            assert_eq!(data_column(&told), None, "{told}");
        }
    }
}
