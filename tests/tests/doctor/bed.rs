//! Runs the real program `kubectl-akv2k8s` against a real API server.

use std::path::{Path, PathBuf};

use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::stack::{WORKLOAD_IDENTITY_WEBHOOK, cli_program};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;

/// Who runs the program, and where.
pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    namespace: String,
    /// Goes when the bed goes.
    _own: Option<Namespace>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) files: TempDir,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Its exit code.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) text: String,
    /// What it complained of.
    pub(crate) error: String,
}

impl Bed {
    /// A namespace of the shared control plane, in which the workload identity webhook is registered; all rights.
    pub(crate) async fn new(prefix: &str) -> anyhow::Result<Self> {
        static REGISTERED: OnceCell<()> = OnceCell::const_new();
        let cluster = ControlPlane::shared().await?;
        let register = async || cluster.kubectl_apply(WORKLOAD_IDENTITY_WEBHOOK).await.map(drop);
        REGISTERED.get_or_try_init(register).await?;
        let own = cluster.namespace(prefix).await?;
        Ok(Self {
            namespace: own.name().to_owned(),
            _own: Some(own),
            ..Self::in_namespace(cluster, "")?
        })
    }

    /// A namespace that is there already; all rights.
    pub(crate) fn in_namespace(cluster: &'static ControlPlane, namespace: &str) -> anyhow::Result<Self> {
        Ok(Self {
            cluster,
            namespace: namespace.to_owned(),
            _own: None,
            kubeconfig: cluster.kubeconfig().to_owned(),
            variables: Vec::new(),
            files: tempfile::tempdir()?,
        })
    }

    /// The namespace's name.
    pub(crate) fn ns(&self) -> &str {
        &self.namespace
    }

    /// From now on the program runs as a ServiceAccount with the rights that Kubernetes' own role `view` gives in the namespace.
    pub(crate) async fn become_reader(&mut self) -> anyhow::Result<()> {
        let ns = self.namespace.clone();
        let rights = format!(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader, namespace: {ns}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {ns}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {ns}}}]
"
        );
        self.cluster.kubectl_apply(&rights).await?;
        let issuer = self.cluster.issuer().await?;
        let token = self.cluster.service_account_token(&ns, "reader", &issuer).await?;
        let path = self.files.path().join("reader.kubeconfig");
        std::fs::write(&path, self.cluster.kubeconfig_with(json!({"token": token})).to_string())?;
        // Rights take effect a moment after they are written.
        let pods: Api<Pod> = Api::namespaced(self.cluster.client_as_service_account(&ns, "reader")?, &ns);
        let granted = async || pods.list(&ListParams::default()).await.ok();
        until("the reader's rights", PATIENCE, granted).await?;
        self.kubeconfig = path;
        Ok(())
    }

    /// Runs the program with these arguments.
    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let program = tokio::task::spawn_blocking(cli_program).await??;
        let output = Command::new(program)
            .args(arguments)
            .args(["-n", self.ns()])
            .env_clear()
            .envs(self.variables.iter().cloned())
            .env("KUBECONFIG", &self.kubeconfig)
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run kubectl-akv2k8s")?;
        Said::of(output)
    }

    /// Runs it as people do: kubectl finds it in its `PATH`, and `kubectl akv2k8s …` is what is typed.
    pub(crate) async fn run_as_plugin(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let program = tokio::task::spawn_blocking(cli_program).await??;
        let folder = program.parent().context("a program is in a folder")?;
        let output = Command::new(self.cluster.kubectl_program())
            .arg("akv2k8s")
            .args(arguments)
            .args(["-n", self.ns()])
            .env_clear()
            .envs(self.variables.iter().cloned())
            .env("HOME", self.files.path())
            .env("PATH", folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run kubectl")?;
        Said::of(output)
    }

    /// Runs it and reads its JSON.
    pub(crate) async fn json(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let said = self.run(&[arguments, &["-o", "json"]].concat()).await?;
        serde_json::from_str(&said.text).with_context(|| format!("{said:?}"))
    }

    /// Applies manifests in the namespace; where one names it, `NS` stands for it.
    pub(crate) async fn apply(&self, manifests: &str) -> anyhow::Result<()> {
        let line = ["-n", self.ns(), "apply", "-f", "-"];
        let manifests = manifests.replace("NS", self.ns());
        self.cluster.kubectl_with_input(&line, &manifests).await?.success()?;
        Ok(())
    }

    /// Applies a file of the examples, as it is.
    pub(crate) async fn apply_file(&self, file: &Path) -> anyhow::Result<()> {
        let file = file.display().to_string();
        let line = ["-n", self.ns(), "apply", "-f", &file];
        self.cluster.kubectl(&line).await?.success()?;
        Ok(())
    }

    /// Does what a report says is to be done, if that is one kubectl command.
    pub(crate) async fn follow(&self, fix: &str) -> anyhow::Result<()> {
        let words = shell_words(fix);
        let arguments: Vec<_> = words.iter().map(String::as_str).collect();
        anyhow::ensure!(arguments.first() == Some(&"kubectl"), "not a kubectl command: {fix}");
        self.cluster.kubectl(&arguments[1..]).await?.success()?;
        Ok(())
    }

    /// Waits for a pod of these labels and gives its name.
    pub(crate) async fn pod(&self, labels: &str) -> anyhow::Result<String> {
        self.pod_but(labels, "").await
    }

    /// The same, but not `other`: while no kubelet makes a new pod ready, a Deployment keeps the old one beside it.
    pub(crate) async fn pod_but(&self, labels: &str, other: &str) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client()?, self.ns());
        let what = format!("a pod with {labels}, not {other:?}");
        let name = until(&what, PATIENCE, async || {
            let list = pods.list(&ListParams::default().labels(labels)).await.ok()?;
            list.items.iter().map(ResourceExt::name_any).find(|name| name != other)
        });
        Ok(name.await?)
    }
}

/// Splits at blanks, and keeps what is in single quotes together.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

impl Said {
    fn of(output: std::process::Output) -> anyhow::Result<Self> {
        Ok(Self {
            code: output.status.code(),
            text: String::from_utf8(output.stdout)?,
            error: String::from_utf8(output.stderr)?,
        })
    }

    /// Its line about what is not made, passed or failed that begins so.
    pub(crate) fn has_line(&self, start: &str) -> bool {
        self.text.lines().any(|line| line.starts_with(start))
    }
}
