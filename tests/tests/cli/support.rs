//! `support`: what is in the archive, and that no value is.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stack::{Stack, answer_for, deployment, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bed::program;
use crate::kubelet::{Kubelet, NODE};

/// The vault's value; every other secret of the test has `canary` in it, too.
const VALUE: &str = "canary-of-the-vault";

const AKVS: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db, namespace: default, annotations: {note: canary-in-an-annotation}}
spec: {vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}
";

fn unpacked(path: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut archive = tar::Archive::new(std::fs::File::open(path)?);
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(name.trim_start_matches("akv2k8s-support/").to_owned(), text);
    }
    Ok(files)
}

/// What others run beside us: nothing of it is ours to send.
const OTHERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: payments-controller, namespace: akv2k8s}
spec:
  replicas: 0
  selector: {matchLabels: {app: payments}}
  template:
    metadata: {labels: {app: payments}}
    spec: {containers: [{name: c, image: example.org/payments, args: [--key=canary-in-an-argument]}]}
";

/// A pod of the env injector's; `PORT` is that of its probes, and `NODE` its node.
const INJECTOR: &str = "
apiVersion: v1
kind: Pod
metadata: {name: injector-0, namespace: akv2k8s, labels: {app: webhook}}
spec:
  nodeName: NODE
  containers: [{name: webhook, image: example.org/webhook, ports: [{name: http, containerPort: PORT}]}]
";

/// Makes it and its Deployment; what answers on `port` of this machine answers for it.
async fn install_injector(stack: &Stack, port: &str) -> anyhow::Result<()> {
    let injector = deployment("envinjector", "webhook", "[]");
    stack.cluster.kubectl_apply(&injector).await?;
    let pod = INJECTOR.replace("PORT", port).replace("NODE", NODE);
    stack.cluster.kubectl_apply(&pod).await?;
    answer_for(&stack.cluster, "injector-0").await
}

