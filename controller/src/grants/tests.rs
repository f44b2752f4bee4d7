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
