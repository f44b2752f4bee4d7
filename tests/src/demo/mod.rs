//! `cargo demo`: everything a user sees, on a real API server, in one go.

mod injection;
mod node;
pub mod seed;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::controlplane::ControlPlane;
use crate::emulator::{SecretOptions, VaultHandle};
use crate::provision::{Locations, Program, provision};
use crate::stack::{Controller, Injector, Profile, SERVICE_ACCOUNT, Stack, controller_program};

/// The vault the examples name.
pub(crate) const VAULT: &str = "akv2k8s-demo";
/// Where the examples are applied.
const NAMESPACE: &str = "akv-demo";
/// Poll period, seconds: short, so that the rotation is not a wait.
const POLL: u64 = 3;
/// What a step may take at most.
const LIMIT: Duration = Duration::from_mins(1);

/// What `demo` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Leave everything running, and print the kubeconfig to play with; Ctrl-C ends it
    #[arg(long)]
    pub keep: bool,

    /// Show the env injector on a real node instead; needs root and packages of the system (docs/node.md)
    #[arg(long, conflicts_with = "keep")]
    pub node: bool,
}

/// Runs the demo; the error says which step failed and why.
pub async fn run(args: &Args, out: &mut impl Write) -> anyhow::Result<()> {
    let started = Instant::now();
    if args.node {
        node::run(out).await?;
        let seconds = started.elapsed().as_secs();
        writeln!(
            out,
            "\ndemo: ok - a Deployment on a real node started with its value, in {seconds} s"
        )?;
        return Ok(());
    }
    provision(&Locations::from_env(), Program::CONTROL_PLANE, out)?;
    writeln!(out, "\n== Building the controller")?;
    let program = tokio::task::spawn_blocking(|| controller_program(Profile::Dev)).await??;
    writeln!(out, "   {}", program.display())?;

    writeln!(
        out,
        "\n== Starting a Kubernetes control plane and a Key Vault, Entra ID and IMDS emulator"
    )?;
    let stack = Stack::start().await?;
    let vault = stack.vault(VAULT);
    seed::fill(&vault)?;
    let up = stack.cluster.startup_time().as_secs_f32();
    writeln!(
        out,
        "   API server {} (up in {up:.1} s), vault {}",
        stack.cluster.server_url(),
        vault.url()
    )?;

    writeln!(
        out,
        "\n== Starting akv2k8s-controller: its ServiceAccount's token is exchanged at Entra (workload identity)"
    )?;
    let mut running = Running::default();
    let mut stage = Stage {
        cluster: &stack.cluster,
        out,
    };
    let outcome = play(&mut stage, &stack, &vault, &mut running).await;
    if outcome.is_err()
        && let Some(controller) = &running.controller
    {
        writeln!(out, "\n== The controller's last lines\n{}", tail(&controller.log()))?;
    }
    let shown = outcome?;

    let seconds = started.elapsed().as_secs();
    writeln!(
        out,
        "\ndemo: ok - {shown} AzureKeyVaultSecrets synced, one rotation followed, one mistake and one broken identity explained, \
         one program started with its value, in {seconds} s"
    )?;
    if args.keep {
        keep(&stack, out).await?;
    }
    Ok(())
}

async fn launch(stack: &Stack) -> anyhow::Result<Controller> {
    let period = format!("--azure-resync-period={POLL}");
    stack.controller().arg(&period).start().await
}

/// Where things are shown.
struct Stage<'a, W> {
    cluster: &'a ControlPlane,
    out: &'a mut W,
}

/// The programs that run at the end, or did when something failed.
#[derive(Default)]
struct Running {
    controller: Option<Controller>,
    injector: Option<Injector>,
}

/// All acts.
async fn play<W: Write>(
    stage: &mut Stage<'_, W>,
    stack: &Stack,
    vault: &VaultHandle,
    running: &mut Running,
) -> anyhow::Result<usize> {
    let controller = running.controller.insert(launch(stack).await?);
    let shown = sync(stage, vault, controller).await?;
    stage.say("Breaking the identity: Entra forgets its federated credential, and the controller starts anew")?;
    if let Some(controller) = running.controller.take() {
        controller.stop().await?;
    }
    stack.app.remove_federated_credentials();
    running.controller = Some(launch(stack).await?);
    break_identity(stage, stack).await?;
    running.injector = Some(injection::play(stage, stack).await?);
    Ok(shown)
}

