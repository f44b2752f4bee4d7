//! `plan`: what it says is what the controller then does.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::{Bed, CANARY};

/// `key change now→then`, for each key of the one output.
fn keys(output: &Value) -> Vec<String> {
    let length = |value: &Value| value.as_u64().map(|it| it.to_string()).unwrap_or_default();
    let keys = output["keys"].as_array().map_or(&[][..], Vec::as_slice);
    keys.iter()
        .map(|key| {
            let word = |name: &str| key[name].as_str().unwrap_or_default();
            format!(
                "{} {} {}→{}",
                word("key"),
                word("change"),
                length(&key["lengthNow"]),
                length(&key["length"])
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_what_the_controller_does() -> anyhow::Result<()> {
    let bed = Bed::new("cli-plan").await?;
    bed.set("db", "canary-1")?;
    bed.set("many", r#"{"user": "canary", "password": "canary-22"}"#)?;
    bed.manifest("a", "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: out, dataKey: v}, configMap: {name: map, dataKey: w}}}")?;
    bed.manifest("b", "{vault: {name: kv1, object: {name: many, type: multi-key-value-secret, contentType: application/x-json}}, output: {secret: {name: out}}}")?;
    bed.manifest(
        "c",
        "{vault: {name: kv1, serviceAccountName: reader, object: {name: db, type: secret}}}",
    )?;
    let folder = bed.stage.files().display().to_string();
    let plan = ["plan", "-f", &folder];

    let (code, new) = bed.json(&plan).await?;
    assert_eq!(code, Some(2), "{new:#}");
    let outputs = |plan: &Value, object: usize| plan["objects"][object]["outputs"].clone();
    let a = outputs(&new, 0);
    let secret = a
        .as_array()
        .and_then(|all| all.iter().find(|it| it["kind"] == "Secret"))
        .cloned();
    let secret = secret.unwrap_or_default();
    assert_eq!(
        (&secret["name"], &secret["step"]),
        (&json!("out"), &json!("create")),
        "{new:#}"
    );
    assert_eq!(keys(&secret), ["v added →8"]);
    assert_eq!(keys(&outputs(&new, 1)[0]), ["password added →9", "user added →6"]);
    assert_eq!(new["objects"][2]["outputs"], json!([]), "it is for the injector");
    let reader = format!("ServiceAccount {}/reader", bed.stage.namespace.name());
    assert_eq!(
        new["roles"],
        json!([
            {"vault": "kv1", "role": "Key Vault Secrets User", "identity": reader},
            {"vault": "kv1", "role": "Key Vault Secrets User", "identity": "the controller"},
        ])
    );
    assert!(bed.stage.secret("out").await?.is_none(), "a plan writes nothing");

    let controller = bed.stage.controller(&["--azure-resync-period=3600"]).await?;
    for name in ["a", "b", "c"] {
        let text = std::fs::read_to_string(bed.stage.files().join(format!("{name}.yaml")))?;
        let manifest: Value = serde_yaml::from_str(&text)?;
        bed.stage.apply(name, &manifest["spec"].to_string()).await?;
    }
    bed.stage.wait_for_reason("a", "Synced").await?;
    bed.stage.wait_for_reason("b", "Synced").await?;
    controller.stop().await?;
    let (code, same) = bed.json(&plan).await?;
    assert_eq!((code, &same["changes"]), (Some(0), &json!(false)), "{same:#}");
    assert_eq!(keys(&outputs(&same, 1)[0]), ["password equal 9→9", "user equal 6→6"]);

    // Two values were rotated, one of them to one of the same length; one key is renamed, and one output is wanted no more.
    bed.set("many", r#"{"user": "yranac", "password": "canary-333"}"#)?;
    bed.manifest(
        "a",
        "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: out, dataKey: x}}}",
    )?;
    let (code, edited) = bed.json(&plan).await?;
    assert_eq!(code, Some(2), "{edited:#}");
    assert_eq!(edited["objects"][0]["resource"], "changed");
    let steps: Vec<_> = outputs(&edited, 0).as_array().cloned().unwrap_or_default();
    let step = |kind: &str| steps.iter().find(|it| it["kind"] == kind).cloned().unwrap_or_default();
    assert_eq!(
        (&step("Secret")["step"], keys(&step("Secret"))),
        (
            &json!("update"),
            vec!["v removed 8→".to_owned(), "x added →8".to_owned()]
        )
    );
    assert_eq!(
        (&step("ConfigMap")["step"], keys(&step("ConfigMap"))),
        (&json!("delete"), vec!["w removed 8→".to_owned()])
    );
    assert_eq!(
        keys(&outputs(&edited, 1)[0]),
        ["password changed 9→10", "user changed 6→6"]
    );
    let versions = &edited["objects"][1];
    assert_ne!(versions["vaultVersion"], versions["writtenVersion"], "{versions:#}");

    let text = bed.run(&plan).await?;
    assert_eq!(text.code, Some(2));
    for line in ["  - delete ConfigMap map: no longer wanted", "There are changes."] {
        assert!(text.out.lines().any(|it| it == line), "{}", text.out);
    }
    assert!(!text.out.contains(CANARY) && !text.out.contains('\x1b'), "{}", text.out);
    let yaml = bed.run(&[&plan[..], &["-o", "yaml"]].concat()).await?;
    assert_eq!(serde_yaml::from_str::<Value>(&yaml.out)?, edited);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_controller_would_refuse_and_what_cannot_be_read_is_told_with_its_code() -> anyhow::Result<()> {
    let bed = Bed::new("cli-plan-no").await?;
    bed.set("db", "canary")?;
    let theirs =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"k": "canary"}});
    bed.stage
        .api::<Secret>()
        .patch("theirs", &PatchParams::apply("somebody"), &Patch::Apply(theirs))
        .await?;
    for (name, spec, code) in [
        (
            "theirs",
            "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: theirs, dataKey: v}}}",
            "OutputNotOwned",
        ),
        (
            "absent",
            "{vault: {name: kv1, object: {name: none, type: secret}}, output: {secret: {name: o, dataKey: v}}}",
            "ObjectNotFound",
        ),
        (
            "wrong",
            "{vault: {name: 'https://kv1', object: {name: db, type: secret}}, output: {secret: {name: o, dataKey: v}}}",
            "InvalidSpec",
        ),
    ] {
        let file = bed.manifest(name, spec)?;
        let (exit, plan) = bed.json(&["plan", "-f", &file]).await?;
        assert_eq!((exit, &plan["failed"]), (Some(1), &json!(true)), "{plan:#}");
        let object = &plan["objects"][0];
        let failure = if object["failure"].is_null() {
            &object["outputs"][0]["failure"]
        } else {
            &object["failure"]
        };
        assert_eq!(failure["code"], code, "{plan:#}");
    }
    bed.grant_only("kv2").await?;
    let good = bed.manifest(
        "good",
        "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: o, dataKey: v}}}",
    )?;
    let unknown = bed.json(&["plan", "-f", &good]).await?.1;
    assert!(
        unknown["unknown"][0]
            .to_string()
            .contains("there is no controller in namespace akv2k8s"),
        "{unknown:#}"
    );
    assert_eq!(unknown["failed"], false, "{unknown:#}");
    let at = [
        "plan",
        "-f",
        &good,
        "--controller-namespace",
        bed.stage.namespace.name(),
    ];
    let (exit, denied) = bed.json(&at).await?;
    assert_eq!((exit, &denied["unknown"]), (Some(1), &json!([])), "{denied:#}");
    assert_eq!(denied["objects"][0]["failure"]["code"], "VaultNotGranted", "{denied:#}");
    bed.grant_only("kv1").await?;
    let (exit, granted) = bed.json(&at).await?;
    assert_eq!(exit, Some(2), "{granted:#}");

    let none = bed.run(&["plan", "-f", "/does/not/exist"]).await?;
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.err.contains("/does/not/exist"), "{none:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_read_secrets_it_says_so_and_what_would_be_written() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-plan-few").await?;
    bed.set("db", "canary")?;
    let file = bed.manifest(
        "db",
        "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}",
    )?;
    bed.become_reader().await?;
    let (code, plan) = bed.json(&["plan", "-f", &file]).await?;
    assert_eq!(code, Some(1), "{plan:#}");
    let output = &plan["objects"][0]["outputs"][0];
    assert_eq!(
        (&output["step"], keys(output)),
        (&json!("unknown"), vec!["v unknown →6".to_owned()]),
        "{plan:#}"
    );
    let elsewhere = std::fs::read_to_string(&file)?.replacen("{name: db}", "{name: db, namespace: default}", 1);
    let elsewhere = bed.file("elsewhere/db.yaml", &elsewhere)?;
    let denied = bed.run(&["plan", "-f", &elsewhere]).await?;
    assert_eq!(denied.code, Some(1), "{denied:?}");
    assert!(
        denied
            .err
            .contains("no right to list azurekeyvaultsecrets.spv.no in namespace default"),
        "{denied:?}"
    );
    Ok(())
}
