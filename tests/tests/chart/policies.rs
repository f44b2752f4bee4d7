//! What the chart's policies leave of the controller's right to write Secrets and ConfigMaps, tried as the controller on a real API server.

use akv2k8s_controller::output::manager_name;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::helm::RELEASE;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::stack::SERVICE_ACCOUNT;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::installing::Bed;

/// Where outputs are; its AzureKeyVaultSecret is `db`.
const NAMESPACE: &str = "default";
/// Of a release with `policies.adoption=false`.
pub(crate) const ADOPTS_NONE: &str = "adopts none (policies.adoption=false)";
const REFUSED: &str = "writes only Secrets and ConfigMaps that belong to an AzureKeyVaultSecret";
const OWNED: Option<&str> = Some("spv.no/v2beta1 AzureKeyVaultSecret");

/// An object with one key, if it is to have any.
fn object(kind: &str, name: &str, owner: Option<&str>, has_data: bool) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}});
    if let Some((version, kind)) = owner.and_then(|it| it.split_once(' ')) {
        let owner = json!({"apiVersion": version, "kind": kind, "name": "db", "uid": "0000"});
        object["metadata"]["ownerReferences"] = json!([owner]);
    }
    if has_data {
        object["data"] = json!({"k": "YQ=="});
    }
    object
}

/// One request. Nothing is stored.
struct Attempt {
    line: Vec<String>,
    input: String,
}

fn create(object: &Value) -> Attempt {
    Attempt {
        line: ["create", "-f", "-"].map(str::to_owned).to_vec(),
        input: object.to_string(),
    }
}

/// As the controller applies for `db`.
fn apply(object: &Value) -> Attempt {
    let manager = format!("--field-manager={}", manager_name(NAMESPACE, "db"));
    let line = ["apply", "--server-side", "--force-conflicts", &manager, "-f", "-"];
    Attempt {
        line: line.map(str::to_owned).to_vec(),
        input: object.to_string(),
    }
}

fn label(what: &str) -> Attempt {
    let patch = r#"--patch={"metadata":{"labels":{"a":"b"}}}"#;
    Attempt {
        line: ["patch", what, patch].map(str::to_owned).to_vec(),
        input: String::new(),
    }
}

fn delete(what: &str) -> Attempt {
    Attempt {
        line: ["delete", what].map(str::to_owned).to_vec(),
        input: String::new(),
    }
}

/// The API server's word on what a ServiceAccount of the release tries.
async fn tries(
    cluster: &ControlPlane,
    account: &str,
    namespace: &str,
    attempt: &Attempt,
) -> anyhow::Result<Result<String, String>> {
    let user = format!("--as=system:serviceaccount:{RELEASE}:{account}");
    let mut line = vec!["--namespace", namespace, &user];
    line.extend(attempt.line.iter().map(String::as_str));
    line.push("--dry-run=server");
    let output = cluster.kubectl_with_input(&line, &attempt.input).await?;
    Ok(output.success().map_err(|error| error.to_string()))
}

/// Waits until the policy that lets the controller adopt nothing is in effect, as seen by what it may not do to `secret`, somebody's.
pub(crate) async fn adoption_ends(cluster: &ControlPlane, namespace: &str, secret: &str) -> anyhow::Result<()> {
    let attempt = delete(&format!("secret/{secret}"));
    let refused = until("the stricter policy", PATIENCE, async || {
        let answer = tries(cluster, SERVICE_ACCOUNT, namespace, &attempt).await.ok()?;
        answer.err()?.contains(ADOPTS_NONE).then_some(())
    });
    Ok(refused.await?)
}

impl Bed {
    /// What is there before: `foreign`, nobody's; `empty`, the same without data; `owned`; and `left`, whose owner the garbage collector
    /// has taken away already.
    async fn prepare(&self) -> anyhow::Result<()> {
        for kind in ["Secret", "ConfigMap"] {
            for (name, has_data) in [("foreign", true), ("empty", false)] {
                let object = object(kind, name, None, has_data);
                self.cluster.kubectl_apply(&object.to_string()).await?;
            }
            for (name, owner) in [("owned", OWNED), ("left", None)] {
                let Attempt { line, input } = apply(&object(kind, name, owner, true));
                let line: Vec<_> = line.iter().map(String::as_str).collect();
                self.cluster.kubectl_with_input(&line, &input).await?.success()?;
            }
        }
        Ok(())
    }
}

/// What is never the controller's business.
fn foreign() -> Vec<Attempt> {
    let mut all = vec![
        create(&object("Secret", "new", Some("spv.no/v2beta1 Other"), true)),
        create(&object("Secret", "new", Some("apps/v1 AzureKeyVaultSecret"), true)),
        create(&object("Secret", "new", Some("spv.not/v1 AzureKeyVaultSecret"), true)),
        delete("configmap/empty"),
        delete("configmap/kube-root-ca.crt"),
    ];
    for kind in ["Secret", "ConfigMap"] {
        all.extend([
            create(&object(kind, "new", None, true)),
            // Whoever applies chooses the name of his manager.
            apply(&object(kind, "new", None, true)),
            apply(&object(kind, "foreign", None, true)),
            label(&format!("{kind}/foreign")),
            delete(&format!("{kind}/foreign")),
        ]);
    }
    all
}

