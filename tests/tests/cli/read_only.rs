//! What the commands send: nothing that changes a cluster or a vault. So rights to read are enough for all of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use akv2k8s_testbed::emulator::{FederatedCredential, SecretOptions, Service};
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stack::{Controller, Stack, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::{Said, program, program_with};
use crate::kubelet::{Kubelet, NODE};

/// Every command. `DIR` is a folder, `PORT` that of the controller's probes.
const COMMANDS: [&str; 15] = [
    "doctor --health-port PORT -o json",
    "doctor akvs db -o json",
    "doctor identity --serviceaccount default/web --vault kv1 -o json",
    "doctor pod web --vault kv1 -o json",
    "plan -f DIR/akvs.yaml -o json",
    "get db -o json",
    "get db --show --yes -o json",
    "render -f DIR/akvs.yaml --yes",
    "run --env-file DIR/.env -- /usr/bin/printenv DB",
    "convert -f DIR/akvs.yaml --to external-secret",
    "top --health-port PORT -o json",
    "support --to DIR/support.tar --health-port PORT -o json",
    "completion bash",
    "man DIR/man",
    "--version",
];

/// The same with a token of a ServiceAccount, which the API server makes and keeps nowhere.
const MINT: &str = "doctor identity --serviceaccount default/web --mint --vault kv1 -o json";

/// What is sent and is no GET: questions, whose answers are kept nowhere.
const QUESTION: &str = "POST /apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews";
const TOKEN: &str = "POST /api/v1/namespaces/default/serviceaccounts/web/token";

const AKVS: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db, namespace: default}
spec: {vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}
";

/// A workload; `CLIENT` is who it is at Entra.
const WEB: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: default, annotations: {azure.workload.identity/client-id: CLIENT}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default}
spec: {serviceAccountName: web, containers: [{name: web, image: example.org/web}]}
";

/// The rights of docs/cli.md, and all rights.
const RIGHTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: admin, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cli-reader}
rules:
- {apiGroups: [spv.no], resources: [azurekeyvaultsecrets], verbs: [get, list]}
- {apiGroups: [''], resources: [secrets, pods/proxy], verbs: [get]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get]}
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: [get]}
- {apiGroups: [admissionregistration.k8s.io], resources: [mutatingwebhookconfigurations], verbs: [list]}
- {apiGroups: [admissionregistration.k8s.io], resources: [validatingadmissionpolicies], verbs: [get]}
- {apiGroups: [authorization.k8s.io], resources: [localsubjectaccessreviews], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cli-admin}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: admin, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cli-view}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cli-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cli-reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
";

/// Writes down what is sent to the API server, without queries.
#[derive(Default)]
struct Notes(Mutex<BTreeSet<String>>);

impl Gate for Notes {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        if moment == Moment::Arrived {
            let path = request.split('?').next().unwrap_or_default().to_owned();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
        }
        async { Verdict::Pass }.boxed()
    }
}

impl Notes {
    /// What was sent since it was asked last: reads, and all else.
    fn take(&self) -> (Vec<String>, Vec<String>) {
        let sent = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        sent.into_iter().partition(|request| request.starts_with("GET "))
    }
}

/// A controller at work, and the program in front of it, whose requests are written down.
struct Bed {
    stack: Stack,
    controller: Controller,
    notes: Arc<Notes>,
    proxy: Proxy,
    folder: TempDir,
    secret: String,
    _kubelet: Kubelet,
}

