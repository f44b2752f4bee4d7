//! The blocks of the pages marked `yaml`: each can be read, and whoever it is for takes it. Kubernetes' objects and ours go to a real API server
//! (in dry run, with strict validation), parts of a pod in a pod, values to Helm, whose schema refuses what is no value of the chart.

use std::collections::BTreeMap;

use akv2k8s_shared::grants::Grants;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::helm::{Helm, objects};
use akv2k8s_testbed::provision::Program;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::page::all;

/// Groups that the API server of a test knows.
const SERVED: [&str; 4] = ["spv.no/", "networking.k8s.io/", "apps/", "v1"];
/// Groups of others, whose objects are only read here.
const OTHERS: [&str; 2] = ["argoproj.io/", "helm.toolkit.fluxcd.io/"];
/// What begins the values that pages show.
const VALUES: [&str; 3] = ["controller", "global", "serviceAccountIdentities"];
/// Parts of objects that are named in the text around them: page, and the first field.
const PARTS: [(&str, &str); 4] = [
    ("docs/azurekeyvaultsecret.md", "metadata"),
    ("docs/gitops.md", "spec"),
    ("docs/how-to.md", "spec"),
    ("docs/how-to.md", "template"),
];
/// A file of the emulator, which `tests/src/emulator/seed.rs` starts it with.
const STATE: (&str, &str) = ("docs/emulator.md", "apps");

/// Whom a block is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum For {
    ApiServer,
    Pod,
    Container,
    Helm,
    Grants,
    Others,
    Part,
}

fn whom(page: &str, block: &Value) -> anyhow::Result<For> {
    let version = block["apiVersion"].as_str().unwrap_or_default();
    let first = block.as_object().and_then(|it| it.keys().next());
    let first = first.context("it is no object")?.as_str();
    let is_one_of = |groups: &[&str]| groups.iter().any(|it| version.starts_with(it));
    Ok(match first {
        _ if is_one_of(&SERVED) => For::ApiServer,
        _ if is_one_of(&OTHERS) => For::Others,
        _ if !version.is_empty() => bail!("nobody here knows {version}"),
        "containers" => For::Pod,
        "env" => For::Container,
        "grants" => For::Grants,
        _ if VALUES.contains(&first) => For::Helm,
        _ if PARTS.contains(&(page, first)) || (page, first) == STATE => For::Part,
        _ => bail!("{first} is not known"),
    })
}

/// What keeps a block from being taken.
async fn is_taken(cluster: &ControlPlane, page: &str, block: &Value) -> anyhow::Result<For> {
    let whom = whom(page, block)?;
    let pod = |spec: &Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": spec});
    let object = match whom {
        For::ApiServer => block.clone(),
        For::Pod => pod(block),
        For::Container => pod(&json!({"containers": [{"name": "app", "image": "app", "env": block["env"]}]})),
        For::Helm => {
            Helm::of(Program::Helm3)?.template(&block.to_string())?;
            return Ok(whom);
        }
        For::Grants => {
            let grants = Grants::parse(&block.to_string());
            ensure!(grants.is_ok(), "{:?}", grants.err().map(|it| it.to_string()));
            return Ok(whom);
        }
        For::Others | For::Part => return Ok(whom),
    };
    let line = [
        "create",
        "--dry-run=server",
        "--validate=strict",
        "--namespace=default",
        "-f",
        "-",
    ];
    let output = cluster.kubectl_with_input(&line, &object.to_string()).await?;
    output.success()?;
    Ok(whom)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_yaml_is_taken_by_whom_it_is_for() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    akv2k8s_testbed::crd::install(&cluster.client()?).await?;
    let (mut counts, mut wrong) = (BTreeMap::new(), Vec::new());
    for page in all() {
        let name = page.path.display().to_string();
        for block in page.blocks("yaml") {
            let found = match objects(&block) {
                Ok(found) => found,
                Err(error) => {
                    wrong.push(format!("{name}: {error:#}\n{block}"));
                    continue;
                }
            };
            for object in found {
                match is_taken(cluster, &name, &object).await {
                    Ok(whom) => *counts.entry(whom).or_insert(0) += 1,
                    Err(error) => wrong.push(format!("{name}: {error:#}\n{block}")),
                }
            }
        }
    }
    println!("{counts:?}");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(counts.values().sum::<usize>() >= 18 && counts[&For::ApiServer] >= 2 && counts[&For::Helm] >= 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_with_a_mistake_is_noticed() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    akv2k8s_testbed::crd::install(&cluster.client()?).await?;
    let vault = json!({"name": "kv1", "object": {"name": "db", "typ": "secret"}});
    for wrong in [
        json!({"apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "a"}, "spec": {"vault": vault}}),
        json!({"containers": [{"name": "app", "image": "app", "enviroment": []}]}),
        json!({"env": [{"nam": "DB"}]}),
        json!({"controller": {"enviroment": {}}}),
        json!({"grants": [{"namespace": "shop"}]}),
        json!({"apiVersion": "example.org/v1"}),
        json!({"other": 1}),
    ] {
        ensure!(is_taken(cluster, "docs/none.md", &wrong).await.is_err(), "{wrong}");
    }
    Ok(())
}