/// What the controller does.
fn legitimate() -> Vec<Attempt> {
    let mut all = Vec::new();
    for kind in ["Secret", "ConfigMap"] {
        all.extend([
            apply(&object(kind, "new", OWNED, true)),
            apply(&object(kind, "owned", OWNED, true)),
            label(&format!("{kind}/owned")),
            delete(&format!("{kind}/owned")),
        ]);
        // It leaves an output: an apply of nothing.
        all.extend(["owned", "left"].map(|name| apply(&object(kind, name, None, false))));
        all.push(delete(&format!("{kind}/left")));
    }
    all
}

/// What takes the annotation to adopt: an object becomes an AzureKeyVaultSecret's, and an empty Secret gives way to one of another type.
fn adoption() -> Vec<Attempt> {
    vec![
        apply(&object("Secret", "foreign", OWNED, true)),
        apply(&object("ConfigMap", "foreign", OWNED, true)),
        delete("secret/empty"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_writes_no_secret_and_no_config_map_of_others() -> anyhow::Result<()> {
    let bed = Bed::new(Program::Helm3).await?;
    bed.helm("install", "")?;
    bed.prepare().await?;
    let is_refused = async |attempt: &Attempt, words: &str| -> anyhow::Result<()> {
        let answer = tries(&bed.cluster, SERVICE_ACCOUNT, NAMESPACE, attempt).await?;
        let refusal = answer.err().with_context(|| format!("{:?} passes", attempt.line))?;
        ensure!(refusal.contains(words), "{:?}: {refusal}", attempt.line);
        Ok(())
    };
    let passes = async |attempt: &Attempt| -> anyhow::Result<()> {
        let answer = tries(&bed.cluster, SERVICE_ACCOUNT, NAMESPACE, attempt).await?;
        answer
            .map(drop)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("{:?}", attempt.line))
    };
    // Rights and policies take effect a moment after they were written.
    until("right and policy", PATIENCE, async || {
        passes(&legitimate()[0]).await.ok()?;
        is_refused(&foreign()[0], REFUSED).await.ok()
    })
    .await?;
    for attempt in foreign() {
        is_refused(&attempt, REFUSED).await?;
    }
    for attempt in legitimate().iter().chain(&adoption()) {
        passes(attempt).await?;
    }

    bed.helm("upgrade", "policies: {adoption: false}")?;
    until("the stricter policy", PATIENCE, async || {
        is_refused(&adoption()[0], ADOPTS_NONE).await.ok()
    })
    .await?;
    for attempt in foreign().iter().chain(&adoption()) {
        is_refused(attempt, ADOPTS_NONE).await?;
    }
    for attempt in legitimate() {
        passes(&attempt).await?;
    }
    Ok(())
}

/// Old values that name no ServiceAccount and have none made: both programs are `default`.
const NO_ACCOUNTS: &str =
    "{controller: {serviceAccount: {create: false}}, env_injector: {serviceAccount: {create: false}}}";

#[tokio::test(flavor = "multi_thread")]
async fn programs_with_one_account_can_both_work_and_no_object_gets_hold_of_the_certificates() -> anyhow::Result<()> {
    let bed = Bed::new(Program::Helm3).await?;
    let said = bed.helm("install", NO_ACCOUNTS)?;
    ensure!(
        said.contains("WARNING: controller and env_injector are one ServiceAccount"),
        "{said}"
    );
    bed.prepare().await?;
    let certificates = |owner| {
        let mut object = object("Secret", "akv2k8s-envinjector-pki", owner, true);
        object["metadata"]["namespace"] = RELEASE.into();
        object
    };
    let tries = async |namespace: &str, attempt: &Attempt| tries(&bed.cluster, "default", namespace, attempt).await;
    let theirs = "no AzureKeyVaultSecret's, and akv2k8s never deletes it";
    until("right and policies", PATIENCE, async || {
        tries(NAMESPACE, &legitimate()[0]).await.ok()?.ok()?;
        tries(NAMESPACE, &foreign()[0]).await.ok()?.err()?;
        let refusal = tries(RELEASE, &create(&certificates(OWNED))).await.ok()?.err()?;
        refusal.contains(theirs).then_some(())
    })
    .await?;
    for attempt in legitimate() {
        let answer = tries(NAMESPACE, &attempt).await?;
        ensure!(answer.is_ok(), "{:?}: {answer:?}", attempt.line);
    }
    for attempt in foreign() {
        let refusal = tries(NAMESPACE, &attempt).await?.err().unwrap_or_default();
        ensure!(refusal.contains(REFUSED), "{:?}: {refusal}", attempt.line);
    }
    let answer = tries(RELEASE, &create(&certificates(None))).await?;
    ensure!(answer.is_ok(), "{answer:?}");
    bed.cluster.kubectl_apply(&certificates(None).to_string()).await?;
    for attempt in [apply(&certificates(OWNED)), delete("secret/akv2k8s-envinjector-pki")] {
        let refusal = tries(RELEASE, &attempt).await?.err().unwrap_or_default();
        ensure!(refusal.contains(theirs), "{:?}: {refusal}", attempt.line);
    }
    Ok(())
}
