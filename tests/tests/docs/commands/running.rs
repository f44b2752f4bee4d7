//! The commands of the pages are run: kubectl, our plugin and Helm against real API servers, with our programs, an emulated vault and
//! objects of these names around them. There is no node: pods are called ready by the test, where a command waits for them.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::demo::seed;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::stack::{CONTROLLER_POD, Stack, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::shell::{Found, commands, ends_well, shell_for, shell_of};
use super::{Look, look};
use crate::page::root;
use crate::there::is_there;

/// What readers run themselves.
const WORKLOAD: &str = "kubectl create namespace shop && kubectl create deployment web --namespace shop --image=example.org/web \
                        && kubectl run app --image=example.org/app";
/// What they keep in a folder.
const MANIFEST: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db-password}
spec:
  vault: {name: my-vault, object: {name: db-password, type: secret}}
  output: {secret: {name: db-password, dataKey: password}}
";
/// The namespace of the installation.
const NAMESPACE: &str = "akv2k8s";

/// Commands that are run elsewhere, as they are written: page, beginning, the test or stage.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("docs/quick-start.md", "cargo testbed emulator", EMULATOR),
    ("docs/quick-start.md", "kubectl create namespace akv2k8s", EMULATOR),
    ("docs/quick-start.md", "kubectl create configmap emulator", EMULATOR),
    ("docs/quick-start.md", "sed ", EMULATOR),
    (
        "docs/quick-start.md",
        "helm install akv2k8s charts/akv2k8s --namespace akv2k8s --wait",
        EMULATOR,
    ),
    ("docs/quick-start.md", "kubectl apply -f examples/identity", EMULATOR),
    ("docs/quick-start.md", "kubectl wait akvs/db-password", EMULATOR),
    ("docs/quick-start.md", "helm install akv2k8s", QUICK_START),
    ("docs/quick-start.md", "kubectl apply -f - <<'YAML'", QUICK_START),
    ("docs/quick-start.md", "kubectl get akvs db-password", QUICK_START),
    ("docs/quick-start.md", "kubectl label namespace default", QUICK_START),
    ("docs/quick-start.md", "kubectl run app", QUICK_START),
    ("docs/quick-start.md", "kubectl akv2k8s doctor", QUICK_START),
    ("docs/authentication.md", "kubectl exec", QUICK_START),
    (
        "docs/coming-from-akv2k8s.md",
        "kubectl --namespace akv2k8s exec",
        QUICK_START,
    ),
    ("docs/doctor.md", "kubectl exec", QUICK_START),
    ("docs/network.md", "kubectl exec", QUICK_START),
    ("docs/runbooks/Akv2k8sObjectsNotSynced.md", "kubectl exec", QUICK_START),
    ("docs/runbooks/Akv2k8sTokensFailing.md", "kubectl exec", QUICK_START),
    ("docs/runbooks/Akv2k8sVaultSilent.md", "kubectl exec", QUICK_START),
    ("README.md", "cargo demo", DEMO),
    ("docs/quick-start.md", "cargo demo", DEMO),
    ("docs/coming-from-csi.md", "", CSI),
    ("docs/coming-from-external-secrets.md", "", EXTERNAL_SECRETS),
    ("examples/argocd/README.md", "", ARGO_CD),
    ("examples/migration/csi/README.md", "", CSI_EXAMPLE),
    ("examples/migration/default-azure-credential/README.md", "", CREDENTIAL),
    ("examples/migration/external-secrets/README.md", "", EXTERNAL_SECRETS),
];
/// On a real node, with each block of the chapter about the emulator.
const EMULATOR: &str =
    "chart_node/emulator.rs::a_cluster_whose_azure_is_the_emulator_gets_its_first_secret_and_its_first_variable";
const DEMO: &str = "the stage `demo` of `cargo verify`";
/// On a real node, with each block of the chapter about AKS, and what other pages run in the controller's pod.
const QUICK_START: &str = "chart_node/quick_start.rs::the_quick_start_ends_with_a_program_that_has_its_value";
/// These follow a page command by command, and look at what came of it.
const ARGO_CD: &str = "docs/commands/argocd.rs::the_script_is_in_argo_cds_configuration_beside_what_was_there";
const CSI: &str = "docs/commands/csi.rs::new_secrets_beside_the_drivers_outlive_these_and_go_with_their_objects";
const CSI_EXAMPLE: &str =
    "docs/commands/csi.rs::the_example_takes_the_drivers_secrets_over_and_they_outlive_their_replica_set";
