//! Secrets and ConfigMaps as they are in the cluster, with values that cannot be printed.

use std::collections::BTreeMap;
use std::fmt;

use akv2k8s_controller::output::{Kind, Target};
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::secret::SecretBytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::GetParams;
use kube::core::Request;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::cluster::{Cluster, seen};

/// One object.
pub(crate) struct Live {
    pub(crate) metadata: ObjectMeta,
    /// The type of a Secret.
    pub(crate) secret_type: Option<String>,
    /// `data` and `binaryData` together.
    pub(crate) data: BTreeMap<String, SecretBytes>,
}

#[derive(serde::Deserialize)]
struct SecretBody {
    metadata: ObjectMeta,
    #[serde(rename = "type")]
    secret_type: Option<String>,
    #[serde(default)]
    data: Values<Base64>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfigMapBody {
    metadata: ObjectMeta,
    #[serde(default)]
    data: Values<Plain>,
    #[serde(default)]
    binary_data: Values<Base64>,
}

impl Live {
    /// Reads `target`.
    ///
    /// # Errors
    /// The API server failed in another way than 403 or 404.
    pub(crate) async fn read(cluster: &Cluster, namespace: &str, target: &Target) -> anyhow::Result<Seen<Self>> {
        let what = target.to_string();
        let client = &cluster.client;
        match target.kind {
            Kind::Secret => {
                let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
                let request = Request::new(api.resource_url()).get(&target.name, &GetParams::default())?;
                let body = seen(client.request::<SecretBody>(request).await, &what)?;
                Ok(found(body, |body| Self {
                    metadata: body.metadata,
                    secret_type: body.secret_type,
                    data: body.data.0,
                }))
            }
            Kind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
                let request = Request::new(api.resource_url()).get(&target.name, &GetParams::default())?;
                let body = seen(client.request::<ConfigMapBody>(request).await, &what)?;
                Ok(found(body, |body| Self {
                    metadata: body.metadata,
                    secret_type: None,
                    data: body.data.0.into_iter().chain(body.binary_data.0).collect(),
                }))
            }
        }
    }
}

fn found<A, B>(seen: Seen<A>, then: impl FnOnce(A) -> B) -> Seen<B> {
    match seen {
        Seen::Found(it) => Seen::Found(then(it)),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    }
}

/// How values are written in a field.
trait Writing {
    fn read(text: &str) -> Option<SecretBytes>;
}

/// `Secret.data`, `ConfigMap.binaryData`.
struct Base64;
/// `ConfigMap.data`.
struct Plain;

impl Writing for Base64 {
    fn read(text: &str) -> Option<SecretBytes> {
        STANDARD.decode(text).ok().map(SecretBytes::new)
    }
}

impl Writing for Plain {
    fn read(text: &str) -> Option<SecretBytes> {
        Some(SecretBytes::from(text))
    }
}

/// Keys and values; `null` is none.
struct Values<W>(BTreeMap<String, SecretBytes>, std::marker::PhantomData<W>);

impl<W> Default for Values<W> {
    fn default() -> Self {
        Self(BTreeMap::new(), std::marker::PhantomData)
    }
}

impl<'de, W: Writing> Deserialize<'de> for Values<W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<W>(std::marker::PhantomData<W>);
        impl<'de, W: Writing> Visitor<'de> for Pairs<W> {
            type Value = Values<W>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys and values")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Values::default())
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut values = Values::default();
                while let Some((key, text)) = map.next_entry::<String, String>()? {
                    let text = SecretBytes::from(text);
                    let read = text.expose_str().and_then(W::read);
                    // The key alone is told.
                    let value = read.ok_or_else(|| M::Error::custom(format!("{key:?} is not base64")))?;
                    values.0.insert(key, value);
                }
                Ok(values)
            }
        }
        deserializer.deserialize_any(Pairs(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_in_the_writing_of_their_field_and_a_bad_one_is_not_repeated() {
        let secret: SecretBody =
            serde_json::from_str(r#"{"metadata": {}, "type": "Opaque", "data": {"k": "/wA="}}"#).unwrap();
        assert_eq!(secret.data.0["k"].expose(), [0xff, 0]);
        let map: ConfigMapBody =
            serde_json::from_str(r#"{"metadata": {}, "data": {"k": "/wA="}, "binaryData": null}"#).unwrap();
        assert_eq!(map.data.0["k"].expose(), b"/wA=");
        let error = serde_json::from_str::<SecretBody>(r#"{"metadata": {}, "data": {"k": "can%ary"}}"#).err();
        let text = error.unwrap().to_string();
        assert!(text.contains("\"k\"") && !text.contains("can"), "{text}");
    }
}
