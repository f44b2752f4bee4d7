//! What a prepared pod gets.

use std::collections::BTreeSet;
use std::time::Duration;

use akv2k8s_envinjector::broker::Options;
use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::injection::names;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use kube::api::DeleteParams;
use serde_json::json;

use crate::bed::{Bed, Wish, audited, log, prepared};

#[tokio::test]
async fn a_prepared_pod_gets_the_values_that_its_references_name_and_equal_ones_are_read_once() {
    let bed = Bed::new("values").await.unwrap();
    let vault = bed.stage.vault("kv1");
    vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    vault.set_secret("login", "me:pass", SecretOptions::default()).unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    bed.akvs("same", "kv1", "db").await.unwrap();
    bed.akvs("login", "kv1", "login").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();

    let references = [
        "db@azurekeyvault",
        "same@azurekeyvault",
        "login@azurekeyvault?password",
        "login@azurekeyvault?username",
    ];
    let values = bed.ask(&token, &references).await.unwrap().values();
    let expected = [
        ("db@azurekeyvault", "s3cret"),
        ("login@azurekeyvault?password", "pass"),
        ("login@azurekeyvault?username", "me"),
        ("same@azurekeyvault", "s3cret"),
    ];
    assert!(
        values.iter().map(|(a, b)| (a.as_str(), b.as_str())).eq(expected),
        "{values:?}"
    );
    assert_eq!(bed.reads(), 2);
    assert!(bed.ask(&token, &[]).await.unwrap().values().is_empty());
    bed.ask(&token, &references).await.unwrap().values();
    assert_eq!(bed.reads(), 2, "a value is as fresh as the poll period demands");

    let metrics = bed.metrics();
    for line in [
        "akv2k8s_broker_releases_total 8",
        "akv2k8s_auth_requests_total 3",
        "akv2k8s_auth_requests_failed_total 0",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_rotated_value_is_given_once_the_one_before_is_too_old() {
    for (max_age, expected) in [(Duration::ZERO, "second"), (Duration::from_hours(1), "first")] {
        let wish = |_: &_| Wish {
            options: Options {
                max_age,
                max_stale: Duration::ZERO,
            },
            ..Wish::default()
        };
        let bed = Bed::with("rotated", wish).await.unwrap();
        let vault = bed.stage.vault("kv1");
        vault.set_secret("db", "first", SecretOptions::default()).unwrap();
        bed.akvs("db", "kv1", "db").await.unwrap();
        let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
        let reference = "db@azurekeyvault";
        assert_eq!(
            bed.ask(&token, &[reference]).await.unwrap().values()[reference],
            "first"
        );
        vault.set_secret("db", "second", SecretOptions::default()).unwrap();
        let values = bed.ask(&token, &[reference]).await.unwrap().values();
        assert_eq!(values[reference], expected, "{max_age:?}");
    }
}

#[tokio::test]
async fn a_pod_whose_init_container_alone_has_references_gets_them() {
    let bed = Bed::new("init").await.unwrap();
    bed.stage
        .vault("kv1")
        .set_secret("db", "s3cret", SecretOptions::default())
        .unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    let mut pod = prepared("migrate");
    pod["spec"]["initContainers"] = json!([
        {"name": names::INIT_CONTAINER, "image": "env"},
        {"name": "migrate", "image": "app", "command": [names::WRAPPER], "args": ["migrate"]},
    ]);
    pod["spec"]["containers"] = json!([{"name": "app", "image": "app"}]);
    let pod = bed.pod_in(bed.stage.namespace.name(), &pod).await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    assert_eq!(bed.ask(&token, &["db@azurekeyvault"]).await.unwrap().values().len(), 1);
}

#[tokio::test]
async fn an_akvs_that_changed_since_the_pod_was_created_counts_as_it_is_now() {
    let bed = Bed::new("edited").await.unwrap();
    let vault = bed.stage.vault("kv1");
    vault.set_secret("old", "old value", SecretOptions::default()).unwrap();
    vault.set_secret("new", "new value", SecretOptions::default()).unwrap();
    bed.akvs("db", "kv1", "old").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    bed.akvs("db", "kv1", "new").await.unwrap();
    let values = bed.ask(&token, &["db@azurekeyvault"]).await.unwrap().values();
    assert_eq!(values["db@azurekeyvault"], "new value");
    assert_eq!(bed.reads(), 1);
}

#[tokio::test]
async fn one_reference_that_cannot_be_resolved_keeps_all_back_and_is_named() {
    let bed = Bed::new("all").await.unwrap();
    let vault = bed.stage.vault("kv1");
    vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    bed.akvs("gone", "kv1", "never-there").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let answer = bed
        .ask(&token, &["db@azurekeyvault", "gone@azurekeyvault"])
        .await
        .unwrap();
    let refusal = answer.refusal();
    assert_eq!(answer.denial(), (409, "ObjectNotFound".to_owned()), "{refusal:?}");
    assert_eq!(refusal.reference.as_deref(), Some("gone@azurekeyvault"));
    assert!(!refusal.retry);
}

#[tokio::test]
async fn each_release_leaves_a_line_that_says_who_got_what_and_never_the_value() {
    let bed = Bed::new("audit").await.unwrap();
    let options = SecretOptions::default();
    let version = bed.stage.vault("kv1").set_secret("db", "canary-7f3a", options).unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    bed.ask(&token, &["db@azurekeyvault"]).await.unwrap().values();

    let text = log().text();
    let lines = audited(bed.stage.namespace.name(), "");
    let [line] = &lines[..] else {
        panic!("one line for one release: {lines:?}")
    };
    for part in ["pod=\"web\"", "service_account=\"default\"", "akvs=\"db\"", &version] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!text.contains("canary-7f3a") && !text.contains(&token));
}

#[tokio::test]
async fn each_refusal_leaves_a_line_that_says_who_was_refused_what() {
    let bed = Bed::new("refused").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    for reference in ["none@azurekeyvault", "azurekeyvault://kv1/secrets/db"] {
        assert_ne!(bed.ask(&token, &[reference]).await.unwrap().status, 200);
    }
    let lines = audited(bed.stage.namespace.name(), "no value released");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, parts) in lines.iter().zip([
        [
            "pod=\"web\"",
            "reference=\"none@azurekeyvault\"",
            "code=\"AkvsNotFound\"",
        ],
        [
            "pod=\"web\"",
            "reference=\"azurekeyvault://kv1/secrets/db\"",
            "code=\"ReferenceInvalid\"",
        ],
    ]) {
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    assert!(!log().text().contains(&token));
}

#[tokio::test]
async fn a_vault_that_no_akvs_names_any_more_is_forgotten() {
    let bed = Bed::new("retain").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    for (name, vault) in [("kept", "kv1"), ("gone", "kv2")] {
        bed.stage
            .vault(vault)
            .set_secret(name, "value", SecretOptions::default())
            .unwrap();
        bed.akvs(name, vault, name).await.unwrap();
    }
    let answer = bed.ask(&token, &["kept@azurekeyvault", "gone@azurekeyvault"]).await;
    assert_eq!(answer.unwrap().values().len(), 2);
    let known = || {
        let known = bed.vaults.stats().vaults;
        let names = known.iter().filter_map(|it| it.vault.split('.').next());
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(known(), ["kv1", "kv2"].map(str::to_owned).into());

    let akvs = bed.stage.api::<AzureKeyVaultSecret>();
    akvs.delete("gone", &DeleteParams::default()).await.unwrap();
    let unknown = async || (!bed.cluster.vaults().contains("kv2")).then_some(());
    until("the broker to see that it went", PATIENCE, unknown)
        .await
        .unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_mins(6)).await;
    tokio::time::resume();
    let forgotten = async || known().iter().eq(["kv1"]).then_some(());
    until("the vault to be forgotten", PATIENCE, forgotten).await.unwrap();
}
