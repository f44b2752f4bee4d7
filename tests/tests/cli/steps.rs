//! `plan`: the steps that are rarer than create, update and delete; each is what the controller then does.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::Bed;

/// The first output of the first object.
fn output(plan: &Value, name: &str) -> Value {
    let outputs = plan["objects"][0]["outputs"].as_array().map_or(&[][..], Vec::as_slice);
    outputs
        .iter()
        .find(|output| output["name"] == name)
        .cloned()
        .unwrap_or_default()
}

fn changes(output: &Value) -> Vec<String> {
    let keys = output["keys"].as_array().map_or(&[][..], Vec::as_slice);
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    keys.iter()
        .map(|key| format!("{} {}", word(&key["key"]), word(&key["change"])))
        .collect()
}

fn spec(object: &str, secret: &str) -> String {
    format!("{{vault: {{name: kv1, object: {{name: {object}, type: secret}}}}, output: {{secret: {secret}}}}}")
}

/// Applies what was planned, waits for it, and plans again: nothing is left to do.
async fn carry_out(bed: &Bed, name: &str, file: &str) -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(file)?;
    let ns = bed.stage.namespace.name();
    let manifest = manifest.replacen("metadata: {", &format!("metadata: {{namespace: {ns}, "), 1);
    bed.stage.cluster.kubectl_apply(&manifest).await?;
    bed.stage.wait_for_reason(name, "Synced").await?;
    let (code, plan) = bed.json(&["plan", "-f", file]).await?;
    assert_eq!(code, Some(0), "{plan:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_secret_is_released_and_a_key_of_an_older_object_is_refused() -> anyhow::Result<()> {
    let bed = Bed::new("cli-shared").await?;
    bed.set("db", "canary")?;
    let controller = bed.stage.controller(&["--azure-resync-period=3600"]).await?;
    for name in ["a", "b"] {
        bed.stage
            .apply(name, &spec("db", &format!("{{name: out, dataKey: {name}}}")))
            .await?;
        bed.stage.wait_for_reason(name, "Synced").await?;
    }
    let younger = bed.manifest("c", &spec("db", "{name: out, dataKey: a}"))?;
    let (code, refused) = bed.json(&["plan", "-f", &younger]).await?;
    assert_eq!(
        (code, &output(&refused, "out")["failure"]["code"]),
        (Some(1), &json!("OutputConflict")),
        "{refused:#}"
    );

    let moved = bed.manifest("a", &spec("db", "{name: elsewhere, dataKey: a}"))?;
    let (code, plan) = bed.json(&["plan", "-f", &moved]).await?;
    assert_eq!(
        (code, &output(&plan, "elsewhere")["step"]),
        (Some(2), &json!("create")),
        "{plan:#}"
    );
    let released = output(&plan, "out");
    assert_eq!(
        (&released["step"], changes(&released)),
        (&json!("release"), vec!["a removed".to_owned()]),
        "{plan:#}"
    );
    bed.stage
        .apply("a", &spec("db", "{name: elsewhere, dataKey: a}"))
        .await?;
    bed.stage.wait_for_key("elsewhere", "a", "canary").await?;
    bed.stage.wait_for_reason("a", "Synced").await?;
    let out = bed
        .stage
        .secret("out")
        .await?
        .and_then(|secret| secret.data)
        .unwrap_or_default();
    assert_eq!(out.keys().collect::<Vec<_>>(), ["b"]);
    controller.stop().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_is_a_secret_made_anew_and_adoption_of_equal_values_is_told_apart() -> anyhow::Result<()> {
    let bed = Bed::new("cli-steps").await?;
    bed.set("login", "canary:canary-2")?;
    let controller = bed.stage.controller(&["--azure-resync-period=3600"]).await?;
    bed.stage.apply("t", &spec("login", "{name: t, dataKey: v}")).await?;
    bed.stage.wait_for_reason("t", "Synced").await?;
    let typed = bed.manifest("t", &spec("login", "{name: t, type: kubernetes.io/basic-auth}"))?;
    let (code, plan) = bed.json(&["plan", "-f", &typed]).await?;
    let anew = output(&plan, "t");
    let keys = ["password added", "username added", "v removed"]
        .map(str::to_owned)
        .to_vec();
    assert_eq!(
        (code, &anew["step"], changes(&anew)),
        (Some(2), &json!("recreate"), keys),
        "{plan:#}"
    );

    bed.stage
        .apply("t", &spec("login", "{name: t, type: kubernetes.io/basic-auth}"))
        .await?;
    bed.stage.wait_for_reason("t", "Synced").await?;
    let (code, done) = bed.json(&["plan", "-f", &typed]).await?;
    assert_eq!(code, Some(0), "{done:#}");

    let theirs = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs"}, "stringData": {"v": "canary:canary-2"}});
    let somebody = PatchParams::apply("somebody");
    bed.stage
        .api::<Secret>()
        .patch("theirs", &somebody, &Patch::Apply(theirs))
        .await?;
    let adopted = bed.manifest("j", &spec("login", "{name: theirs, dataKey: v}"))?;
    let text = std::fs::read_to_string(&adopted)?;
    let adopting = text.replacen("{name: j}", "{name: j, annotations: {akv2k8s.spv.no/adopt: 'true'}}", 1);
    std::fs::write(&adopted, adopting)?;
    let (code, plan) = bed.json(&["plan", "-f", &adopted]).await?;
    let joined = output(&plan, "theirs");
    assert_eq!(
        (code, &joined["step"], changes(&joined)),
        (Some(2), &json!("join"), vec!["v equal".to_owned()]),
        "{plan:#}"
    );
    carry_out(&bed, "j", &adopted).await?;
    controller.stop().await?;
    Ok(())
}
