//! Our `MutatingWebhookConfiguration`: whom the API server trusts when it calls, and by which path. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use serde_json::{Value, json};
use url::Url;

use super::path::PLAIN;

/// When the path was last changed, and what it was before: for the other replicas.
const FORMER: &str = "env-injector.spv.no/former-path";
/// So long the API server may still call by the path before: its own copy of the configuration is late.
const OVERLAP: SignedDuration = SignedDuration::from_mins(1);
/// So long what was seen counts: there is a look every half minute.
const COUNTS: SignedDuration = SignedDuration::from_mins(1);

/// What the configuration should say.
pub(super) struct Wanted<'w> {
    /// PEM; `None`: somebody else looks after it.
    pub(super) ca_bundle: Option<&'w str>,
    /// The path to publish.
    pub(super) path: &'w str,
    /// Whether a path that is there may stay.
    pub(super) may_stay: &'w (dyn Fn(&str) -> bool + Sync),
}

/// By which paths it lets the API server call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    at: Timestamp,
    paths: BTreeSet<String>,
    former: BTreeSet<String>,
    changed: Timestamp,
}

impl Seen {
    pub(super) fn of(found: &MutatingWebhookConfiguration, at: Timestamp) -> Self {
        let webhooks = found.webhooks.iter().flatten();
        let annotation = found.metadata.annotations.as_ref().and_then(|it| it.get(FORMER));
        let (changed, former) = annotation.and_then(|it| read_former(it)).unwrap_or_default();
        Self {
            at,
            paths: webhooks.map(path).collect(),
            former,
            changed,
        }
    }

    /// Whether the API server may call by `path` at `now`.
    pub(super) fn allows(&self, path: &str, now: Timestamp) -> bool {
        let is_late = self.former.contains(path) && now.duration_since(self.changed) < OVERLAP;
        is_late || self.paths.contains(path) && now.duration_since(self.at) < COUNTS
    }
}

/// The strategic merge patch that is needed, if any: webhooks are told apart by name. The resource version in it makes the API server
/// refuse it when the configuration has changed since.
pub(super) fn patch(found: &MutatingWebhookConfiguration, wanted: &Wanted<'_>, now: Timestamp) -> Option<Value> {
    let mut former = BTreeSet::new();
    let mut webhooks = Vec::new();
    for webhook in found.webhooks.iter().flatten() {
        let mut changes = json!({});
        let bundle = wanted.ca_bundle.map(|pem| ByteString(pem.as_bytes().to_vec()));
        if bundle.is_some() && webhook.client_config.ca_bundle != bundle {
            changes["caBundle"] = json!(bundle);
        }
        let path = path(webhook);
        if is_ours(&path) && !(wanted.may_stay)(&path) {
            set_path(&mut changes, webhook, wanted.path);
            former.insert(path);
        }
        if changes != json!({}) {
            webhooks.push(json!({"name": webhook.name, "clientConfig": changes}));
        }
    }
    let mut metadata = json!({"resourceVersion": found.metadata.resource_version});
    if !former.is_empty() {
        metadata["annotations"] = json!(BTreeMap::from([(FORMER, write_former(now, &former))]));
    }
    (!webhooks.is_empty()).then(|| json!({"metadata": metadata, "webhooks": webhooks}))
}

/// The path by which the API server calls a webhook.
fn path(webhook: &MutatingWebhook) -> String {
    let config = &webhook.client_config;
    let of_service = config.service.as_ref().and_then(|it| it.path.clone());
    let of_url = || Some(Url::parse(config.url.as_deref()?).ok()?.path().to_owned());
    of_service
        .or_else(of_url)
        .filter(|it| !it.is_empty())
        .unwrap_or_else(|| "/".to_owned())
}