/// Who may list AKVS, and read nothing that they wrote.
const LISTER: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: lister, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: lister}
rules: [{apiGroups: [spv.no], resources: [azurekeyvaultsecrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: lister}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: lister}
subjects: [{kind: ServiceAccount, name: lister, namespace: default}]
";

/// A kubeconfig of the ServiceAccount `default/NAME`, in `folder`.
async fn kubeconfig_of(stack: &Stack, name: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let issuer = stack.cluster.issuer().await?;
    let token = stack.cluster.service_account_token("default", name, &issuer).await?;
    let path = folder.join(name);
    std::fs::write(
        &path,
        stack.cluster.kubeconfig_with(json!({"token": token})).to_string(),
    )?;
    Ok(path)
}

/// Whoever may not read what is to be looked for gets no archive unasked, and one that says so when asked.
async fn needs_consent(kubeconfig: &Path, folder: &Path, why: &str, unread: &Value) -> anyhow::Result<()> {
    let path = folder.join("unsearched.tar").display().to_string();
    let arguments = ["support", "--to", &path, "-o", "json"];
    let refused = until("the refusal", PATIENCE, async || {
        let said = program(&arguments, kubeconfig).await.ok()?;
        said.err.contains(why).then_some(said)
    });
    let refused = refused.await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("--unsearched"), "{refused:?}");
    assert!(!Path::new(&path).exists());
    let agreed = program(&[&arguments[..], &["--unsearched"]].concat(), kubeconfig).await?;
    assert_eq!(agreed.code, Some(0), "{agreed:?}");
    let told: Value = serde_json::from_str(&agreed.out)?;
    assert_eq!(&told["outputsNotRead"], unread, "{told:#}");
    let files = unpacked(&path)?;
    assert!(files["README.txt"].contains("were NOT looked for"), "{files:?}");
    std::fs::remove_file(&path)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_holds_what_helps_and_no_value_wherever_one_was_put() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    stack.vault("kv1").set_secret("db", VALUE, SecretOptions::default())?;
    let log = format!(
        "2026-11-29T12:00:00Z starting\nread {VALUE} and {} of eyJhbGciOiJub25lIn0.canary-in-a-token.x\nclient_secret=canary-of-entra\n",
        STANDARD.encode(VALUE)
    );
    let _kubelet = Kubelet::start(&stack.cluster, &log).await?;
    install_controller_pod(&stack.cluster, Some(NODE)).await?;
    let secret = "deployment/akv2k8s-controller";
    let set = [
        "set",
        "env",
        secret,
        "--namespace=akv2k8s",
        "AZURE_CLIENT_SECRET=canary-in-a-variable",
        "AUTH_TYPE=clientSecret",
    ];
    stack.cluster.kubectl(&set).await?.success()?;
    stack.cluster.kubectl_apply(AKVS).await?;
    stack.cluster.kubectl_apply(OTHERS).await?;
    let controller = stack.controller().start().await?;
    let (_, port) = controller.http().rsplit_once(':').context("an address has a port")?;
    install_injector(&stack, port).await?;
    let synced = ["wait", "--for=condition=Ready", "akvs/db", "--timeout=60s"];
    stack.cluster.kubectl(&synced).await?.success()?;

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bundle.tar").display().to_string();
    let arguments = ["support", "--to", &path, "--health-port", port];
    let said = program(&arguments, stack.cluster.kubeconfig()).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let files = unpacked(&path)?;
    for (name, text) in &files {
        assert!(
            !text.contains("canary") && !text.contains(&STANDARD.encode(VALUE)),
            "{name}: {text}"
        );
    }
    for (name, expected) in [
        ("akvs.json", "\"Synced\""),
        ("deployments.json", "\"clientSecret\""),
        ("pods.json", "\"controller-0\""),
        ("versions.json", "\"kubernetes\": \"v1."),
        ("controller-0/readyz.txt", ""),
        ("controller-0/metrics.txt", "akv2k8s_vault_requests_total"),
        ("injector-0/metrics.txt", "akv2k8s_vault_requests_total"),
        (
            "controller-0/log.txt",
            "starting\nread [REDACTED] and [REDACTED] of [REDACTED]\nclient_secret=[REDACTED]\n",
        ),
        ("README.txt", "Not here:\n"),
    ] {
        let text = files
            .get(name)
            .with_context(|| format!("no {name} in {:?}", files.keys()))?;
        assert!(text.contains(expected), "{name}: {text}");
        assert!(said.out.contains(name), "{said:?}");
    }
    let again = program(&arguments, stack.cluster.kubeconfig()).await?;
    assert!(
        again.code == Some(1) && again.err.contains("bundle.tar"),
        "nothing is overwritten: {again:?}"
    );
    for format in ["json", "yaml"] {
        let path = folder.path().join(format).display().to_string();
        let arguments = ["support", "--to", &path, "--health-port", port, "-o", format];
        let said = program(&arguments, stack.cluster.kubeconfig()).await?;
        let told: Value = serde_yaml::from_str(&said.out).with_context(|| format!("{said:?}"))?;
        is_told(&path, &told)?;
        assert!(
            format == "yaml" || serde_json::from_str::<Value>(&said.out).is_ok(),
            "{said:?}"
        );
    }
    controller.stop().await?;
    let mode = std::fs::metadata(&path)?.permissions().mode();
    assert_eq!(mode & 0o077, 0, "it is its owner's alone");

    stack.cluster.kubectl_apply(LISTER).await?;
    let lister = kubeconfig_of(&stack, "lister", folder.path()).await?;
    needs_consent(&lister, folder.path(), "(Secret default/db)", &json!(1)).await?;
    let nobody = kubeconfig_of(&stack, "default", folder.path()).await?;
    let why = "no right to list azurekeyvaultsecrets.spv.no in all namespaces";
    needs_consent(&nobody, folder.path(), why, &Value::Null).await?;
    Ok(())
}

/// What programs are told is what is in the archive at `path`.
fn is_told(path: &str, told: &Value) -> anyhow::Result<()> {
    assert!(!told.to_string().contains("canary"), "{told:#}");
    assert_eq!((&told["version"], &told["archive"]), (&json!(1), &json!(path)));
    assert_eq!(told["bytes"], std::fs::metadata(path)?.len());
    let files = unpacked(path)?;
    let listed = told["files"].as_array().context("files")?;
    let listed: BTreeMap<_, _> = listed
        .iter()
        .map(|it| (it["name"].as_str(), it["bytes"].as_u64()))
        .collect();
    let expected = files
        .iter()
        .map(|(name, text)| (Some(name.as_str()), Some(text.len() as u64)));
    assert_eq!(listed, expected.collect(), "{told:#}");
    for (kind, file, expected) in [
        ("azureKeyVaultSecrets", "akvs", 1),
        ("deployments", "deployments", 2),
        ("pods", "pods", 2),
    ] {
        let described: Value = serde_json::from_str(&files[&format!("{file}.json")])?;
        let count = described.as_array().map(Vec::len);
        assert_eq!(
            (told["objects"][kind].as_u64(), count),
            (Some(expected as u64), Some(expected)),
            "{kind}: {described:#}"
        );
    }
    for what in told["missing"].as_array().context("missing")? {
        let line = format!("- {}\n", what.as_str().unwrap_or_default());
        assert!(files["README.txt"].contains(&line), "{line}");
    }
    assert_eq!(told["outputsNotRead"], 0);
    Ok(())
}