impl Bed {
    async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        let vault = stack.vault("kv1");
        vault.set_secret("db", "canary", SecretOptions::default())?;
        let kubelet = Kubelet::start(&stack.cluster, "starting\n").await?;
        install_controller_pod(&stack.cluster, Some(NODE)).await?;
        for manifests in [RIGHTS, AKVS, &WEB.replace("CLIENT", stack.app.client_id())] {
            stack.cluster.kubectl_apply(manifests).await?;
        }
        let issuer = stack.cluster.issuer().await?;
        let web = FederatedCredential::service_account(&issuer, "default", "web");
        stack.app.add_federated_credential(web);
        let controller = stack.controller().arg("--azure-resync-period=1").start().await?;
        let synced = ["wait", "--for=condition=Ready", "akvs/db", "--timeout=60s"];
        stack.cluster.kubectl(&synced).await?.success()?;
        let leases: Api<Lease> =
            Api::namespaced(stack.cluster.client_as_service_account("default", "reader")?, "akv2k8s");
        let may_read = async || leases.get("akv2k8s-controller").await.ok();
        until("the reader's rights", PATIENCE, may_read).await?;

        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("akvs.yaml"), AKVS)?;
        std::fs::write(folder.path().join(".env"), "DB=db@azurekeyvault\n")?;
        let notes = Arc::new(Notes::default());
        Ok(Self {
            proxy: Proxy::start(&stack.cluster, notes.clone()).await?,
            secret: stack.app.add_secret(),
            stack,
            controller,
            notes,
            folder,
            _kubelet: kubelet,
        })
    }

    /// Runs `line` as the ServiceAccount `account`.
    async fn run(&self, account: &str, line: &str) -> anyhow::Result<Said> {
        let cluster = &self.stack.cluster;
        let issuer = cluster.issuer().await?;
        let token = cluster.service_account_token("default", account, &issuer).await?;
        let kubeconfig = cluster.kubeconfig_with(json!({"token": token}));
        let path = self.folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig.with("server", self.proxy.url()).to_string())?;
        let variables = [
            ("AUTH_TYPE", "environment".to_owned()),
            ("SSL_CERT_FILE", self.stack.file("ca.pem").display().to_string()),
            ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
            (
                "AZURE_ENVIRONMENT_FILEPATH",
                self.stack.file("cloud.json").display().to_string(),
            ),
            ("AZURE_TENANT_ID", self.stack.emulator.entra().tenant_id().to_owned()),
            ("AZURE_CLIENT_ID", self.stack.app.client_id().to_owned()),
            ("AZURE_CLIENT_SECRET", self.secret.clone()),
        ];
        let (_, port) = self
            .controller
            .http()
            .rsplit_once(':')
            .context("an address has a port")?;
        let line = line.replace("DIR", &self.folder.path().display().to_string());
        let line = line.replace("PORT", port);
        let words: Vec<_> = line.split(' ').collect();
        let said = program_with(&words, &path, &variables).await?;
        // What exists is not overwritten.
        for made in ["support.tar", "man"] {
            let made = self.folder.path().join(made);
            let _ = std::fs::remove_file(&made).or_else(|_| std::fs::remove_dir_all(&made));
        }
        Ok(said)
    }

    /// Waits until `top` has seen reads of both kinds: those it tells of by name.
    async fn counted(&self) -> anyhow::Result<()> {
        until("the controller to have read and listed", PATIENCE, async || {
            let said = self.run("admin", COMMANDS[10]).await.ok()?;
            let top: Value = serde_json::from_str(&said.out).ok()?;
            let calls = &top["vaults"][0]["calls"];
            (calls["getSecret"].as_u64()? > 0 && calls["listSecrets"].as_u64()? > 0).then_some(())
        })
        .await?;
        Ok(())
    }
}

/// Counts, sizes and times differ from run to run.
fn without_digits(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_digit(), "")
}

/// The commands that the program tells of.
async fn told() -> anyhow::Result<BTreeSet<String>> {
    let help = program(&["--help"], "/does/not/exist".as_ref()).await?;
    let (_, listed) = help.out.split_once("Commands:\n").context("a list of commands")?;
    let lines = listed.lines().take_while(|line| !line.trim().is_empty());
    let words = lines.filter_map(|line| line.split_whitespace().next());
    Ok(words.filter(|word| *word != "help").map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_only_reads_and_says_to_a_reader_what_it_says_to_an_administrator() -> anyhow::Result<()> {
    let first = |line: &&str| line.split(' ').next().unwrap_or_default().to_owned();
    let run: BTreeSet<_> = COMMANDS.iter().map(first).filter(|it| !it.starts_with('-')).collect();
    ensure!(told().await? == run, "all commands are run here: {run:?}");

    let bed = Bed::start().await?;
    bed.counted().await?;
    bed.notes.take();
    for line in COMMANDS {
        let admin = bed.run("admin", line).await?;
        ensure!(
            admin.out.len() + admin.err.len() > 0 || line.starts_with("man "),
            "{line}"
        );
        let reader = bed.run("reader", line).await?;
        ensure!(
            reader.code == admin.code
                && without_digits(&reader.out) == without_digits(&admin.out)
                && without_digits(&reader.err) == without_digits(&admin.err),
            "{line}: {reader:?}, {admin:?}"
        );
        // `doctor` has found what a stage without nodes lacks.
        ensure!(admin.code == Some(0) || line.starts_with("doctor"), "{line}: {admin:?}");
    }
    let (reads, others) = bed.notes.take();
    let lease = "GET /apis/coordination.k8s.io/v1/namespaces/akv2k8s/leases/akv2k8s-controller";
    ensure!(reads.iter().any(|it| it == lease), "{reads:?}");
    ensure!(others == [QUESTION], "{others:?}");

    let minted = bed.run("admin", MINT).await?;
    ensure!(minted.out.contains("Vault 'kv1' lets this identity read"), "{minted:?}");
    let (_, others) = bed.notes.take();
    ensure!(others == [TOKEN, QUESTION], "{others:?}");

    let asked = bed.stack.emulator.journal().entries();
    let mut vaults = asked.iter().filter(|it| matches!(it.service, Service::Vault(_)));
    ensure!(vaults.clone().count() > 0 && vaults.all(|it| it.request.starts_with("GET ")));
    bed.controller.stop().await
}
