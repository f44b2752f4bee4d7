//! Helm on a real API server without nodes: what is there after install, upgrade, rollback and uninstall, and what stays.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::helm::{Helm, RELEASE, id};
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::PATIENCE;

const VALUES: &str =
    "{workloadIdentity: {enabled: true, clientId: an-id}, global: {env: {AZURE_ENVIRONMENT: AzurePublicCloud}}}";
const WEBHOOK: &str = "mutatingwebhookconfiguration/akv2k8s-envinjector";
const CRD: &str = "customresourcedefinition/azurekeyvaultsecrets.spv.no";

/// A control plane of its own, and Helm for it.
pub(crate) struct Bed {
    pub(crate) cluster: ControlPlane,
    pub(crate) helm: Helm,
}

impl Bed {
    pub(crate) async fn new(program: Program) -> anyhow::Result<Self> {
        let cluster = ControlPlane::start().await?;
        let helm = Helm::of(program)?.with_cluster(cluster.kubeconfig());
        Ok(Self { cluster, helm })
    }

    pub(crate) fn helm(&self, command: &str, values: &str) -> anyhow::Result<String> {
        let mut line = vec![command, RELEASE];
        match command {
            "install" => line.extend(["CHART", "--create-namespace"]),
            "upgrade" => line.push("CHART"),
            _ => {}
        }
        line.extend(["--namespace", RELEASE]);
        self.helm.run(&line, values).with_context(|| format!("helm {command}"))
    }

    pub(crate) async fn get(&self, what: &str) -> anyhow::Result<Option<Value>> {
        let line = [
            "--namespace",
            RELEASE,
            "get",
            what,
            "--ignore-not-found",
            "--output",
            "json",
        ];
        let text = self.cluster.kubectl(&line).await?.success()?;
        Ok(if text.trim().is_empty() {
            None
        } else {
            Some(serde_json::from_str(&text)?)
        })
    }

    pub(crate) async fn there(&self, what: &str) -> anyhow::Result<Value> {
        self.get(what).await?.with_context(|| format!("{what} is not there"))
    }

    /// Writes what must stay as it is.
    pub(crate) async fn apply_what_is_the_users(&self) -> anyhow::Result<()> {
        let definition = ["wait", "--for=condition=Established", CRD, "--timeout=60s"];
        self.cluster.kubectl(&definition).await?.success()?;
        self.cluster.kubectl_apply(&what_must_stay()).await?;
        Ok(())
    }

    async fn webhook_is_kept(&self, after: &str) -> anyhow::Result<()> {
        let config = &self.there(WEBHOOK).await?["webhooks"][0]["clientConfig"];
        ensure!(
            config["caBundle"] == *CA,
            "after {after} caBundle is {}",
            config["caBundle"]
        );
        ensure!(
            config["service"]["path"] == PATH,
            "after {after} path is {}",
            config["service"]["path"]
        );
        Ok(())
    }

    async fn verbosity(&self) -> anyhow::Result<String> {
        let deployment = self.there("deployment/akv2k8s-controller").await?;
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
            .as_array()
            .cloned();
        let mut args = args
            .unwrap_or_default()
            .into_iter()
            .filter_map(|it| it.as_str().map(str::to_owned));
        args.find(|it| it.starts_with("--v=")).context("no --v")
    }
}

/// The certificate of an authority, as objects have it; the API server parses it.
pub(crate) fn authority() -> String {
    use base64::Engine as _;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    base64::engine::general_purpose::STANDARD.encode(certificate.pem())
}

static CA: std::sync::LazyLock<String> = std::sync::LazyLock::new(authority);
/// The path of ours that the API server posts to.
const PATH: &str = "/pods/a-token";

/// What the env injector does to its webhook once it runs.
pub(crate) async fn the_env_injector_fills_in_its_webhook(cluster: &ControlPlane) -> anyhow::Result<()> {
    let config = json!({"caBundle": *CA, "service": {"path": PATH}});
    let webhooks = json!({"webhooks": [{"name": "pods.env-injector.admission.spv.no", "clientConfig": config}]});
    let patch = webhooks.to_string();
    let line = [
        "patch",
        WEBHOOK,
        "--type=strategic",
        "--patch",
        &patch,
        "--field-manager=akv2k8s-envinjector",
    ];
    cluster.kubectl(&line).await?.success()?;
    Ok(())
}

