//! The suite as an installation with `profile: hardened` of the chart: `AKV2K8S_TEST_PROFILE=hardened`.
//!
//! Programs of tests then run with the flags and rights that this profile gives them; the chart's tests compare both with what is rendered.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;
use crate::helm::objects;

/// The variable that says with which profile programs run.
pub const VARIABLE: &str = "AKV2K8S_TEST_PROFILE";
/// Its other value than the empty one.
pub const HARDENED: &str = "hardened";
/// The controller's flag.
pub const FLAG: &str = "--watch-outputs=false";
/// The env injector's variable.
pub const SETTING: (&str, &str) = ("IMAGE_LOOKUP_PULL_SECRETS", "false");
/// The controller's rights.
pub const RIGHTS: &str = include_str!("../../examples/install/without-watching-secrets-rbac.yaml");
/// Those of features that are off unless somebody wants them.
const FURTHER: [&str; 2] = [
    include_str!("../../examples/install/namespace-labels-rbac.yaml"),
    include_str!("../../examples/install/crd-upgrade-rbac.yaml"),
];
const INJECTOR: &str = include_str!("../../examples/install/envinjector-rbac.yaml");

/// The rule that goes. As text, since tests replace names in the text.
const PULL_SECRETS: &str = r#"  - apiGroups: [""]
    resources: [secrets, serviceaccounts]
    verbs: [get]
"#;

/// Whether tests run as [`HARDENED`].
///
/// # Panics
/// The variable names no profile.
#[expect(clippy::panic, reason = "a suite that was asked for something else must not pass")]
pub fn is_on() -> bool {
    static ON: LazyLock<bool> = LazyLock::new(|| match std::env::var(VARIABLE).as_deref() {
        Ok(HARDENED) => true,
        Ok("") | Err(_) => false,
        Ok(other) => panic!("{VARIABLE}={other:?} is no profile: write {HARDENED}, or unset it"),
    });
    *ON
}

/// The manifest of the env injector's rights, as the tests apply it.
///
/// # Errors
/// As [`without_pull_secrets`].
pub fn injector_rights() -> anyhow::Result<String> {
    if is_on() {
        without_pull_secrets()
    } else {
        Ok(INJECTOR.to_owned())
    }
}

/// The env injector's rights without those on pull secrets.
///
/// # Errors
/// The example has another rule on them.
pub fn without_pull_secrets() -> anyhow::Result<String> {
    let found = INJECTOR.matches(PULL_SECRETS).count();
    ensure!(
        found == 1,
        "the rule on pull secrets is {found} times in examples/install/envinjector-rbac.yaml"
    );
    Ok(INJECTOR.replace(PULL_SECRETS, ""))
}

/// Gives the controller that lives in `namespace` its rights, and its kubeconfig to `file`: that of its ServiceAccount, by impersonation.
pub(crate) async fn prepare(cluster: &ControlPlane, namespace: &str, file: &Path) -> anyhow::Result<()> {
    let account = "akv2k8s-controller";
    let mut manifests = objects(RIGHTS)?;
    for further in FURTHER {
        manifests.extend(objects(further)?);
    }
    // Its Lease is where it lives.
    let leader = manifests
        .iter()
        .filter(|it| it["metadata"]["name"] == "akv2k8s-controller-leader");
    let mut leader: Vec<_> = leader.cloned().collect();
    for object in &mut leader {
        object["metadata"]["namespace"] = namespace.into();
    }
    manifests.extend(leader);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    cluster.kubectl_apply(&list.to_string()).await?;
    std::fs::write(file, impersonating(cluster, "akv2k8s", account)?).context("cannot write a kubeconfig")
}

/// A kubeconfig by which its holder is a ServiceAccount.
///
/// # Errors
/// The cluster's own kubeconfig cannot be read.
pub fn impersonating(cluster: &ControlPlane, namespace: &str, name: &str) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(cluster.kubeconfig())?;
    let mut kubeconfig: Value = serde_yaml::from_str(&text)?;
    let user = &mut kubeconfig["users"][0]["user"];
    user["as"] = format!("system:serviceaccount:{namespace}:{name}").into();
    user["as-groups"] = json!([
        "system:authenticated",
        "system:serviceaccounts",
        format!("system:serviceaccounts:{namespace}")
    ]);
    Ok(kubeconfig.to_string())
}
