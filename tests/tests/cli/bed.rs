//! A stage on which the program is run.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use akv2k8s_testbed::stack::cli_program;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use tokio::process::Command;

/// What is in every value of these tests, and in nothing else.
pub(crate) const CANARY: &str = "canary";

/// The program's place.
pub(crate) struct Bed {
    pub(crate) stage: Stage,
    pub(crate) vault: VaultHandle,
    /// Variables that differ from the stage's; an empty one is left out.
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    fn of(output: Output) -> anyhow::Result<Self> {
        let said = Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        };
        assert!(!said.err.contains(CANARY), "{said:?}");
        Ok(said)
    }
}

/// Runs the program with a cluster and nothing else. What it says on standard error never holds a value, here and below.
pub(crate) async fn program(arguments: &[&str], kubeconfig: &Path) -> anyhow::Result<Said> {
    program_with(arguments, kubeconfig, &[]).await
}

/// The same with variables.
pub(crate) async fn program_with(
    arguments: &[&str],
    kubeconfig: &Path,
    variables: &[(&str, String)],
) -> anyhow::Result<Said> {
    let program = tokio::task::spawn_blocking(cli_program).await??;
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .envs(variables.iter().cloned())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    Said::of(output.await.context("cannot run kubectl-akv2k8s")?)
}

impl Bed {
    /// A namespace and the vault `kv1`.
    pub(crate) async fn new(prefix: &str) -> anyhow::Result<Self> {
        let stage = Stage::new(prefix).await?;
        let vault = stage.vault("kv1");
        Ok(Self {
            stage,
            vault,
            variables: Vec::new(),
        })
    }

    /// From now on the program runs as a ServiceAccount that may read AKVS in the namespace, and nothing else.
    pub(crate) async fn become_reader(&mut self) -> anyhow::Result<()> {
        let ns = self.stage.namespace.name();
        let rights = format!(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {{name: reader, namespace: {ns}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {ns}}}
rules: [{{apiGroups: [spv.no], resources: [azurekeyvaultsecrets], verbs: [get, list]}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {ns}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: ServiceAccount, name: reader, namespace: {ns}}}]
"
        );
        let cluster = &self.stage.cluster;
        cluster.kubectl_apply(&rights).await?;
        let issuer = cluster.issuer().await?;
        let token = cluster.service_account_token(ns, "reader", &issuer).await?;
        let kubeconfig = cluster.kubeconfig_with(json!({"token": token}));
        let path = self.file("reader.kubeconfig", &kubeconfig.to_string())?;
        self.variables.push(("KUBECONFIG", path));
        // Rights take effect a moment after they are written.
        let client = cluster.client_as_service_account(ns, "reader")?;
        let api: Api<AzureKeyVaultSecret> = Api::namespaced(client, ns);
        until("the reader's rights", PATIENCE, async || {
            api.list(&ListParams::default()).await.ok()
        })
        .await?;
        Ok(())
    }

    /// A controller's Deployment in the namespace, with grants that let this namespace use `vault` and no other.
    pub(crate) async fn grant_only(&self, vault: &str) -> anyhow::Result<()> {
        let ns = self.stage.namespace.name();
        let manifests = format!(
            "
apiVersion: v1
kind: ConfigMap
metadata: {{name: grants, namespace: {ns}}}
data: {{grants.yaml: 'grants: [{{namespaces: [{ns}], vaults: [{vault}]}}]'}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: akv2k8s-controller
  namespace: {ns}
  labels: {{app.kubernetes.io/name: akv2k8s, app.kubernetes.io/component: akv2k8s-controller}}
spec:
  replicas: 0
  selector: {{matchLabels: {{app: akv2k8s}}}}
  template:
    metadata: {{labels: {{app: akv2k8s}}}}
    spec:
      containers:
      - name: controller
        image: example.org/controller
        args: [--vault-grants=/etc/akv2k8s/grants.yaml]
        volumeMounts: [{{name: grants, mountPath: /etc/akv2k8s}}]
      volumes: [{{name: grants, configMap: {{name: grants}}}}]
"
        );
        self.stage.cluster.kubectl_apply(&manifests).await?;
        Ok(())
    }

    /// Sets a secret of the vault.
    pub(crate) fn set(&self, name: &str, value: &str) -> anyhow::Result<()> {
        self.vault.set_secret(name, value, SecretOptions::default())?;
        Ok(())
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> anyhow::Result<String> {
        let path: PathBuf = self.stage.files().join(name);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// The manifest of an AKVS, as a file; `spec` is YAML.
    pub(crate) fn manifest(&self, name: &str, spec: &str) -> anyhow::Result<String> {
        let text = format!(
            "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata: {{name: {name}}}\nspec: {spec}\n"
        );
        self.file(&format!("{name}.yaml"), &text)
    }

    /// The program with these arguments, ready to be started.
    pub(crate) async fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let program = tokio::task::spawn_blocking(cli_program).await??;
        let mut command = Command::new(program);
        command
            .args(["-n", self.stage.namespace.name()])
            .args(arguments)
            .env_clear()
            .env("KUBECONFIG", self.stage.cluster.kubeconfig())
            .envs(self.stage.variables().iter().cloned())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for (name, value) in &self.variables {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        Ok(command)
    }

    /// Runs it.
    pub(crate) async fn run(&self, arguments: &[&str]) -> anyhow::Result<Said> {
        let output = self
            .command(arguments)
            .await?
            .output()
            .await
            .context("cannot run kubectl-akv2k8s")?;
        Said::of(output)
    }

    /// Runs it, and reads its JSON; with its exit code. No value is in it.
    pub(crate) async fn json(&self, arguments: &[&str]) -> anyhow::Result<(Option<i32>, Value)> {
        let said = self.run(&[arguments, &["-o", "json"]].concat()).await?;
        assert!(!said.out.contains(CANARY), "{said:?}");
        let json = serde_json::from_str(&said.out).with_context(|| format!("{said:?}"))?;
        Ok((said.code, json))
    }
}