const EXTERNAL_SECRETS: &str =
    "docs/commands/external_secrets.rs::what_external_secrets_wrote_is_left_alone_then_taken_over_as_the_same_object";
const CREDENTIAL: &str = "docs/commands/credential.rs::the_application_goes_step_by_step_to_no_secret";

/// Commands that no test runs: page, beginning, what they need. Those of Azure's CLI are not in it: they are known by their words.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("docs/troubleshooting.md", "kubectl -n akv2k8s port-forward", KUBELET),
    (
        "docs/runbooks/Akv2k8sControllerNotWorking.md",
        "kubectl -n akv2k8s logs",
        KUBELET,
    ),
    (
        "docs/runbooks/Akv2k8sInjectorAbsent.md",
        "kubectl -n akv2k8s logs",
        KUBELET,
    ),
    (
        "docs/runbooks/Akv2k8sAdmissionSlow.md",
        "kubectl -n akv2k8s top",
        "a metrics server",
    ),
    ("docs/images.md", "cargo testbed images", BUILDS),
    ("docs/images.md", "rustup target add", "the Internet; `.ci/run` does it"),
    (
        "docs/images.md",
        "apt-get install",
        "packages to be installed; `.ci/run` does it",
    ),
    (
        "docs/node.md",
        "apt-get install",
        "packages to be installed; `.ci/run` does it",
    ),
    ("docs/node.md", "cargo testbed provision", BUILDS),
    (
        "docs/node.md",
        "cargo test ",
        "minutes, as root; the stage `node` of `cargo verify`",
    ),
    ("docs/quick-start.md", "cargo install", BUILDS),
    ("docs/quick-start.md", "cargo testbed images", BUILDS),
    ("docs/quick-start.md", "for image in", "a registry, or Docker"),
    ("docs/quick-start.md", "kind ", DOCKER),
    ("docs/quick-start.md", "HOST=", DOCKER),
    ("README.md", "git clone", "the Internet"),
];
const BUILDS: &str = "minutes of compiling";
const DOCKER: &str = "Docker";
const KUBELET: &str = "a kubelet";

/// A page whose commands belong to the installed chart, all of them.
const OF_THE_CHART: &str = "docs/coming-from-akv2k8s.md";
/// A page that installs what others have running already.
const LAST: &str = "docs/env-injector.md";

/// What becomes of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Here,
    Elsewhere,
    Azure,
    /// And what it needs.
    NotRun(&'static str),
}

fn fate(found: &Found) -> Fate {
    let row = |list: &'static [(&str, &str, &'static str)]| {
        let mut rows = list.iter();
        let row = rows.find(|(page, start, _)| *page == found.page && found.command.starts_with(start));
        row.map(|(_, _, why)| *why)
    };
    if look(&found.command) == Look::Azure {
        Fate::Azure
    } else if let Some(need) = row(NOT_RUN) {
        Fate::NotRun(need)
    } else if row(ELSEWHERE).is_some() {
        Fate::Elsewhere
    } else {
        Fate::Here
    }
}

/// What is around a command when it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    /// A cluster for the chart.
    Chart,
    /// Our running programs, and an emulated vault.
    Programs,
}

/// The commands that are run here, in this world.
fn to_run(world: World) -> Vec<Found> {
    let is_of = |found: &Found| {
        let is_of_the_chart = found.page == OF_THE_CHART || found.command.starts_with("helm ");
        is_of_the_chart == (world == World::Chart) && fate(found) == Fate::Here
    };
    let (last, mut found): (Vec<_>, Vec<_>) = commands().into_iter().filter(is_of).partition(|it| it.page == LAST);
    found.extend(last);
    found
}

/// `command` with what it stands for in the place of words that stand for something.
fn here(command: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(command.to_owned(), |command, (word, meant)| {
        command.replace(word, meant)
    })
}

