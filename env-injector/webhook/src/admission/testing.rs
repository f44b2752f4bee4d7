//! What the tests of this folder share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::cluster::{Knowledge, Specs};

/// What the broker's authorities are in tests: a dollar sign in it has to survive the kubelet.
pub(super) const AUTHORITIES: &str = "PEM $(current) and next";
/// Where the broker is in tests.
pub(super) const BROKER: &str = "https://akv2k8s-envinjector.akv2k8s.svc:9443";

/// Facts that can be changed before they are lent.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) specs: Specs,
    pub(super) not_told: BTreeMap<String, NotTold>,
    pub(super) images: HashMap<String, Result<ImageConfig, LookupError>>,
}

impl World {
    /// With the broker; the namespace has the secret `db` and the certificate `web`.
    pub(super) fn new() -> Self {
        let spec = |name: &str, kind: &str| {
            let vault = json!({"name": "kv1", "object": {"name": name, "type": kind}});
            Arc::new(json!({"vault": vault, "fieldOfTheFuture": true}))
        };
        Self {
            settings: Settings {
                image: "example.org/azure-keyvault-env:1".to_owned(),
                image_pull_policy: "IfNotPresent".to_owned(),
                security: Security::default(),
                resources: Resources::default(),
                broker: Some(BROKER.to_owned()),
            },
            specs: [
                ("db".to_owned(), spec("db", "secret")),
                ("web".to_owned(), spec("web", "certificate")),
            ]
            .into(),
            not_told: BTreeMap::new(),
            images: HashMap::new(),
        }
    }

    /// Without the broker.
    pub(super) fn direct() -> Self {
        let mut world = Self::new();
        world.settings.broker = None;
        world
    }

    /// Says what the image of `container` starts.
    pub(super) fn image(mut self, container: &str, entrypoint: &[&str], cmd: &[&str]) -> Self {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let config = ImageConfig {
            entrypoint: words(entrypoint),
            cmd: words(cmd),
        };
        self.images.insert(container.to_owned(), Ok(config));
        self
    }

    pub(super) fn mutate(&self, pod: &Value) -> Result<Outcome, Denial> {
        let facts = Facts {
            settings: &self.settings,
            authorities: AUTHORITIES,
            namespace: "shop",
            specs: &self.specs,
            not_told: &self.not_told,
            knowledge: Knowledge::Current,
            images: &self.images,
        };
        mutate(pod, &facts)
    }

    /// The pod after the patch, which is taken through its JSON as the API server does.
    pub(super) fn prepared(&self, pod: &Value) -> Value {
        let outcome = self.mutate(pod).unwrap_or_else(|denial| panic!("{denial}"));
        apply(pod, &outcome)
    }

    /// The code and text of the denial.
    pub(super) fn denied(&self, pod: &Value) -> (akv2k8s_shared::diagnosis::Code, String) {
        let denial = self.mutate(pod).expect_err("it is denied");
        (denial.0.code, denial.to_string())
    }
}

/// The pod after the patch.
pub(super) fn apply(pod: &Value, outcome: &Outcome) -> Value {
    let wire = serde_json::to_string(&outcome.patch).unwrap();
    let patch: json_patch::Patch = serde_json::from_str(&wire).unwrap();
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch).unwrap_or_else(|error| panic!("{error}: {wire}"));
    pod
}

/// A pod with these containers.
pub(super) fn pod(containers: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "app-"}, "spec": {"containers": containers}})
}

/// A container that starts `app --serve` with a reference in `DB`.
pub(super) fn app() -> Value {
    json!({"name": "app", "image": "app:1", "command": ["app", "--serve"], "env": [{"name": "DB", "value": "db@azurekeyvault"}]})
}
