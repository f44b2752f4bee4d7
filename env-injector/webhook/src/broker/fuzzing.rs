//! For the fuzz target `broker_request`.

use std::collections::BTreeMap;

use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::wire::Ask;

use super::authenticate::{Caller, Standing};
use super::decide::{Facts, decide};
use super::token::claimed_pod;
use crate::fuzzing::specs;
use crate::label::NamespaceLabel;

/// A token, a line break, and a body: nothing is released that was not asked for by name.
pub fn request(content: &[u8]) {
    let mut parts = content.splitn(2, |byte| *byte == b'\n');
    let (token, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(token) = std::str::from_utf8(token) {
        // What comes of it is a claim, and the API server's to judge.
        let _ = claimed_pod(token, 0);
    }
    let Ok(ask) = serde_json::from_slice::<Ask>(body) else {
        return;
    };
    let labels = BTreeMap::from([(names::LABEL.to_owned(), names::ENABLED.to_owned())]);
    let facts = Facts {
        label: &NamespaceLabel::default(),
        labels: Some(&labels),
        specs: &specs(),
        grants: &|_| Ok(()),
    };
    let caller = Caller {
        namespace: "shop".to_owned(),
        service_account: "default".to_owned(),
        pod: "web".to_owned(),
        uid: "u".to_owned(),
        standing: Standing::Prepared,
    };
    let asked = ask.references.clone();
    let Ok(releases) = decide(&caller, ask, &facts) else {
        return;
    };
    assert!(releases.iter().all(|it| asked.contains(&it.reference)));
    assert!(releases.iter().all(|it| facts.specs.contains_key(&it.akvs)));
}