/// An AzureKeyVaultSecret, the Secret that was written for it, the env injector's certificates, and credentials.
fn what_must_stay() -> String {
    let akvs = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
        "metadata": {"name": "db", "namespace": RELEASE},
        "spec": {"vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}}, "output": {"secret": {"name": "db", "dataKey": "v"}}},
    });
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": RELEASE}, "stringData": {"v": "one"}});
    let secrets = ["db", "akv2k8s-envinjector-pki", "akv2k8s-credentials"].map(secret);
    let items = [vec![akvs], secrets.to_vec()].concat();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_installs_upgrades_rolls_back_and_leaves_what_is_the_users() -> anyhow::Result<()> {
    life(Program::Helm3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_installs_upgrades_rolls_back_and_leaves_what_is_the_users() -> anyhow::Result<()> {
    life(Program::Helm4).await
}

async fn life(program: Program) -> anyhow::Result<()> {
    let bed = Bed::new(program).await?;
    let said = bed.helm("install", VALUES)?;
    for next in [
        "rollout status deployment/akv2k8s-controller",
        "akv2k8s-controller doctor",
        "kubectl label namespace",
    ] {
        ensure!(said.contains(next), "{next:?} is not in {said}");
    }
    let rendered = bed.helm.objects(VALUES)?;
    for object in &rendered {
        bed.there(&id(object).to_lowercase()).await?;
    }
    bed.apply_what_is_the_users().await?;
    the_env_injector_fills_in_its_webhook(&bed.cluster).await?;

    let more = format!("{VALUES}\n").replace(
        "global: {",
        "env_injector: {failurePolicy: Ignore}, global: {logLevel: debug, ",
    );
    bed.helm("upgrade", &more)?;
    bed.webhook_is_kept("upgrade").await?;
    ensure!(bed.verbosity().await? == "--v=4");
    bed.there("validatingadmissionpolicy/akv2k8s-envinjector-guard").await?;

    bed.helm.run(&["rollback", RELEASE, "1", "--namespace", RELEASE], "")?;
    bed.webhook_is_kept("rollback").await?;
    ensure!(bed.verbosity().await? == "--v=2");
    ensure!(
        bed.get("validatingadmissionpolicy/akv2k8s-envinjector-guard")
            .await?
            .is_none()
    );

    bed.helm("uninstall", "")?;
    for object in &rendered {
        let what = id(object).to_lowercase();
        until(&format!("{what} to go"), PATIENCE, async || {
            bed.get(&what).await.ok()?.is_none().then_some(())
        })
        .await?;
    }
    bed.there(CRD).await?;
    for what in ["azurekeyvaultsecret/db", "secret/db", "secret/akv2k8s-envinjector-pki"] {
        bed.there(what).await?;
    }
    // And again over what is left.
    bed.helm("install", VALUES)?;
    bed.there("azurekeyvaultsecret/db").await?;
    Ok(())
}

/// One attempt of one of our ServiceAccounts, and words of the refusal, if it is to be refused.
struct Attempt {
    account: &'static str,
    namespace: &'static str,
    secret: Value,
    refused: Option<&'static str>,
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_keep_our_own_accounts_from_what_they_never_do() -> anyhow::Result<()> {
    let bed = Bed::new(Program::Helm3).await?;
    bed.helm("install", VALUES)?;
    let own = "of akv2k8s only the env injector writes the Secret akv2k8s-envinjector-pki";
    let token = "akv2k8s writes no Secrets that are credentials";
    let secret = |name: &str, kind: &str| json!({"metadata": {"name": name, "annotations": {"kubernetes.io/service-account.name": "default"}}, "type": kind});
    let output = |name: &str, kind: &str| {
        let mut output = secret(name, kind);
        output["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "name": "db", "uid": "0000"}]);
        output
    };
    let (injector, controller) = ("akv2k8s-envinjector", "akv2k8s-controller");
    let attempts = [
        Attempt {
            account: injector,
            namespace: RELEASE,
            secret: secret("akv2k8s-envinjector-pki", "Opaque"),
            refused: None,
        },
        Attempt {
            account: injector,
            namespace: RELEASE,
            secret: secret("other", "Opaque"),
            refused: Some(own),
        },
        Attempt {
            account: injector,
            namespace: RELEASE,
            secret: secret("akv2k8s-envinjector-pki", "kubernetes.io/service-account-token"),
            refused: Some(token),
        },
        Attempt {
            account: controller,
            namespace: "default",
            secret: output("db", "Opaque"),
            refused: None,
        },
        Attempt {
            account: controller,
            namespace: "default",
            secret: output("akv2k8s-envinjector-pki", "Opaque"),
            refused: None,
        },
        Attempt {
            account: controller,
            namespace: RELEASE,
            secret: output("akv2k8s-envinjector-pki", "Opaque"),
            refused: Some(own),
        },
        Attempt {
            account: controller,
            namespace: "default",
            secret: output("db", "kubernetes.io/service-account-token"),
            refused: Some(token),
        },
        Attempt {
            account: controller,
            namespace: "default",
            secret: output("db", "bootstrap.kubernetes.io/token"),
            refused: Some(token),
        },
    ];
    for attempt in &attempts {
        let words = attempt.refused.unwrap_or("created");
        // Rights and policies take effect a moment after they were written.
        until(&format!("{}: {words}", attempt.secret), PATIENCE, async || {
            let said = bed.try_to_create(attempt).await.ok()?;
            said.contains(words).then_some(())
        })
        .await?;
    }
    // Nor may the controller delete it.
    let pki = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "akv2k8s-envinjector-pki", "namespace": RELEASE}});
    bed.cluster.kubectl_apply(&pki.to_string()).await?;
    let user = format!("--as=system:serviceaccount:{RELEASE}:{controller}");
    let line = [
        "--namespace",
        RELEASE,
        "delete",
        "secret",
        "akv2k8s-envinjector-pki",
        &user,
    ];
    let refusal = bed.cluster.kubectl(&line).await?.success().unwrap_err().to_string();
    ensure!(refusal.contains(own), "{refusal}");
    // Others are not concerned.
    let others = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "others", "namespace": RELEASE}});
    bed.cluster.kubectl_apply(&others.to_string()).await?;
    Ok(())
}

