use akv2k8s_shared::diagnosis::Code;
use serde_json::json;

use super::super::testing::{Object, akvs, desired, names, secret};
use super::*;

/// The plan for AKVS `a` (created at second 10) that wants `keys` in Secret `db`, as one line per step.
fn lines(object: Option<&Object>, keys: &[&str], adopt: bool, siblings: &[AkvsId]) -> Vec<String> {
    let a = akvs("a", 10);
    let wanted = [desired(keys)];
    let observed = [Observed {
        target: secret(),
        meta: object.map(Object::meta),
    }];
    let claimant = Claimant { id: &a, adopt };
    describe(&plan(&claimant, &wanted, &observed, siblings))
}

fn describe(plan: &Plan<'_>) -> Vec<String> {
    let steps = plan.actions.iter().map(|action| match action {
        Action::Create { desired } => format!("create {}", desired.target),
        Action::Apply(apply) => {
            let force = if apply.force { " by force" } else { "" };
            let recreate = if apply.recreate_on_type_change {
                ", may recreate"
            } else {
                ""
            };
            format!("apply{force}{recreate}: {}", apply.why)
        }
        Action::Delete { target, .. } => format!("delete {target}"),
        Action::Release { target, .. } => format!("release {target}"),
    });
    let refused = plan
        .refused
        .iter()
        .map(|(_, diagnosis)| format!("{}: {}", diagnosis.code, diagnosis.what));
    steps.chain(refused).collect()
}

fn by(manager: &str, keys: &[&str]) -> Object {
    Object::new().managed(manager, "Update", json!({"f:data": names(keys)}))
}

#[test]
fn what_is_missing_is_created() {
    assert_eq!(lines(None, &["k"], false, &[]), ["create Secret db"]);
}

#[test]
fn its_own_output_is_applied_without_force_as_long_as_nobody_holds_a_part_of_it() {
    let a = akvs("a", 10);
    let object = Object::new().owned_by(&a).applied(&a, &["k"], &[]);
    let expected = "apply, may recreate: the vault object, the specification or the metadata changed";
    assert_eq!(lines(Some(&object), &["k"], false, &[]), [expected]);
}

#[test]
fn a_foreign_object_is_refused_until_the_annotation_permits_it() {
    let object = by("kubectl-create", &["k"]);
    let refused = "OutputNotOwned: Secret db in namespace team exists and was not made by an AzureKeyVaultSecret.";
    assert_eq!(lines(Some(&object), &["k"], false, &[]), [refused]);
    assert_eq!(lines(Some(&object), &["other"], false, &[]), [refused]);
    assert_eq!(
        lines(Some(&object), &["k"], true, &[]),
        ["apply by force: taken over from kubectl-create"]
    );
    assert_eq!(lines(Some(&object), &["other"], true, &[]), ["apply: joined"]);
}

#[test]
fn the_refusal_prints_the_line_that_permits_it() {
    let diagnosis = refusal::not_owned(&akvs("a", 10), &secret());
    let line = "kubectl annotate azurekeyvaultsecret --namespace team a akv2k8s.spv.no/adopt=true";
    assert!(diagnosis.fix.contains(line), "{}", diagnosis.fix);
}

#[test]
fn what_upstream_wrote_is_taken_over_by_force() {
    let a = akvs("a", 10);
    let object = by("azure-keyvault-controller", &["k", "stale"]).owned_by(&a);
    let expected = ["apply by force: taken over from azure-keyvault-controller"];
    assert_eq!(lines(Some(&object), &["k"], false, &[]), expected);
}

#[test]
fn several_akvs_share_a_secret_with_keys_of_their_own() {
    let b = akvs("b", 1);
    let object = Object::new().owned_by(&b).applied(&b, &["of-b"], &[]);
    assert_eq!(lines(Some(&object), &["k"], false, &[b]), ["apply: joined"]);
}

#[test]
fn of_two_claimants_of_one_key_the_older_wins_whoever_came_first() {
    let (older, younger) = (akvs("b", 1), akvs("b", 20));
    let held_by = |b: &AkvsId| Object::new().owned_by(b).applied(b, &["k"], &[]);
    let conflict = |who: &str| {
        format!("OutputConflict: Data key \"k\" of Secret db in namespace team is already written by {who}.")
    };
    let steps = |b: AkvsId| lines(Some(&held_by(&b)), &["k"], false, &[b]);
    assert_eq!(steps(older), [conflict("AzureKeyVaultSecret b")]);

    let a = akvs("a", 10);
    let object = held_by(&younger).owned_by(&a).applied(&a, &["l"], &[]);
    let expected = ["apply by force: a younger AzureKeyVaultSecret claimed one of its keys"];
    assert_eq!(lines(Some(&object), &["k"], false, &[younger]), expected);
}

#[test]
fn an_older_newcomer_displaces_a_younger_sibling() {
    let younger = akvs("b", 20);
    let object = Object::new().owned_by(&younger).applied(&younger, &["k"], &[]);
    let a = akvs("a", 10);
    let wanted = [desired(&["k"])];
    let observed = [Observed {
        target: secret(),
        meta: Some(object.meta()),
    }];
    let claimant = Claimant { id: &a, adopt: false };
    let plan = plan(&claimant, &wanted, &observed, std::slice::from_ref(&younger));
    let [Action::Apply(application)] = &plan.actions[..] else {
        unreachable!("{:?}", describe(&plan))
    };
    assert!(application.force);
    assert_eq!(application.rivals.younger, [younger.manager()]);
}

