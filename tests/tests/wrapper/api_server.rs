//! AKVS from a real API server, with the pod's own ServiceAccount, as an image does that calls the wrapper by itself.
//!
//! The wrapper looks for the ServiceAccount where every pod has it. Here that folder is in a mount namespace of the wrapper's own, which
//! takes root.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::injection::names;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::{capability, crd, wait};
use futures::future::BoxFuture;
use tokio::process::{Child, Command};

use crate::bed::{Ended, LONG, end, value, wrapper};
use crate::vault::Bed;

/// Puts the folder in its first argument where pods have their ServiceAccount, and becomes the rest of them.
const AS_IN_A_POD: &str = "run=$(readlink -f /var/run) && mount -t tmpfs tmpfs \"$run\" && mkdir -p \"$run/secrets/kubernetes.io\" \
    && cp -r \"$0\" \"$run/secrets/kubernetes.io/serviceaccount\" && exec \"$@\"";

/// Counts what the API server has answered.
#[derive(Default)]
struct Answered(AtomicUsize);

impl Gate for Answered {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        if moment == Moment::Answered && request.contains("/azurekeyvaultsecrets/db") {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(std::future::ready(Verdict::Pass))
    }
}

struct Pod {
    bed: Bed,
    cluster: &'static ControlPlane,
    namespace: Namespace,
    proxy: Proxy,
    answered: Arc<Answered>,
}

impl Pod {
    /// A vault with a secret, and a namespace with a ServiceAccount that may do nothing; `None` where the test cannot run.
    async fn start() -> Option<Self> {
        if !capability::has(capability::OWN_MOUNTS) {
            return None;
        }
        let bed = Bed::start().await;
        bed.vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
        let cluster = ControlPlane::shared().await.unwrap();
        crd::install(&cluster.client().unwrap()).await.unwrap();
        let namespace = cluster.namespace("alone").await.unwrap();
        let issuer = cluster.issuer().await.unwrap();
        let token = cluster
            .service_account_token(namespace.name(), "default", &issuer)
            .await
            .unwrap();
        std::fs::create_dir(bed.path("account")).unwrap();
        for (name, content) in [
            ("token", token.as_str()),
            ("ca.crt", cluster.ca_pem()),
            ("namespace", namespace.name()),
        ] {
            std::fs::write(bed.path(&format!("account/{name}")), content).unwrap();
        }
        let answered = Arc::new(Answered::default());
        let proxy = Proxy::start(cluster, answered.clone()).await.unwrap();
        Some(Self {
            bed,
            cluster,
            namespace,
            proxy,
            answered,
        })
    }

    fn answered(&self) -> usize {
        self.answered.0.load(Ordering::SeqCst)
    }

    /// Waits until the API server has answered once more from now on.
    async fn is_asked_again(&self) {
        let before = self.answered();
        wait::until("another request", LONG, async || {
            (self.answered() > before).then_some(())
        })
        .await
        .unwrap();
    }

    async fn kubectl(&self, arguments: &[&str]) {
        let namespace = ["--namespace", self.namespace.name()];
        let output = self
            .cluster
            .kubectl(&[&namespace[..], arguments].concat())
            .await
            .unwrap();
        output.success().unwrap();
    }

    /// The Role that docs/env-injection.md names, and its `RoleBinding`.
    async fn allow(&self) {
        self.kubectl(&[
            "create",
            "role",
            "akvs-reader",
            "--verb",
            "get",
            "--resource",
            "azurekeyvaultsecrets.spv.no",
        ])
        .await;
        let account = format!("{}:default", self.namespace.name());
        self.kubectl(&[
            "create",
            "rolebinding",
            "akvs-reader",
            "--role",
            "akvs-reader",
            "--serviceaccount",
            &account,
        ])
        .await;
    }

    async fn apply_akvs(&self) {
        let manifest = format!(
            "{{apiVersion: spv.no/v2beta1, kind: AzureKeyVaultSecret, metadata: {{name: db, namespace: {}}}, \
             spec: {{vault: {{name: kv1, object: {{name: db, type: secret}}}}}}}}",
            self.namespace.name()
        );
        self.cluster.kubectl_apply(&manifest).await.unwrap();
    }

    /// Starts `env` in the wrapper.
    async fn start_env(&self, more: &[(&str, &str)]) -> Child {
        let (host, port) = self
            .proxy
            .url()
            .strip_prefix("https://")
            .unwrap()
            .rsplit_once(':')
            .unwrap();
        let program = wrapper(&[]).await.as_std().get_program().to_owned();
        let mut command = Command::new("unshare");
        let line: [OsString; 6] = [
            "--mount".into(),
            "sh".into(),
            "-c".into(),
            AS_IN_A_POD.into(),
            self.bed.path("account").into(),
            program,
        ];
        command
            .args(line)
            .arg("env")
            .env_clear()
            .envs(self.bed.application())
            .env("AZURE_CLIENT_SECRET", &self.bed.secret)
            .envs([
                ("DB", "db@azurekeyvault"),
                ("KUBERNETES_SERVICE_HOST", host),
                ("KUBERNETES_SERVICE_PORT", port),
            ])
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    async fn env(&self, more: &[(&str, &str)]) -> Ended {
        end(self.start_env(more).await).await
    }
}

fn assert_told(ended: &Ended, code: Code) {
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{code}: {}", ended.err);
    let expected = format!("azure-keyvault-env: DB (db@azurekeyvault): {code}: ");
    assert!(ended.err.starts_with(&expected), "{code}: {}", ended.err);
}

#[tokio::test]
async fn with_the_role_that_is_documented_an_akvs_of_the_namespace_is_resolved() {
    let Some(pod) = Pod::start().await else { return };
    pod.apply_akvs().await;
    pod.allow().await;
    let ended = pod.env(&[("SAME", "db@azurekeyvault?")]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(
        (value(&ended, "DB"), value(&ended, "SAME")),
        (Some("s3cret"), Some("s3cret"))
    );
    assert_eq!(pod.answered(), 1, "one AKVS, one request");
}

#[tokio::test]
async fn a_missing_right_and_a_missing_akvs_are_told_with_what_to_do() {
    let Some(pod) = Pod::start().await else { return };
    let once = [(names::RETRIES, "0")];
    let ended = pod.env(&once).await;
    assert_told(&ended, Code::ApiServerForbidden);
    assert!(ended.err.contains("kubectl create role akvs-reader"), "{}", ended.err);
    pod.allow().await;
    let ended = pod.env(&once).await;
    assert_told(&ended, Code::AkvsNotFound);
}

#[tokio::test]
async fn a_role_and_an_akvs_that_come_a_moment_later_are_waited_for() {
    let Some(pod) = Pod::start().await else { return };
    let waiting = pod.start_env(&[(names::START_BUDGET, "600")]).await;
    pod.is_asked_again().await;
    pod.allow().await;
    pod.is_asked_again().await;
    pod.apply_akvs().await;
    let ended = end(waiting).await;
    assert_eq!(
        (ended.code, value(&ended, "DB")),
        (Some(0), Some("s3cret")),
        "{}",
        ended.err
    );
}
