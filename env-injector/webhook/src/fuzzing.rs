//! What the fuzz targets of `tests/fuzz` call: what strangers send is read, and what has to hold of the outcome is asserted.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::{Facts, Resources, Review, Security, Settings, mutate};
pub use crate::broker::fuzzing::request as broker_request;
use crate::cluster::{Knowledge, Specs};
pub use crate::registry::fuzzing::image;

/// The body of an `AdmissionReview`: whatever pod is in it, the patch applies to that pod.
pub fn review(body: &[u8]) {
    let Ok(review) = Review::read(body) else { return };
    for broker in [Some("https://akv2k8s-envinjector.akv2k8s.svc:9443".to_owned()), None] {
        let settings = Settings {
            image: "example.org/azure-keyvault-env:1".to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            security: Security::default(),
            resources: Resources::default(),
            broker,
        };
        let facts = Facts {
            settings: &settings,
            authorities: "PEM",
            namespace: &review.namespace,
            specs: &specs(),
            not_told: &BTreeMap::new(),
            knowledge: Knowledge::Current,
            images: &HashMap::new(),
        };
        let Ok(outcome) = mutate(&review.pod, &facts) else {
            continue;
        };
        let mut pod = review.pod.clone();
        json_patch::patch(&mut pod, &outcome.patch).expect("a patch applies to the pod it was made for");
        let answer = review.allow(&outcome.patch, &outcome.warnings);
        assert_eq!(answer["response"]["allowed"], true);
    }
}

/// The AKVS `db` (a secret) and `web` (a certificate).
pub(crate) fn specs() -> Specs {
    let spec = |name: &str, kind: &str| -> Arc<Value> {
        json!({"vault": {"name": "kv1", "object": {"name": name, "type": kind}}}).into()
    };
    [
        ("db".to_owned(), spec("db", "secret")),
        ("web".to_owned(), spec("web", "certificate")),
    ]
    .into()
}
