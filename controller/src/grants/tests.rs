use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::reference::{ObjectKind, ObjectName, VaultName};

use super::*;

fn object(vault: &str) -> ObjectRef {
    ObjectRef {
        vault: VaultName::parse(vault).unwrap(),
        kind: ObjectKind::Secret,
        name: ObjectName::parse("x").unwrap(),
        version: None,
    }
}

fn grants(read: &Read) -> VaultGrants {
    let grants = VaultGrants::new(Some("/etc/grants.yaml".into()), Arc::default());
    grants.adopt(read);
    grants
}

fn rules(vault: &str) -> String {
    format!("grants: [{{namespaces: [a], vaults: [{vault}]}}]")
}

#[test]
fn without_a_file_everything_is_allowed_and_before_it_is_read_nothing() {
    let health: Arc<Health> = Arc::default();
    assert!(
        VaultGrants::new(None, Arc::clone(&health))
            .check("a", &object("kv1"))
            .is_ok()
    );
    assert!(
        VaultGrants::new(Some("/x".into()), health)
            .check("a", &object("kv1"))
            .is_err()
    );
}

#[test]
fn a_broken_file_at_the_start_allows_nothing_and_says_why() {
    let grants = grants(&Ok("grants: [{namespace: [a]}]".to_owned()));
    let denied = grants.check("a", &object("kv1")).unwrap_err();
    assert_eq!(denied.code, Code::VaultNotGranted);
    for part in ["/etc/grants.yaml", "unknown field", "namespace"] {
        assert!(denied.cause.contains(part), "{denied}");
    }
    assert!(
        grants
            .health
            .readiness()
            .1
            .contains("vault grants: VaultGrantsUnreadable")
    );
    grants.adopt(&Err("no such file".to_owned()));
    assert!(
        grants
            .check("a", &object("kv1"))
            .unwrap_err()
            .cause
            .contains("no such file"),
        "the newest reason"
    );
    grants.adopt(&Ok(rules("kv1")));
    assert!(grants.check("a", &object("kv1")).is_ok());
    assert!(grants.health.problems().is_empty());
}

#[test]
fn a_broken_file_later_leaves_the_rules_as_they_were_and_says_so() {
    let grants = grants(&Ok(rules("kv1")));
    for broken in [
        Ok(String::new()),
        Ok("grants:\n".to_owned()),
        Err("no such file".to_owned()),
    ] {
        grants.adopt(&broken);
        assert!(grants.check("a", &object("kv1")).is_ok());
        assert!(grants.check("a", &object("kv2")).is_err());
        let (ready, body) = grants.health.readiness();
        assert!(ready && body.contains("The rules read before stay in force."), "{body}");
    }
    grants.adopt(&Ok(rules("kv2")));
    assert!(grants.check("a", &object("kv1")).is_err());
    assert!(grants.health.problems().is_empty());
}

#[test]
fn labels_are_asked_for_only_while_a_rule_needs_them() {
    let grants = grants(&Ok(rules("kv1")));
    assert!(!*grants.labels_wanted.borrow());
    let by_label = "grants: [{namespaceSelector: {matchLabels: {team: pay}}, vaults: [kv1]}]";
    grants.adopt(&Ok(by_label.to_owned()));
    assert!(*grants.labels_wanted.borrow());
    assert!(
        grants
            .check("a", &object("kv1"))
            .unwrap_err()
            .cause
            .contains("being read")
    );
    grants.adopt(&Ok(rules("kv1")));
    assert!(!*grants.labels_wanted.borrow());
}

/// An API server whose list and watch of namespaces work, or do not.
#[derive(Default)]
struct Cluster {
    is_away: std::sync::atomic::AtomicBool,
    /// How many watches began.
    watches: std::sync::atomic::AtomicUsize,
    /// Ends the watches, which are silent until then.
    breaks: tokio::sync::Notify,
}

impl Cluster {
    fn client(self: &Arc<Self>) -> kube::Client {
        use std::sync::atomic::Ordering;
        let cluster = Arc::clone(self);
        let answer = move |request: axum::http::Request<kube::client::Body>| {
            let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
            let is_away = cluster.is_away.load(Ordering::SeqCst);
            let watches = cluster.watches.fetch_add(usize::from(is_watch), Ordering::SeqCst);
            let cluster = Arc::clone(&cluster);
            async move {
                let namespace = serde_json::json!({"metadata": {"name": "a", "labels": {"team": "pay"}}});
                let list = serde_json::json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                                              "metadata": {"resourceVersion": "7"}, "items": [namespace]});
                let refusal = serde_json::json!({"kind": "Status", "status": "Failure", "message": "away",
                                                 "reason": "ServiceUnavailable", "code": 503});
                // The first watch breaks while all else works.
                if is_watch && watches > 0 && !is_away {
                    cluster.breaks.notified().await;
                }
                let (code, body) = if is_away || is_watch {
                    (503, refusal)
                } else {
                    (200, list)
                };
                axum::http::Response::builder()
                    .status(code)
                    .body(kube::client::Body::from(body.to_string().into_bytes()))
            }
        };
        kube::Client::new(tower::service_fn(answer), "default")
    }
}

#[tokio::test(start_paused = true)]
async fn labels_count_for_ten_minutes_while_namespaces_cannot_be_watched_and_again_when_they_can() {
    let cluster: Arc<Cluster> = Arc::default();
    let by_label = "grants: [{namespaceSelector: {matchLabels: {team: pay}}, vaults: [kv1]}]";
    let grants = Arc::new(grants(&Ok(by_label.to_owned())));
    let (objects, queue) = (Arc::default(), Arc::new(Queue::new(crate::queue::Limits::default())));
    let follow = Arc::clone(&grants).follow_labels(cluster.client(), Namespaces::All, objects, queue);
    let follow = tokio::spawn(follow);
    let allowed = || grants.check("a", &object("kv1"));
    let minutes = |minutes: u64| tokio::time::sleep(Duration::from_mins(minutes));
    grants.labels_settled().await;
    assert!(allowed().is_ok());

    // A watch that broke and came back in silence is no reason to take anything away.
    minutes(60).await;
    assert!(allowed().is_ok());
    assert!(grants.health.problems().is_empty(), "{:?}", grants.health.problems());

    cluster.is_away.store(true, std::sync::atomic::Ordering::SeqCst);
    cluster.breaks.notify_waiters();
    minutes(9).await;
    assert!(allowed().is_ok());
    minutes(2).await;
    let denied = allowed().unwrap_err();
    assert_eq!(denied.code, Code::VaultNotGranted);
    assert!(denied.cause.contains("are not known"), "{denied}");
    assert!(
        grants.health.readiness().1.contains("labels of namespaces"),
        "it is told"
    );

    cluster.is_away.store(false, std::sync::atomic::Ordering::SeqCst);
    minutes(2).await;
    assert!(allowed().is_ok());
    assert!(grants.health.problems().is_empty());
    follow.abort();
}

#[tokio::test]
async fn whoever_waits_learns_of_the_end_of_a_grant() {
    let grants = Arc::new(grants(&Ok(rules("kv1"))));
    let waiting = Arc::clone(&grants);
    let denied = tokio::spawn(async move { waiting.until(|| waiting.check("a", &object("kv1")).err()).await });
    grants.adopt(&Ok(rules("kv2")));
    assert_eq!(denied.await.unwrap().code, Code::VaultNotGranted);
}