#[test]
fn an_akvs_nobody_here_knows_is_never_forced() {
    let b = akvs("b", 20);
    let object = Object::new().owned_by(&b).applied(&b, &["k"], &[]);
    assert!(lines(Some(&object), &["k"], false, &[])[0].ends_with("is already written by AzureKeyVaultSecret b."));
    let gone = Object::new().applied(&b, &["k"], &[]).owned_by(&akvs("a", 10));
    assert!(lines(Some(&gone), &["k"], true, &[])[0].contains("just removed, or managed by another controller"));
}

#[test]
fn a_key_that_a_person_wrote_into_a_shared_secret_is_not_taken() {
    let b = akvs("b", 1);
    let object = by("kubectl-edit", &["k"]).owned_by(&b).applied(&b, &["of-b"], &[]);
    let refused = "OutputNotOwned: Data key \"k\" of Secret db in namespace team was written by kubectl-edit.";
    assert_eq!(lines(Some(&object), &["k"], false, std::slice::from_ref(&b)), [refused]);
    assert_eq!(lines(Some(&object), &["l"], false, &[b]), ["apply: joined"]);
}

#[test]
fn labels_another_akvs_owns_are_left_to_it() {
    let (a, b) = (akvs("a", 10), akvs("b", 20));
    let object = Object::new()
        .owned_by(&a)
        .applied(&a, &["k"], &["app"])
        .owned_by(&b)
        .applied(&b, &["l"], &["tier"]);
    let mut wanted = desired(&["k"]);
    wanted.labels = ["app", "tier"].map(|l| (l.to_owned(), "x".to_owned())).into();
    let claimant = Claimant { id: &a, adopt: false };
    let action = write(&claimant, &wanted, Some(&object.meta()), &[b]);
    let Ok(Action::Apply(application)) = action else {
        unreachable!("an apply was expected")
    };
    assert_eq!(application.yield_labels, ["tier"]);
    assert!(!application.force);
}

#[test]
fn types_that_give_rights_are_refused_before_anything_else() {
    for refused in REFUSED_TYPES {
        let mut wanted = desired(&["token"]);
        wanted.secret_type = Some(refused.to_owned());
        let a = akvs("a", 10);
        let claimant = Claimant { id: &a, adopt: true };
        let code = write(&claimant, &wanted, None, &[])
            .err()
            .map(|diagnosis| diagnosis.code);
        assert_eq!(code, Some(Code::OutputTypeRefused), "{refused}");
    }
}

#[test]
fn a_changed_type_may_recreate_only_what_is_wholly_this_akvs() {
    let (a, b) = (akvs("a", 10), akvs("b", 1));
    let ours = || Object::new().owned_by(&a).applied(&a, &["k"], &[]);
    let by_upstream =
        json!({"f:data": names(&["k"]), "f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"uid-a\"}": {}}}});
    let table = [
        (ours(), true),
        (
            Object::new().owned_by(&a).managed("upstream", "Update", by_upstream),
            true,
        ),
        (
            ours().managed(
                "kubectl-label",
                "Update",
                json!({"f:metadata": {"f:labels": names(&["x"])}}),
            ),
            true,
        ),
        (
            ours().managed("kubectl-edit", "Update", json!({"f:data": names(&["theirs"])})),
            false,
        ),
        (ours().applied(&b, &["l"], &[]), false),
        (ours().owned_by(&b), false),
        (ours().owned_by_a("Deployment"), false),
    ];
    for (number, (object, expected)) in table.into_iter().enumerate() {
        let line = lines(Some(&object), &["k"], false, &[]).remove(0);
        assert_eq!(line.contains("may recreate"), expected, "row {number}: {line}");
    }
}

#[test]
fn an_output_no_longer_wanted_is_deleted_if_wholly_ours_and_released_otherwise() {
    let (a, b) = (akvs("a", 10), akvs("b", 1));
    let ours = || Object::new().owned_by(&a).applied(&a, &["k"], &[]);
    let upstream = json!({"f:data": names(&["k"]), "f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"uid-a\"}": {}}}});
    let table = [
        (ours(), vec!["delete Secret db"]),
        (
            ours().managed("kubectl-edit", "Update", json!({"f:data": names(&["theirs"])})),
            vec!["release Secret db"],
        ),
        (ours().owned_by(&b), vec!["release Secret db"]),
        (ours().applied(&b, &["l"], &[]), vec!["release Secret db"]),
        (
            Object::new().owned_by(&a).managed("upstream", "Update", upstream),
            vec![],
        ),
        (Object::new().applied(&b, &["l"], &[]), vec![]),
    ];
    let claimant = Claimant { id: &a, adopt: false };
    for (object, expected) in table {
        let observed = [Observed {
            target: secret(),
            meta: Some(object.meta()),
        }];
        assert_eq!(describe(&plan(&claimant, &[], &observed, &[])), expected);
    }
}

#[test]
fn nothing_is_pruned_while_the_new_output_is_refused() {
    let a = akvs("a", 10);
    let old = Object::new().owned_by(&a).applied(&a, &["k"], &[]);
    let taken = by("kubectl-create", &["x"]);
    let mut wanted = desired(&["k"]);
    wanted.target.name = "new".into();
    let observed = [
        Observed {
            target: secret(),
            meta: Some(old.meta()),
        },
        Observed {
            target: wanted.target.clone(),
            meta: Some(taken.meta()),
        },
    ];
    let claimant = Claimant { id: &a, adopt: false };
    let steps = describe(&plan(&claimant, &[wanted], &observed, &[]));
    assert_eq!(steps.len(), 1, "{steps:?}");
    assert!(steps[0].starts_with("OutputNotOwned"), "{steps:?}");
}
