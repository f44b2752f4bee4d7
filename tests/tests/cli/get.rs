//! `get`: the cluster beside the vault, and values only for who agrees.

use serde_json::{Value, json};

use crate::bed::{Bed, CANARY};

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

fn state(got: &Value) -> Value {
    got["outputs"][0]["keys"][0]["state"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_followed_from_not_written_over_equal_to_different() -> anyhow::Result<()> {
    let bed = Bed::new("cli-get").await?;
    bed.set("db", "canary")?;
    let absent = bed.run(&["get", "db"]).await?;
    assert_eq!(absent.code, Some(1), "{absent:?}");
    assert!(absent.err.contains("there is no AzureKeyVaultSecret"), "{absent:?}");

    bed.stage.apply("db", DB).await?;
    let (code, new) = bed.json(&["get", "db"]).await?;
    assert_eq!(
        (code, state(&new), &new["ready"]),
        (Some(2), json!("missing"), &Value::Null),
        "{new:#}"
    );

    let controller = bed.stage.controller(&["--azure-resync-period=3600"]).await?;
    bed.stage.wait_for_reason("db", "Synced").await?;
    let (code, same) = bed.json(&["get", "db"]).await?;
    assert_eq!((code, state(&same)), (Some(0), json!("equal")), "{same:#}");
    assert_eq!(same["vaultVersion"], same["writtenVersion"], "{same:#}");
    assert_eq!(same["outputs"][0]["keys"][0]["length"], 6, "{same:#}");
    controller.stop().await?;

    bed.set("db", "canary-2")?;
    let (code, rotated) = bed.json(&["get", "db"]).await?;
    assert_eq!((code, state(&rotated)), (Some(2), json!("different")), "{rotated:#}");
    assert_eq!(rotated["outputs"][0]["keys"][0]["vaultLength"], 8, "{rotated:#}");
    let text = bed.run(&["get", "db"]).await?;
    assert!(
        text.out.contains("different (8)") && !text.out.contains(CANARY),
        "{}",
        text.out
    );

    bed.vault.revoke(bed.stage.app.principal());
    let (code, denied) = bed.json(&["get", "db"]).await?;
    assert_eq!((code, state(&denied)), (Some(1), json!("unknown")), "{denied:#}");
    assert_eq!(denied["failure"]["code"], "ForbiddenByRbac", "{denied:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_printed_only_for_who_agrees() -> anyhow::Result<()> {
    let bed = Bed::new("cli-show").await?;
    bed.set("db", "canary")?;
    bed.stage.apply("db", DB).await?;
    let unasked = bed.run(&["get", "db", "--show"]).await?;
    assert_eq!((unasked.code, &*unasked.out), (Some(1), ""), "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    let shown = bed.run(&["get", "db", "--show", "--yes", "-o", "json"]).await?;
    let shown: Value = serde_json::from_str(&shown.out)?;
    let key = &shown["outputs"][0]["keys"][0];
    assert_eq!(
        (&key["encoding"], &key["value"]),
        (&json!("text"), &json!("canary")),
        "{shown:#}"
    );
    let yaml = bed.run(&["get", "db", "--show", "--yes", "-o", "yaml"]).await?;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml.out)?, shown);
    let text = bed.run(&["get", "db", "--show", "--yes"]).await?;
    assert!(text.out.lines().any(|line| line.ends_with("  canary")), "{}", text.out);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_for_the_env_injector_alone_waits_for_no_controller() -> anyhow::Result<()> {
    let bed = Bed::new("cli-injected").await?;
    bed.set("db", "canary")?;
    bed.stage
        .apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}}")
        .await?;
    let said = bed.run(&["get", "db"]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("  no output: it is for the env injector\n"),
        "{said:?}"
    );
    let (code, got) = bed.json(&["get", "db"]).await?;
    assert_eq!(
        (code, &got["hasOutput"], &got["outputs"]),
        (Some(0), &json!(false), &json!([])),
        "{got:#}"
    );
    Ok(())
}
