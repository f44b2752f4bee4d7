//! `render`: the manifests that are printed are the Secrets and ConfigMaps that the controller writes, for every type of output.

use std::collections::BTreeMap;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::CertificatePolicy;
use akv2k8s_testbed::emulator::crypto::{Curve, KeyType};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::bed::Bed;

/// What an output is made of: name of AKVS and output, the vault's object, `output` with `NAME` for its name.
struct Row(&'static str, &'static str, &'static str);

const ROWS: &[Row] = &[
    Row(
        "untyped",
        "name: text, type: secret",
        "{secret: {name: NAME, dataKey: v}}",
    ),
    Row(
        "opaque",
        "name: text, type: secret",
        "{transform: [trim], secret: {name: NAME, type: Opaque, dataKey: v}}",
    ),
    Row(
        "own-type",
        "name: text, type: secret",
        "{secret: {name: NAME, type: example.com/own, dataKey: v}}",
    ),
    Row(
        "binary",
        "name: base64, type: secret",
        "{transform: [base64decode], secret: {name: NAME, dataKey: v}}",
    ),
    Row(
        "basic-auth",
        "name: login, type: secret",
        "{secret: {name: NAME, type: kubernetes.io/basic-auth}}",
    ),
    Row(
        "docker",
        "name: docker, type: secret",
        "{secret: {name: NAME, type: kubernetes.io/dockerconfigjson}}",
    ),
    Row(
        "docker-cfg",
        "name: docker-cfg, type: secret",
        "{secret: {name: NAME, type: kubernetes.io/dockercfg}}",
    ),
    Row(
        "ssh",
        "name: text, type: secret",
        "{secret: {name: NAME, type: kubernetes.io/ssh-auth}}",
    ),
    Row(
        "tls-of-secret",
        "name: pfx, type: secret",
        "{secret: {name: NAME, type: kubernetes.io/tls}}",
    ),
    Row(
        "tls",
        "name: pfx, type: certificate",
        "{secret: {name: NAME, type: kubernetes.io/tls}}",
    ),
    Row(
        "tls-ordered",
        "name: pem, type: certificate",
        "{secret: {name: NAME, type: kubernetes.io/tls, chainOrder: ensureserverfirst}}",
    ),
    Row(
        "stored",
        "name: pfx, type: certificate",
        "{secret: {name: NAME, type: Opaque, dataKey: v}}",
    ),
    Row(
        "public",
        "name: pem, type: certificate",
        "{secret: {name: NAME, dataKey: v}}",
    ),
    Row("key", "name: key, type: key", "{secret: {name: NAME, dataKey: v}}"),
    Row(
        "jwk",
        "name: key, type: key",
        "{keyFormat: jwk, secret: {name: NAME, dataKey: v}}",
    ),
    Row("many", MANY, "{secret: {name: NAME}}"),
    Row(
        "map",
        "name: text, type: secret",
        "{configMap: {name: NAME, dataKey: v}}",
    ),
    Row(
        "map-lines",
        "name: lines, type: secret",
        "{configMap: {name: NAME, dataKey: v}}",
    ),
    Row(
        "map-binary",
        "name: base64, type: secret",
        "{transform: [base64decode], configMap: {name: NAME, dataKey: v}}",
    ),
    Row(
        "map-public",
        "name: pem, type: certificate",
        "{configMap: {name: NAME, dataKey: v}}",
    ),
    Row(
        "map-key",
        "name: key, type: key",
        "{configMap: {name: NAME, dataKey: v}}",
    ),
    Row("map-many", MANY, "{configMap: {name: NAME, dataKey: unused}}"),
    Row(
        "both",
        "name: text, type: secret",
        "{secret: {name: NAME, dataKey: s}, configMap: {name: NAME, dataKey: c}}",
    ),
];

const MANY: &str = "name: many, type: multi-key-value-secret, contentType: application/x-json";

/// Labels and annotations of each AKVS: one goes on, one never does, and one is left out.
fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "labels": {"team": "blue", "helm.sh/chart": "shop"},
        "annotations": {"note": "one", "owner": "ann", "akv2k8s.spv.no/do-not-copy": "owner"},
    })
}

/// The manifest of a row, as JSON.
fn manifest(Row(name, object, output): &Row) -> anyhow::Result<Value> {
    let spec = format!(
        "{{vault: {{name: kv1, object: {{{object}}}}}, output: {}}}",
        output.replace("NAME", name)
    );
    let spec: Value = serde_yaml::from_str(&spec)?;
    Ok(json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": metadata(name), "spec": spec,
    }))
}

