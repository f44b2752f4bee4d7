//! Nothing that can be written in an AzureKeyVaultSecret gets round the rules.

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use serde_json::json;

use crate::bed::{RuleFile, looks, spec};

/// What somebody may try who is allowed the secret `db` of vault `kv1` only. The API server refuses some at once; the rest are
/// denied, or refused as names that cannot be.
fn attempts(version: &str) -> Vec<(&'static str, String)> {
    let of = |vault: &str, name: &str, rest: &str| {
        let (vault, name) = (json!(vault), json!(name));
        format!(
            "{{vault: {{name: {vault}, object: {{name: {name}, {rest}}}}}, output: {{secret: {{name: x, dataKey: v}}}}}}"
        )
    };
    let secret = "type: secret";
    vec![
        ("other-name", of("kv1", "admin", secret)),
        ("other-vault", of("kv2", "db", secret)),
        ("upper-case", of("KV2", "DB", secret)),
        (
            "pinned",
            of("kv1", "admin", &format!("type: secret, version: {version}")),
        ),
        ("as-certificate", of("kv1", "db", "type: certificate")),
        ("as-key", of("kv1", "db", "type: key")),
        (
            "as-pairs",
            of(
                "kv1",
                "admin",
                "type: multi-key-value-secret, contentType: application/x-json",
            ),
        ),
        ("path-up", of("kv1", "../secrets/admin", secret)),
        ("path-down", of("kv1", "db/../admin", secret)),
        ("escaped", of("kv1", "db%2f..%2fadmin", secret)),
        ("query", of("kv1", "admin?x=db", secret)),
        ("fragment", of("kv1", "admin#db", secret)),
        ("star", of("kv1", "*", secret)),
        ("dotted-host", of("kv2.vault.test", "db", secret)),
        ("whole-url", of("https://kv2.vault.test", "db", secret)),
        ("user-info", of("kv1@kv2", "db", secret)),
        ("trailing-dot", of("kv2.", "db", secret)),
        ("cyrillic-vault", of("кv1", "admin", secret)),
        ("full-width", of("ｋv2", "db", secret)),
        ("zero-width", of("kv2\u{200b}", "db", secret)),
        ("dotless", of("kv1", "adm\u{131}n", secret)),
        ("long-s", of("kv1", "\u{17f}ecret", secret)),
        ("line-feed", of("kv1", "db\nadmin", secret)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_in_an_object_reaches_what_is_not_granted() -> anyhow::Result<()> {
    let stage = Stage::new("bypass").await?;
    let (ours, others) = (stage.vault("kv1"), stage.vault("kv2"));
    ours.set_secret("db", "ours", SecretOptions::default())?;
    let version = ours.set_secret("admin", "not-ours", SecretOptions::default())?;
    others.set_secret("db", "not-ours", SecretOptions::default())?;
    let namespace = stage.namespace.name();
    let rule = format!("grants: [{{namespaces: [{namespace}], vaults: [kv1], types: [secret], objects: [db]}}]");
    let file = RuleFile::new(&stage, &rule)?;
    let controller = stage.controller(&[&file.flag()]).await?;
    let (mut refused, mut denied) = (0, 0);
    for (name, spec) in attempts(&version) {
        if stage.apply(name, &spec).await.is_err() {
            refused += 1;
            continue;
        }
        until(&format!("{name} to be refused"), PATIENCE, async || {
            let conditions = stage.akvs(name).await.ok()?.status?.conditions;
            let ready = conditions.into_iter().find(|it| it.type_ == "Ready")?;
            ["VaultNotGranted", "InvalidSpec"]
                .contains(&ready.reason.as_str())
                .then_some(())
        })
        .await?;
        denied += 1;
    }
    println!("attempts refused by the API server: {refused}, by the controller: {denied}");
    ensure!(denied >= 7, "the API server is not alone in refusing");
    // What is granted is reached in any case of its letters.
    stage.apply("granted", &spec("KV1", "DB", "granted")).await?;
    stage.wait_for_key("granted", "v", "ours").await?;
    looks(&stage, "kv1", 6).await?;
    controller.stop().await?;
    let journal = stage.emulator.journal();
    assert_eq!(journal.counts().vault("kv2").total(), 0);
    assert_eq!(journal.counts().of(Operation::Unknown), 0);
    let granted = |request: &str| ["GET /secrets", "GET /secrets/DB"].contains(&request.trim_end_matches('/'));
    let entries = journal.entries().into_iter();
    let others: Vec<_> = entries
        .filter(|it| matches!(it.operation, Operation::Vault(..)) && !granted(&it.request))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(stage.secret("x").await?.is_none());
    Ok(())
}