/// Objects, a rotation, a mistake.
async fn sync<W: Write>(
    stage: &mut Stage<'_, W>,
    vault: &VaultHandle,
    controller: &Controller,
) -> anyhow::Result<usize> {
    stage.say("Applying examples/sync: one of each object and output type")?;
    stage.kubectl(&["create", "namespace", NAMESPACE]).await?;
    let folder = example("sync");
    let applied = Instant::now();
    stage.kubectl(&["-n", NAMESPACE, "apply", "-f", &folder]).await?;
    stage
        .kubectl(&[
            "-n",
            NAMESPACE,
            "wait",
            "akvs",
            "--all",
            "--for=condition=Ready",
            "--timeout=60s",
        ])
        .await?;
    stage.note(&format!(
        "all Ready {:.1} s after kubectl apply",
        applied.elapsed().as_secs_f32()
    ))?;

    stage.say("What the team sees")?;
    let objects = stage.kubectl(&["-n", NAMESPACE, "get", "akvs"]).await?.lines().count() - 1;
    stage
        .kubectl(&[
            "-n",
            NAMESPACE,
            "get",
            "secrets,configmaps",
            "--field-selector=metadata.name!=kube-root-ca.crt",
        ])
        .await?;
    stage
        .expect_secret("my-secret-from-akv", "secret-value", seed::FIRST_VALUE)
        .await?;

    stage.say("Rotating my-secret in the vault")?;
    vault.set_secret("my-secret", seed::ROTATED_VALUE, SecretOptions::default())?;
    let rotated = Instant::now();
    stage
        .expect_secret("my-secret-from-akv", "secret-value", seed::ROTATED_VALUE)
        .await?;
    stage.note(&format!(
        "the Kubernetes Secret has the new value {:.1} s later (poll period {POLL} s)",
        rotated.elapsed().as_secs_f32()
    ))?;

    stage.say("A mistake: examples/mistakes/misspelt-object.yaml names an object that the vault does not have")?;
    stage
        .kubectl(&[
            "-n",
            NAMESPACE,
            "apply",
            "-f",
            &example("mistakes/misspelt-object.yaml"),
        ])
        .await?;
    stage
        .kubectl(&[
            "-n",
            NAMESPACE,
            "wait",
            "akvs/misspelt",
            "--for=condition=Ready=False",
            "--timeout=60s",
        ])
        .await?;
    stage.explained("misspelt", &["ObjectNotFound", "my-secret"]).await?;
    for value in [seed::FIRST_VALUE, seed::ROTATED_VALUE] {
        if controller.log().contains(value) {
            bail!("the controller logged a secret's value");
        }
    }
    Ok(objects)
}

/// The explanation of an identity that Entra refuses, and how it heals.
async fn break_identity<W: Write>(stage: &mut Stage<'_, W>, stack: &Stack) -> anyhow::Result<()> {
    let object = "secret-sync";
    stage.wait_for(object, "Ready=False").await?;
    let needed = "az identity federated-credential create";
    stage
        .explained(object, &["NoFederatedCredential", needed, SERVICE_ACCOUNT])
        .await?;
    stage.note("the Kubernetes Secret is left as it was")?;
    stage
        .expect_secret("my-secret-from-akv", "secret-value", seed::ROTATED_VALUE)
        .await?;

    stage.say("Creating the federated credential again, as the fix says")?;
    stack.federate().await?;
    let repaired = Instant::now();
    stage.wait_for(object, "Ready").await?;
    stage.note(&format!(
        "Ready again {:.1} s later, without a restart",
        repaired.elapsed().as_secs_f32()
    ))
}

impl<W: Write> Stage<'_, W> {
    async fn wait_for(&mut self, object: &str, condition: &str) -> anyhow::Result<()> {
        let (object, condition) = (format!("akvs/{object}"), format!("--for=condition={condition}"));
        let wait = ["-n", NAMESPACE, "wait", &object, &condition, "--timeout=60s"];
        self.kubectl(&wait).await.map(drop)
    }

    /// Shows an object and its Ready condition, whose text must hold all of `expected`.
    async fn explained(&mut self, object: &str, expected: &[&str]) -> anyhow::Result<()> {
        let ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}: \
                     {.status.conditions[?(@.type==\"Ready\")].message}";
        self.kubectl(&["-n", NAMESPACE, "get", "akvs", object]).await?;
        let text = self
            .kubectl(&["-n", NAMESPACE, "get", "akvs", object, "-o", ready])
            .await?;
        match expected.iter().find(|it| !text.contains(**it)) {
            Some(missing) => bail!("the status does not explain it, {missing:?} is not in it: {text}"),
            None => Ok(()),
        }
    }

    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "\n== {text}")?)
    }

    fn note(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.out, "   -> {text}")?)
    }

    /// Runs kubectl as a user would, and shows the command and what it printed.
    async fn kubectl(&mut self, arguments: &[&str]) -> anyhow::Result<String> {
        writeln!(self.out, "   $ kubectl {}", shown(arguments))?;
        let printed = self.cluster.kubectl(arguments).await?.success()?;
        for line in printed.lines() {
            writeln!(self.out, "   {line}")?;
        }
        Ok(printed)
    }

    /// Waits until the Secret holds the value, which is compared and not shown.
    async fn expect_secret(&mut self, name: &str, key: &str, value: &str) -> anyhow::Result<()> {
        let template = format!("go-template={{{{index .data \"{key}\" | base64decode}}}}");
        let arguments = ["-n", NAMESPACE, "get", "secret", name, "-o", &template];
        let arrived = async || {
            let output = self.cluster.kubectl(&arguments).await.ok()?.success().ok()?;
            (output == value).then_some(())
        };
        crate::wait::until(&format!("Secret {name} to hold the vault's value"), LIMIT, arrived).await?;
        self.note(&format!("Secret {name}, key {key}: equal to the vault's value"))
    }
}

/// The path of an example, relative to the work tree's root.
fn example(name: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    root.canonicalize().unwrap_or(root).join(name).display().to_string()
}

/// A command line as one would type it in the work tree.
fn shown(arguments: &[&str]) -> String {
    let root = example("").trim_end_matches("examples/").to_owned();
    let quoted = arguments.iter().map(|argument| {
        let argument = argument.replace(&root, "");
        if argument.contains([' ', '(', '{', '!']) {
            format!("'{argument}'")
        } else {
            argument
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

async fn keep(stack: &Stack, out: &mut impl Write) -> anyhow::Result<()> {
    let kubeconfig = stack.cluster.kubeconfig().display();
    writeln!(
        out,
        "\nStill running. In another terminal:\n\n   export KUBECONFIG={kubeconfig}"
    )?;
    writeln!(out, "   kubectl -n {NAMESPACE} get akvs\n\nCtrl-C ends it.")?;
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}