impl Bed {
    async fn try_to_create(&self, attempt: &Attempt) -> anyhow::Result<String> {
        let mut secret = attempt.secret.clone();
        secret["apiVersion"] = json!("v1");
        secret["kind"] = json!("Secret");
        let user = format!("--as=system:serviceaccount:{RELEASE}:{}", attempt.account);
        let line = [
            "--namespace",
            attempt.namespace,
            "create",
            "--dry-run=server",
            &user,
            "-f",
            "-",
        ];
        let output = self.cluster.kubectl_with_input(&line, &secret.to_string()).await?;
        Ok(output.stdout + &output.stderr)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_notes_say_what_comes_next_and_what_is_half_set_up() -> anyhow::Result<()> {
    // Helm 3 asks a cluster for its version even so.
    let cluster = ControlPlane::shared().await?;
    let label = "podLabels: {azure.workload.identity/use: 'true'}";
    let annotation = "serviceAccount: {annotations: {azure.workload.identity/client-id: a}}";
    for (values, told, untold) in [
        (String::new(), "run as root and mount that one file", "WARNING"),
        ("global: {keyVaultAuth: environment}".to_owned(), "rollout status deployment/akv2k8s-envinjector", "NOTE"),
        (format!("controller: {{{label}}}"), "lacks the annotation azure.workload.identity/client-id", "half set up for env_injector"),
        (format!("env_injector: {{{annotation}}}"), "lack the label azure.workload.identity/use", "half set up for controller"),
        (format!("controller: {{{label}, {annotation}}}"), "akv2k8s-controller doctor", "WARNING"),
        (
            "{workloadIdentity: {enabled: true, clientId: a}, controller: {serviceAccount: {create: false, name: mine}}}".to_owned(),
            "annotate serviceaccount mine azure.workload.identity/client-id=a",
            "run as root",
        ),
        ("{env_injector: {enabled: false}}".to_owned(), "deployment/akv2k8s-controller", "kubectl label namespace"),
        (
            "{controller: {serviceAccount: {create: false}}}".to_owned(),
            "controller.serviceAccount has no name, so its rights go to the ServiceAccount default",
            "are one ServiceAccount",
        ),
    ] {
        for helm in crate::both() {
            let line = ["install", RELEASE, "CHART", "--namespace", RELEASE, "--dry-run=client"];
            let said = helm.with_cluster(cluster.kubeconfig()).run(&line, &values)?;
            let notes = said.split_once("NOTES:").unwrap().1;
            assert!(notes.contains(told) && !notes.contains(untold), "{values}: {notes}");
        }
    }
    Ok(())
}
