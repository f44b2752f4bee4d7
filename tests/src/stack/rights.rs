//! Rights of an env injector by `examples/`, as tests have them: of another name and namespace, and for a list of namespaces.

use anyhow::Context;
use serde_json::{Value, json};

use crate::helm::objects;

/// A manifest of `examples/` for an installation that is called `name`, in `namespace`.
pub fn renamed(manifest: &str, namespace: &str, name: &str) -> String {
    let manifest = manifest.replace("name: akv2k8s-envinjector\n", &format!("name: {name}\n"));
    let manifest = manifest.replace("[akv2k8s-envinjector]", &format!("[{name}]"));
    manifest.replace("namespace: akv2k8s\n", &format!("namespace: {namespace}\n"))
}

/// The rights of examples/install for a list of namespaces: `own` has all of them, and nothing is left for all namespaces but what has no
/// namespace. Of namespaces, those in the list may be seen.
///
/// # Errors
/// They are no YAML, or lack the roles of the example.
pub fn narrowed(rights: &str, own: &str, listed: &[&str]) -> anyhow::Result<String> {
    let mut objects = objects(rights)?;
    let role = objects.iter_mut().find(|it| it["kind"] == "ClusterRole");
    let rules = role.context("no ClusterRole")?["rules"]
        .as_array_mut()
        .context("no rules")?;
    for rule in rules
        .iter_mut()
        .filter(|rule| rule["resources"] == json!(["namespaces"]))
    {
        rule["resourceNames"] = json!(listed);
    }
    let is_inside = |rule: &Value| {
        let inside = ["azurekeyvaultsecrets", "pods", "secrets"];
        inside.iter().any(|it| rule["resources"][0] == *it)
    };
    let (inside, outside): (Vec<_>, _) = std::mem::take(rules).into_iter().partition(is_inside);
    *rules = outside;
    let role = objects
        .iter_mut()
        .find(|it| it["kind"] == "Role" && it["metadata"]["namespace"] == own)
        .context("no Role")?;
    role["rules"].as_array_mut().context("no rules")?.extend(inside);
    Ok(json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
}