fn fill(bed: &Bed) -> anyhow::Result<()> {
    bed.set("text", " canary \n")?;
    bed.set("lines", "\tcanary\nof lines \n\n")?;
    bed.set("base64", "/wBjYW5hcnk=")?;
    bed.set("login", "canary:canary-2")?;
    bed.set(
        "docker",
        r#"{"auths":{"r.example.com":{"username":"canary","password":"p"}}}"#,
    )?;
    bed.set(
        "docker-cfg",
        r#"{"r.example.com":{"username":"canary","password":"p"}}"#,
    )?;
    bed.set("many", r#"{"user":"canary","port":5432}"#)?;
    for (name, content_type) in [("pfx", "application/x-pkcs12"), ("pem", "application/x-pem-file")] {
        let mut policy = CertificatePolicy::self_signed("CN=canary.example.com").curve(Curve::P256);
        content_type.clone_into(&mut policy.secret_props.content_type);
        bed.vault.create_certificate(name, &policy)?;
    }
    bed.vault.create_key("key", KeyType::Ec(Curve::P256))?;
    Ok(())
}

/// What of an object is the manifest's: all but what the API server and the owner put there.
fn essence(mut object: Value) -> ((String, String), Value) {
    let metadata = object["metadata"].take();
    let kept = ["name", "namespace", "labels", "annotations"];
    let kept: BTreeMap<_, _> = kept.into_iter().map(|field| (field, metadata[field].clone())).collect();
    object["metadata"] = json!(kept);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    ((text(&object["kind"]), text(&object["metadata"]["name"])), object)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rendered_is_what_the_controller_writes_for_every_type() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-render").await?;
    fill(&bed)?;
    let akvs = bed.stage.api::<AzureKeyVaultSecret>();
    let mut manifests = Vec::new();
    for row in ROWS {
        let manifest = manifest(row)?;
        let patch = PatchParams::apply("test").force();
        akvs.patch(row.0, &patch, &Patch::Apply(&manifest)).await?;
        manifests.push(format!("{manifest}\n"));
    }
    let controller = bed.stage.controller(&[]).await?;
    for Row(name, ..) in ROWS {
        bed.stage.wait_for_reason(name, "Synced").await?;
    }
    controller.stop().await?;
    let ns = bed.stage.namespace.name();
    let get = ["-n", ns, "get", "secrets,configmaps", "-l", "team=blue", "-o", "json"];
    let written: Value = serde_json::from_str(&bed.stage.cluster.kubectl(&get).await?.success()?)?;
    let written: BTreeMap<_, _> = items(&written).into_iter().map(essence).collect();
    assert_eq!(written.len(), ROWS.len() + 1, "one makes two: {:?}", written.keys());

    let file = bed.file("all.yaml", &manifests.join("---\n"))?;
    let unasked = bed.run(&["render", "-f", &file]).await?;
    assert_eq!((unasked.code, &*unasked.out), (Some(1), ""), "{unasked:?}");
    // No cluster is asked.
    bed.variables.push(("KUBECONFIG", "/does/not/exist".to_owned()));
    let list = bed.run(&["render", "-f", &file, "--yes", "-o", "json"]).await?;
    assert_eq!(list.code, Some(0), "{list:?}");
    let list: Value = serde_json::from_str(&list.out)?;
    let rendered: BTreeMap<_, _> = items(&list).into_iter().map(essence).collect();
    for (which, object) in &written {
        assert_eq!(rendered.get(which), Some(object), "{which:?}");
    }
    assert_eq!(rendered.len(), written.len(), "{:?}", rendered.keys());
    assert!(
        items(&list)
            .iter()
            .all(|it| it["metadata"].get("ownerReferences").is_none()),
        "{list:#}"
    );

    let yaml = bed.run(&["render", "-f", &file, "--yes"]).await?;
    let read = ["create", "--dry-run=client", "-o", "json", "-f", "-"];
    let read = bed
        .stage
        .cluster
        .kubectl_with_input(&read, &yaml.out)
        .await?
        .success()?;
    let read = serde_json::Deserializer::from_str(&read).into_iter::<Value>();
    let read: BTreeMap<_, _> = read.map(|object| object.map(essence)).collect::<Result<_, _>>()?;
    assert_eq!(rendered, read, "kubectl reads in YAML what JSON says");
    Ok(())
}

fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().cloned().unwrap_or_default()
}
