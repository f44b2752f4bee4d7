//! Which containers ask for injection, and what they mention.

use std::collections::BTreeSet;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::environment::parse_bool;
use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::reference::Reference;
use serde_json::Value;

use super::Denial;
use super::lookup::ImageQuery;
use super::pod::{Container, containers, items, opts_in, text, texts};

/// A container that asks for injection and is not prepared for it yet.
pub(super) struct Wanted<'p> {
    /// The container.
    pub(super) container: Container<'p>,
    /// The variables whose values are references.
    pub(super) mentions: Vec<Mention<'p>>,
    /// Whether further references may come from a `ConfigMap` or a Secret, unseen here.
    pub(super) unseen: bool,
    /// Whether the container turns the broker off for itself.
    pub(super) without_broker: bool,
}

/// A variable and what its value refers to.
pub(super) struct Mention<'p> {
    /// The variable's name.
    pub(super) variable: &'p str,
    /// What it refers to.
    pub(super) reference: Reference,
}

/// The containers that ask for injection.
///
/// # Errors
/// What is written in one cannot be meant.
pub(super) fn wanted(pod: &Value) -> Result<Vec<Wanted<'_>>, Denial> {
    let opted_in = opts_in(pod);
    let mut wanted = Vec::new();
    for container in containers(pod) {
        if container.is_prepared() || container.name() == names::INIT_CONTAINER {
            continue;
        }
        let mentions = mentions(container)?;
        let unseen = gets_more(container);
        if !mentions.is_empty() || (opted_in && unseen) {
            wanted.push(Wanted {
                container,
                mentions,
                unseen,
                without_broker: without_broker(container)?,
            });
        }
    }
    Ok(wanted)
}

/// What has to be asked of registries before the pod can be prepared: container name → question.
///
/// # Errors
/// As [`super::mutate`], which would deny the pod whatever the answers are.
pub fn questions(pod: &Value, namespace: &str) -> Result<Vec<(String, ImageQuery)>, Denial> {
    let spec = &pod["spec"];
    let pull_secrets = items(spec, "imagePullSecrets").iter();
    let pull_secrets: Vec<_> = pull_secrets
        .filter_map(|it| Some(text(it, "name")?.to_owned()))
        .collect();
    let service_account = text(spec, "serviceAccountName").filter(|name| !name.is_empty());
    let wanted = wanted(pod)?.into_iter().map(|wanted| wanted.container);
    let silent = wanted.filter(|container| items(container.json, "command").is_empty());
    let question = |container: Container<'_>| ImageQuery {
        image: text(container.json, "image").unwrap_or_default().to_owned(),
        pull_policy: text(container.json, "imagePullPolicy").map(str::to_owned),
        namespace: namespace.to_owned(),
        service_account: service_account.unwrap_or("default").to_owned(),
        pull_secrets: pull_secrets.clone(),
        node_selector: texts(spec, "nodeSelector"),
        node_affinity: spec["affinity"]["nodeAffinity"].clone(),
    };
    Ok(silent
        .map(|container| (container.name().to_owned(), question(container)))
        .collect())
}

/// The `AzureKeyVaultSecrets` that are mentioned.
pub(super) fn mentioned(pod: &Value) -> BTreeSet<String> {
    let wanted = wanted(pod).unwrap_or_default();
    let mentions = wanted.into_iter().flat_map(|wanted| wanted.mentions);
    let name = |mention: Mention<'_>| match mention.reference {
        Reference::Akvs { name, .. } => Some(name),
        Reference::Direct { .. } => None,
    };
    mentions.filter_map(name).collect()
}

fn mentions(container: Container<'_>) -> Result<Vec<Mention<'_>>, Denial> {
    let mut mentions = Vec::new();
    for entry in container.env() {
        let (Some(variable), Some(value)) = (text(entry, "name"), text(entry, "value")) else {
            continue;
        };
        match Reference::parse(value) {
            None => {}
            Some(Ok(reference)) => mentions.push(Mention { variable, reference }),
            Some(Err(error)) => {
                return Err(Denial::new(Diagnosis::case(
                    case::ReferenceBroken { error: &error },
                    format!(
                        "Variable {variable} of container '{}' begins like a reference and is none.",
                        container.name()
                    ),
                )));
            }
        }
    }
    Ok(mentions)
}

/// Whether variables come from somewhere else than the pod itself.
fn gets_more(container: Container<'_>) -> bool {
    let from = |entry: &Value| ["configMapKeyRef", "secretKeyRef"].map(|kind| entry["valueFrom"][kind].is_object());
    !items(container.json, "envFrom").is_empty() || container.env().iter().any(|entry| from(entry).contains(&true))
}

fn without_broker(container: Container<'_>) -> Result<bool, Denial> {
    let is_it =
        |entry: &&Value| text(entry, "name").is_some_and(|name| name.eq_ignore_ascii_case(names::DISABLE_AUTH_SERVICE));
    // Of a variable that is there twice the last one counts, as with the kubelet.
    let Some(entry) = container.env().iter().rfind(is_it) else {
        return Ok(false);
    };
    text(entry, "value").and_then(parse_bool).ok_or_else(|| {
        Denial::new(Diagnosis::case(
            case::SwitchNotBoolean,
            format!(
                "Variable {} of container '{}' is no boolean.",
                names::DISABLE_AUTH_SERVICE,
                container.name()
            ),
        ))
    })
}
