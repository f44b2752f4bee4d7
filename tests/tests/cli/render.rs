//! `render`: the manifest that is printed is the Secret that the controller writes.

use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_is_what_the_controller_writes() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-render").await?;
    bed.set("login", "canary:canary-2")?;
    let spec = "{vault: {name: kv1, object: {name: login, type: secret}}, output: {secret: {name: login, type: kubernetes.io/basic-auth}}}";
    let file = bed.manifest("login", spec)?;
    let unasked = bed.run(&["render", "-f", &file]).await?;
    assert_eq!((unasked.code, &*unasked.out), (Some(1), ""), "{unasked:?}");

    let controller = bed.stage.controller(&[]).await?;
    bed.stage.apply("login", spec).await?;
    bed.stage.wait_for_reason("login", "Synced").await?;
    controller.stop().await?;
    let written: Secret = bed.stage.api::<Secret>().get("login").await?;
    // No cluster is asked.
    bed.variables.push(("KUBECONFIG", "/does/not/exist".to_owned()));
    let rendered = bed.run(&["render", "-f", &file, "--yes"]).await?;
    assert_eq!(rendered.code, Some(0), "{rendered:?}");
    let secret: Secret = serde_yaml::from_str(&rendered.out)?;
    assert_eq!((&secret.data, &secret.type_), (&written.data, &written.type_));
    assert_eq!(secret.metadata.namespace, written.metadata.namespace);
    assert_eq!(secret.metadata.owner_references, None);
    let list = bed.run(&["render", "-f", &file, "--yes", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&list.out)?;
    assert_eq!(list["items"][0], serde_yaml::from_str::<Value>(&rendered.out)?);
    Ok(())
}
