//! `AdmissionReview`, `admission.k8s.io/v1` and `v1beta1` (which differ in nothing that matters here), read and answered.
//!
//! Format: <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>, "Webhook request and response".

use akv2k8s_shared::api::parse::is_object_name;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Denial;

/// The versions that are understood.
const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// A question of the API server.
#[derive(Debug, PartialEq)]
pub struct Review {
    api_version: String,
    uid: String,
    /// The namespace of the pod, which need not say so itself.
    pub namespace: String,
    /// The pod, when one is being created; null for all else that is asked about.
    pub pod: Value,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    namespace: String,
    operation: String,
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    kind: String,
}

impl Review {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is wrong with it; nothing of its values.
    pub fn read(body: &[u8]) -> Result<Self, String> {
        // The message quotes no more than a field's name or type: a pod's values do not belong into logs.
        let envelope: Envelope = serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => "the body is JSON, but no AdmissionReview with a request".to_owned(),
            _ => format!("the body is no JSON: line {}, column {}", error.line(), error.column()),
        })?;
        if envelope.kind != "AdmissionReview" || !VERSIONS.contains(&envelope.api_version.as_str()) {
            return Err(format!("the body is no AdmissionReview of {}", VERSIONS.join(" or ")));
        }
        let request = envelope.request;
        let is_pod = request.kind.group.is_empty() && request.kind.kind == "Pod" && request.sub_resource.is_empty();
        // It becomes part of addresses at the API server, and not only the API server can send a review.
        if is_pod && !is_object_name(&request.namespace) {
            return Err("the request's namespace is no name".to_owned());
        }
        let pod = match request.object {
            pod @ Value::Object(_) if is_pod && request.operation == "CREATE" => pod,
            _ if is_pod && request.operation == "CREATE" => return Err("the request has no pod in it".to_owned()),
            _ => Value::Null,
        };
        Ok(Self {
            api_version: envelope.api_version,
            uid: request.uid,
            namespace: request.namespace,
            pod,
        })
    }

    /// The pod may be created, with this change.
    pub fn allow(&self, patch: &Patch, warnings: &[String]) -> Value {
        let mut response = json!({"uid": self.uid, "allowed": true});
        if !patch.is_empty() {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(json!(patch).to_string()).into();
        }
        if !warnings.is_empty() {
            response["warnings"] = warnings.into();
        }
        self.answer(response)
    }

    /// The pod may not be created.
    pub fn deny(&self, denial: &Denial) -> Value {
        let status = json!({"code": 403, "reason": "Forbidden", "message": denial.to_string()});
        self.answer(json!({"uid": self.uid, "allowed": false, "status": status}))
    }

    fn answer(&self, mut response: Value) -> Value {
        json!({"apiVersion": self.api_version, "kind": "AdmissionReview", "response": response.take()})
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Diagnosis;
    use json_patch::{AddOperation, PatchOperation};
    use proptest::prelude::*;

    use super::*;

    fn asked(version: &str) -> Value {
        json!({
            "apiVersion": version, "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": "shop", "operation": "CREATE",
                "dryRun": true, "fieldOfTheFuture": 1, "object": {"spec": {}},
            },
        })
    }

    fn read(value: &Value) -> Result<Review, String> {
        Review::read(value.to_string().as_bytes())
    }

    #[test]
    fn it_is_answered_in_the_version_it_was_asked_in() {
        for version in VERSIONS {
            let review = read(&asked(version)).unwrap();
            assert_eq!((review.namespace.as_str(), &review.pod), ("shop", &json!({"spec": {}})));
            let path = json_patch::jsonptr::PointerBuf::from_tokens(["a/b"]);
            let add = AddOperation { path, value: 1.into() };
            let answer = review.allow(&Patch(vec![PatchOperation::Add(add)]), &["look out".to_owned()]);
            let operations = STANDARD.encode(r#"[{"op":"add","path":"/a~1b","value":1}]"#);
            let response = json!({
                "uid": "705ab4f5", "allowed": true, "patchType": "JSONPatch", "patch": operations, "warnings": ["look out"],
            });
            assert_eq!(
                answer,
                json!({"apiVersion": version, "kind": "AdmissionReview", "response": response})
            );
            let nothing = review.allow(&Patch::default(), &[]);
            assert_eq!(nothing["response"], json!({"uid": "705ab4f5", "allowed": true}));
        }
    }

    #[test]
    fn a_denial_has_the_whole_diagnosis() {
        let told = Diagnosis::told("AkvsNotFound", "It is not there. Cause: It was not made. Fix: Make it.");
        let diagnosis = told.unwrap();
        let denial = Denial(Box::new(diagnosis));
        let answer = read(&asked(VERSIONS[0])).unwrap().deny(&denial);
        assert_eq!(answer["response"]["allowed"], false);
        let message = "AkvsNotFound: It is not there. Cause: It was not made. Fix: Make it.";
        assert_eq!(answer["response"]["status"]["message"], message);
    }

    #[test]
    fn what_is_no_new_pod_is_none_of_our_business() {
        for (path, value) in [
            ("/request/operation", json!("UPDATE")),
            ("/request/subResource", json!("ephemeralcontainers")),
            (
                "/request/kind",
                json!({"group": "apps", "version": "v1", "kind": "Deployment"}),
            ),
        ] {
            let mut asked = asked(VERSIONS[0]);
            match asked.pointer_mut(path) {
                Some(place) => *place = value,
                None => asked["request"]["subResource"] = value,
            }
            assert_eq!(read(&asked).unwrap().pod, Value::Null, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named_without_quoting_it() {
        let changed = |path: &str, value: Value| {
            let mut asked = asked(VERSIONS[0]);
            *asked.pointer_mut(path).unwrap() = value;
            asked.to_string()
        };
        for (body, expected) in [
            (String::new(), "no JSON"),
            ("{\"s3cret".to_owned(), "no JSON"),
            ("[]".to_owned(), "no AdmissionReview"),
            (changed("/request", json!("s3cret")), "no AdmissionReview"),
            (changed("/request", json!(null)), "no AdmissionReview"),
            (
                changed("/request/namespace", json!("shop/secrets/x?")),
                "namespace is no name",
            ),
            (changed("/request/namespace", json!("")), "namespace is no name"),
            (changed("/kind", json!("s3cret")), "no AdmissionReview of"),
            (
                changed("/apiVersion", json!("admission.k8s.io/v2")),
                "no AdmissionReview of",
            ),
            (changed("/request/object", json!("s3cret")), "no pod"),
            (changed("/request/object", json!(null)), "no pod"),
        ] {
            let error = Review::read(body.as_bytes()).unwrap_err();
            assert!(error.contains(expected) && !error.contains("s3cret"), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_fail_otherwise(body in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Review::read(&body).is_err());
        }
    }
}
