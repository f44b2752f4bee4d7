//! An AKVS as the API server has it, which may be anything: definitions of upstream's check less than ours.

use std::borrow::Cow;

use akv2k8s_shared::api::{AzureKeyVaultSecret, StatusOutput};
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::ObjectMeta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An AKVS, or what can be read of one. One that cannot be read must not hide the others of its list.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    Valid(Box<AzureKeyVaultSecret>),
    Malformed(Box<Malformed>),
}

/// An object that is not what its type says.
#[derive(Debug, Clone)]
pub(crate) struct Malformed {
    /// Its metadata.
    pub(crate) metadata: ObjectMeta,
    /// Why it cannot be read.
    pub(crate) error: String,
    /// Those of its `status.outputs` that can be read: they are to be released with it.
    pub(crate) outputs: Vec<StatusOutput>,
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(match AzureKeyVaultSecret::deserialize(&value) {
            Ok(akvs) => Self::Valid(Box::new(akvs)),
            Err(error) => Self::Malformed(Box::new(Malformed {
                metadata: ObjectMeta::deserialize(&value["metadata"]).map_err(D::Error::custom)?,
                error: error.to_string(),
                outputs: outputs(&value["status"]["outputs"]),
            })),
        })
    }
}

/// What can be read of a list of outputs.
fn outputs(value: &Value) -> Vec<StatusOutput> {
    let outputs = value.as_array().into_iter().flatten();
    outputs.filter_map(|it| StatusOutput::deserialize(it).ok()).collect()
}

impl Resource for Seen {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        AzureKeyVaultSecret::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        AzureKeyVaultSecret::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        AzureKeyVaultSecret::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        AzureKeyVaultSecret::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Valid(akvs) => &akvs.metadata,
            Self::Malformed(malformed) => &malformed.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Valid(akvs) => &mut akvs.metadata,
            Self::Malformed(malformed) => &mut malformed.metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(spec: &Value, status: &Value) -> Seen {
        let object = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "a", "namespace": "n"}, "spec": spec, "status": status,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn of_a_malformed_object_the_outputs_are_read_that_can_be() {
        let fine = json!({"vault": {"name": "kv1", "object": {"name": "s", "type": "secret"}}});
        let output = json!({"kind": "Secret", "name": "db", "keys": ["k"]});
        let sound = json!({"outputs": [output]});
        assert!(matches!(seen(&fine, &sound), Seen::Valid(_)));
        for (spec, status, count) in [
            (json!({"vault": 7}), sound, 1),
            (
                fine.clone(),
                json!({"outputs": [output, {"kind": "Pod", "name": "x"}, 7]}),
                1,
            ),
            (fine.clone(), json!({"outputs": [output], "conditions": 7}), 1),
            (fine.clone(), json!({"outputs": 7}), 0),
            (fine, json!(7), 0),
        ] {
            let Seen::Malformed(malformed) = seen(&spec, &status) else {
                panic!("{spec} {status} can be read")
            };
            assert_eq!(malformed.outputs.len(), count, "{spec} {status}");
            assert_eq!(malformed.metadata.name.as_deref(), Some("a"));
        }
    }
}