/// Whether it is one that manifests write or this program does; with any other, something stands between the API server and us.
fn is_ours(path: &str) -> bool {
    let rest = path.strip_prefix(PLAIN);
    path == "/" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn set_path(changes: &mut Value, webhook: &MutatingWebhook, path: &str) {
    match webhook.client_config.url.as_deref().map(Url::parse) {
        Some(Ok(mut url)) => {
            url.set_path(path);
            changes["url"] = url.as_str().into();
        }
        _ => changes["service"] = json!({"path": path}),
    }
}

fn write_former(now: Timestamp, paths: &BTreeSet<String>) -> String {
    let words = paths.iter().map(String::as_str);
    [now.to_string().as_str()]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn read_former(text: &str) -> Option<(Timestamp, BTreeSet<String>)> {
    let mut words = text.split(' ');
    let changed = words.next()?.parse().ok()?;
    Some((changed, words.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "/pods/abc";

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn found(client_configs: &[Value]) -> MutatingWebhookConfiguration {
        let webhook = |(number, config)| json!({"name": format!("w{number}"), "clientConfig": config, "admissionReviewVersions": ["v1"], "sideEffects": "None"});
        let webhooks: Vec<_> = client_configs.iter().enumerate().map(webhook).collect();
        serde_json::from_value(json!({"metadata": {"resourceVersion": "7"}, "webhooks": webhooks})).unwrap()
    }

    fn patched(found: &MutatingWebhookConfiguration, ca_bundle: Option<&str>) -> Option<Value> {
        let wanted = Wanted {
            ca_bundle,
            path: SECRET,
            may_stay: &|path| path == SECRET,
        };
        patch(found, &wanted, now())
    }

    #[test]
    fn the_path_is_replaced_wherever_a_manifest_writes_it_and_nowhere_else() {
        let service = |path: Value| json!({"service": {"name": "s", "namespace": "n", "path": path}});
        for (config, expected) in [
            (service(json!("/pods")), Some(json!({"service": {"path": SECRET}}))),
            (service(json!("/pods/old")), Some(json!({"service": {"path": SECRET}}))),
            (service(Value::Null), Some(json!({"service": {"path": SECRET}}))),
            (
                json!({"url": "https://h:1/pods"}),
                Some(json!({"url": "https://h:1/pods/abc"})),
            ),
            (
                json!({"url": "https://h:1"}),
                Some(json!({"url": "https://h:1/pods/abc"})),
            ),
            (service(json!(SECRET)), None),
            (service(json!("/podsy")), None),
            (service(json!("/proxy/pods")), None),
            (json!({"url": "https://h:1/pods/abc"}), None),
        ] {
            let patch = patched(&found(std::slice::from_ref(&config)), None);
            let changes = patch.map(|it| it["webhooks"][0]["clientConfig"].clone());
            assert_eq!(changes, expected, "{config}");
        }
    }

    #[test]
    fn each_webhook_gets_what_it_lacks_and_all_else_stays() {
        let bundle = json!("Q0E="); // "CA"
        let whole = json!({"caBundle": bundle, "url": "https://h/pods/abc"});
        let found = found(&[whole, json!({"caBundle": "b2xk", "url": "https://h/pods"})]);
        let patch = patched(&found, Some("CA")).unwrap();
        let expected = json!([{"name": "w1", "clientConfig": {"caBundle": bundle, "url": "https://h/pods/abc"}}]);
        assert_eq!(patch["webhooks"], expected);
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        assert_eq!(patched(&found_after(&patch), Some("CA")), None);
    }

    /// The configuration whose only webhook is the one that a patch has changed, with its annotations.
    fn found_after(patch: &Value) -> MutatingWebhookConfiguration {
        let mut found = found(&[patch["webhooks"][0]["clientConfig"].clone()]);
        found.metadata.annotations = serde_json::from_value(patch["metadata"]["annotations"].clone()).unwrap();
        found
    }

    #[test]
    fn the_path_before_is_allowed_for_a_minute_to_all_who_read_the_configuration() {
        let before = found(&[json!({"url": "https://h/pods"})]);
        assert!(Seen::of(&before, now()).allows("/pods", now()));
        let after = Seen::of(&found_after(&patched(&before, None).unwrap()), now());
        let later = |seconds| now() + SignedDuration::from_secs(seconds);
        assert!(after.allows("/pods", now()) && after.allows("/pods", later(59)));
        assert!(!after.allows("/pods", later(60)));
        assert!(
            after.allows(SECRET, later(59)) && !after.allows(SECRET, later(60)),
            "there is a newer look by then"
        );
        assert!(!after.allows("/", now()) && !after.allows("/pods/x", now()));
    }

    #[test]
    fn an_annotation_that_somebody_else_wrote_allows_nothing() {
        for text in ["", "x", "/pods", "2026-13-01T00:00:00Z /pods"] {
            let mut found = found(&[json!({"url": "https://h/pods/abc"})]);
            found.metadata.annotations = Some([(FORMER.to_owned(), text.to_owned())].into());
            assert!(!Seen::of(&found, now()).allows("/pods", now()), "{text}");
        }
    }
}