/// Says of all pods of the installation that they are ready, as a kubelet would, while `command` waits for that.
async fn with_ready_pods(
    cluster: &ControlPlane,
    command: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client()?, NAMESPACE);
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let play_kubelet = until("the command to end", PATIENCE, async || {
        for pod in pods.list(&ListParams::default()).await.ok()? {
            let patch = Patch::Strategic(&ready);
            // One that is gone by now is no matter.
            let _ = pods
                .patch_status(&pod.name_any(), &PatchParams::default(), &patch)
                .await;
        }
        None::<()>
    });
    tokio::select! {
        ended = command => ended,
        timed_out = play_kubelet => timed_out.map_err(Into::into),
    }
}

async fn follow(shell: &Shell, cluster: &ControlPlane, found: &Found, words: &[(&str, &str)]) -> anyhow::Result<()> {
    let command = here(&found.command, words);
    let run = ends_well(shell, &command);
    let ended = if command.contains(" rollout status ") {
        with_ready_pods(cluster, run).await
    } else if command.starts_with("kubectl get ") {
        drop(run);
        // What it shows may come a moment later.
        let mut last = Ok(());
        let shown = until(&command, PATIENCE, async || {
            last = ends_well(shell, &command).await;
            last.is_ok().then_some(())
        });
        shown.await.or(last)
    } else {
        run.await
    };
    ended.with_context(|| found.page.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_the_chart_do_what_they_say() -> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    let shell = tokio::task::block_in_place(|| shell_for(&cluster))?;
    ends_well(&shell, WORKLOAD).await?;
    let words = [("CLIENT_ID", "11111111-2222-3333-4444-555555555555"), ("REVISION", "1")];
    for found in to_run(World::Chart) {
        if found.command.starts_with("helm install ") {
            // One at a time.
            let uninstall = "helm list --all-namespaces --no-headers | while read -r name namespace _; do \
                             [ -z \"$name\" ] || helm uninstall $name --namespace $namespace; done";
            ends_well(&shell, uninstall).await?;
        }
        follow(&shell, &cluster, &found, &words).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_about_the_programs_do_what_they_say() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let cluster = &stack.cluster;
    let vault = stack.vault("akv2k8s-demo");
    seed::fill(&vault)?;
    vault.set_secret("db-password", "s3cret", SecretOptions::default())?;
    stack
        .vault("my-vault")
        .set_secret("db-password", "s3cret", SecretOptions::default())?;
    install_controller_pod(cluster, None).await?;
    let controller = stack.controller().start().await?;

    let shell = tokio::task::block_in_place(|| shell_of(&stack))?;
    prepare(&shell)?;
    ends_well(&shell, WORKLOAD).await?;
    for namespace in ["default", "shop"] {
        let object = format!("kubectl apply --namespace {namespace} -f examples/sync/01-secret.yaml -f manifests");
        ends_well(&shell, &object).await?;
    }

    let readyz = format!("{}/readyz", controller.http());
    let (_, port) = controller.http().rsplit_once(':').context("an address has a port")?;
    let at_pod = format!("{CONTROLLER_POD}:{port}");
    let words = [
        ("--namespace NAMESPACE NAME", "--namespace default secret-sync"),
        ("NAME --namespace NAMESPACE", "secret-sync --namespace default"),
        ("describe akvs NAME", "describe akvs secret-sync"),
        (
            "doctor pod POD --namespace NAMESPACE",
            "doctor pod app --namespace default",
        ),
        ("doctor pod POD", "doctor pod app"),
        ("NAMESPACE/SERVICEACCOUNT", "akv2k8s/akv2k8s-controller"),
        ("--vault VAULT", "--vault my-vault"),
        ("POD:9000", &at_pod),
        // It is there already.
        ("create namespace akv2k8s", "get namespace akv2k8s"),
        ("localhost:9000/readyz", &readyz),
    ];
    let mut emulator = None;
    for found in to_run(World::Programs) {
        if found.command.starts_with("cargo testbed emulator") {
            emulator = Some(Emulator::start(&shell, &found.command).await?);
            continue;
        }
        let port = emulator.as_ref().map_or("8443", |it| it.port.as_str());
        let words = [&words[..], &[("8443", port)]].concat();
        follow(&shell, cluster, &found, &words).await?;
    }
    Ok(())
}

/// What the pages take for granted in the reader's folder.
fn prepare(shell: &Shell) -> anyhow::Result<()> {
    let folder = shell.folder();
    let program = folder.join("app");
    std::fs::write(
        &program,
        "#!/bin/sh\ncase $DB_PASSWORD in *azurekeyvault* | '') exit 1 ;; esac\n",
    )?;
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755))?;
    std::fs::write(folder.join(".env"), "DB_PASSWORD=secret-sync@azurekeyvault\n")?;
    std::fs::write(folder.join("examples.yaml"), "{}\n")?;
    std::fs::write(folder.join("client.pem"), "")?;
    std::fs::write(folder.join("credentials.env"), "AZURE_CLIENT_SECRET=a\n")?;
    for name in ["external-secrets", "manifests"] {
        std::fs::create_dir(folder.join(name))?;
    }
    std::fs::write(folder.join("manifests/db-password.yaml"), MANIFEST)?;
    let manifests = "apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: azure, namespace: shop}
spec: {provider: {azurekv: {vaultUrl: 'https://kv1.vault.azure.net'}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: shop}
spec: {secretStoreRef: {name: azure}, target: {name: db}, data: [{secretKey: password, remoteRef: {key: db}}]}
";
    std::fs::write(folder.join("external-secrets/db.yaml"), manifests)?;
    Ok(())
}

/// The emulator as a program, on ports that are free.
struct Emulator {
    port: String,
    _process: tokio::process::Child,
}

impl Emulator {
    async fn start(shell: &Shell, command: &str) -> anyhow::Result<Self> {
        let program = command.replacen("cargo testbed", "exec testbed", 1);
        let mut process = shell.start(&format!("{program} --listen 127.0.0.1:0 --imds-listen 127.0.0.1:0"))?;
        let mut lines = BufReader::new(process.stdout.take().context("it prints")?).lines();
        let mut port = None;
        while let Some(line) = lines.next_line().await? {
            if let Some((_, rest)) = line.split_once("https://admin.localhost:") {
                port = Some(rest.trim_end_matches('/').to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        Ok(Self {
            port: port.context("it does not say where its admin API is")?,
            _process: process,
        })
    }
}

#[test]
fn what_is_run_is_counted_and_what_is_not_has_a_reason() -> anyhow::Result<()> {
    let commands = commands();
    let mut pages: BTreeMap<&str, BTreeMap<Fate, usize>> = BTreeMap::new();
    for found in &commands {
        *pages.entry(&found.page).or_default().entry(fate(found)).or_default() += 1;
    }
    for (page, start, _) in ELSEWHERE.iter().chain(NOT_RUN) {
        let is_it = |it: &Found| it.page == *page && it.command.starts_with(start);
        ensure!(
            commands.iter().any(is_it) || !root().join(page).exists(),
            "{page} has no command {start} any more"
        );
    }
    for (_, _, test) in ELSEWHERE {
        let is_there = test.split_once(".rs::").is_none_or(|(file, name)| is_there(file, name));
        ensure!(is_there, "there is no test {test} any more");
    }
    let mut all: BTreeMap<Fate, usize> = BTreeMap::new();
    for (page, fates) in &pages {
        println!("{page}: {}", told(fates));
        for (fate, count) in fates {
            *all.entry(*fate).or_default() += count;
        }
    }
    println!("{} commands: {}", commands.len(), told(&all));
    Ok(())
}

/// How many are run, need `az`, and are not run for what they need.
fn told(fates: &BTreeMap<Fate, usize>) -> String {
    let count = |fate| fates.get(&fate).copied().unwrap_or_default();
    let run = count(Fate::Here) + count(Fate::Elsewhere);
    let mut told = vec![format!("{run} run"), format!("{} need az", count(Fate::Azure))];
    for (fate, count) in fates {
        if let Fate::NotRun(need) = fate {
            told.push(format!("{count} not run ({need})"));
        }
    }
    told.join(", ")
}
