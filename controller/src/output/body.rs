//! The body of a server-side apply. The only place where a value is turned into text.

use std::collections::BTreeMap;
use std::fmt;

use akv2k8s_shared::object::SecretData;
use akv2k8s_shared::secret::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};

use super::{Desired, Kind, Target};

/// What a Secret's type is when none is asked for.
const OPAQUE: &str = "Opaque";

/// `desired` as a manifest that nobody owns, **with its values**: for people who write Secrets without a controller.
pub fn manifest<'a>(namespace: Option<&'a str>, desired: &'a Desired) -> impl Serialize + 'a {
    let mut body = Body::owned_by(None, desired);
    body.metadata.namespace = namespace;
    body
}

/// An apply configuration.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata<'a>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    secret_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    data: Values<'a>,
    #[serde(skip_serializing_if = "Values::is_empty")]
    binary_data: Values<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner_references: Option<[OwnerReference; 1]>,
}

impl<'a> Body<'a> {
    /// Nothing at all: what its manager owned is removed. Only meant for the object with that `uid`.
    pub(super) fn empty(target: &'a Target, uid: &'a str) -> Self {
        Self {
            api_version: "v1",
            kind: target.kind.as_str(),
            metadata: Metadata {
                name: &target.name,
                namespace: None,
                uid: Some(uid),
                resource_version: None,
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                owner_references: None,
            },
            secret_type: None,
            data: Values::None,
            binary_data: Values::None,
        }
    }

    /// All of `desired`, owned by `owner`.
    pub(super) fn of(desired: &'a Desired, owner: OwnerReference) -> Self {
        Self::owned_by(Some(owner), desired)
    }

    fn owned_by(owner: Option<OwnerReference>, desired: &'a Desired) -> Self {
        let (secret_type, data) = match desired.target.kind {
            Kind::Secret => {
                let secret_type = desired.secret_type.as_deref().unwrap_or(OPAQUE);
                (Some(secret_type), Values::Base64(&desired.data))
            }
            Kind::ConfigMap => (None, Values::Text(&desired.data)),
        };
        let pairs = |map: &'a BTreeMap<String, String>| map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        Self {
            api_version: "v1",
            kind: desired.target.kind.as_str(),
            metadata: Metadata {
                name: &desired.target.name,
                namespace: None,
                uid: None,
                resource_version: None,
                labels: pairs(&desired.labels),
                annotations: pairs(&desired.annotations),
                owner_references: owner.map(|owner| [owner]),
            },
            secret_type,
            data,
            binary_data: Values::Base64(&desired.binary),
        }
    }

    /// Only meant for the object with this UID.
    pub(super) fn with_uid(mut self, uid: &'a str) -> Self {
        self.metadata.uid = Some(uid);
        self
    }

    /// Only meant for the object as it was at this version.
    pub(super) fn with_resource_version(mut self, version: &'a str) -> Self {
        self.metadata.resource_version = Some(version);
        self
    }

    /// Leaves these labels and annotations out.
    pub(super) fn without(mut self, labels: &[String], annotations: &[String]) -> Self {
        self.metadata.labels.retain(|key, _| !labels.iter().any(|l| l == key));
        self.metadata
            .annotations
            .retain(|key, _| !annotations.iter().any(|a| a == key));
        self
    }
}

/// `kube` asks for `Debug`; values stay out of it.
impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} {})", self.kind, self.metadata.name)
    }
}

/// Values in the form their field wants.
enum Values<'a> {
    /// No such field.
    None,
    /// `Secret.data`, `ConfigMap.binaryData`.
    Base64(&'a SecretData),
    /// `ConfigMap.data`.
    Text(&'a SecretData),
}

impl Values<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Base64(data) | Self::Text(data) => data.is_empty(),
        }
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Base64(data) => entries(serializer, data, |value| Ok(STANDARD.encode(value.expose()))),
            Self::Text(data) => entries(serializer, data, |value| {
                value
                    .expose_str()
                    .map(str::to_owned)
                    .ok_or("a value under `data` of a ConfigMap is not UTF-8")
            }),
        }
    }
}

fn entries<S: Serializer>(
    serializer: S,
    data: &SecretData,
    encode: impl Fn(&SecretBytes) -> Result<String, &'static str>,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(data.len()))?;
    for (key, value) in data {
        map.serialize_entry(key, &encode(value).map_err(S::Error::custom)?)?;
    }
    map.end()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{akvs, desired};
    use super::*;

    #[test]
    fn the_body_holds_what_is_wanted_and_nothing_else() {
        let mut wanted = desired(&["k"]);
        wanted.labels = ["app", "tier"].map(|l| (l.to_owned(), "x".to_owned())).into();
        let owner = akvs("a", 1).owner_reference();
        let body = Body::of(&wanted, owner.clone())
            .with_uid("u")
            .with_resource_version("7")
            .without(&["tier".into()], &[]);
        let expected = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"k": "dmFsdWU="},
            "metadata": {"name": "db", "uid": "u", "resourceVersion": "7", "labels": {"app": "x"}, "ownerReferences": [owner]},
        });
        assert_eq!(serde_json::to_value(&body).expect("serialises"), expected);
    }

    #[test]
    fn an_empty_body_names_the_object_and_its_uid_alone() {
        let target = desired(&[]).target;
        let body = serde_json::to_value(Body::empty(&target, "u")).expect("serialises");
        assert_eq!(
            body,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "uid": "u"}})
        );
    }

    #[test]
    fn a_config_map_has_text_and_no_type_and_refuses_what_is_not_text() {
        let mut wanted = desired(&["k"]);
        wanted.target.kind = Kind::ConfigMap;
        let owner = akvs("a", 1).owner_reference();
        let body = serde_json::to_value(Body::of(&wanted, owner.clone())).expect("serialises");
        assert_eq!((&body["data"], body.get("type")), (&json!({"k": "value"}), None));
        wanted.data.insert("l".into(), SecretBytes::new(vec![0xff]));
        assert!(serde_json::to_value(Body::of(&wanted, owner)).is_err());
    }

    #[test]
    fn debug_shows_no_value() {
        let wanted = desired(&["k"]);
        let shown = format!("{:?}", Body::of(&wanted, akvs("a", 1).owner_reference()));
        assert_eq!(shown, "Body(Secret db)");
    }
}
