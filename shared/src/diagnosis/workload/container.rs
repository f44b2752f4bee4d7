//! The variables that a pod's containers get, as far as the pod itself tells.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod};

use super::SKIP_ANNOTATION;

/// Containers that the webhook adds itself.
const OF_THE_WEBHOOK: [&str; 2] = ["azwi-proxy", "azwi-proxy-init"];

/// Whether a variable has a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It has one.
    Set,
    /// It has none, or an empty one.
    Unset,
    /// It may come with all the others from a Secret or ConfigMap, which was not read.
    Unknown,
}

/// The variables of one container.
pub(super) struct Variables<'a> {
    /// The container.
    pub(super) container: &'a Container,
    /// By name; `None` for a value that comes from elsewhere.
    named: BTreeMap<&'a str, Option<&'a str>>,
    /// Whether more may come from elsewhere (`envFrom`).
    open: bool,
}

/// The variables of all containers, but of those the webhook is told to leave alone and its own.
pub(super) fn of(pod: &Pod) -> Vec<Variables<'_>> {
    let skipped: Vec<_> = pod
        .metadata
        .annotations
        .as_ref()
        .and_then(|annotations| annotations.get(SKIP_ANNOTATION))
        .map(|list| list.split(';').map(str::trim).collect())
        .unwrap_or_default();
    let Some(spec) = &pod.spec else { return Vec::new() };
    spec.containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
        .filter(|it| !skipped.contains(&it.name.as_str()) && !OF_THE_WEBHOOK.contains(&it.name.as_str()))
        .map(Variables::of)
        .collect()
}

impl<'a> Variables<'a> {
    fn of(container: &'a Container) -> Self {
        Self {
            container,
            named: container.env.iter().flatten().map(named).collect(),
            open: container.env_from.as_ref().is_some_and(|sources| !sources.is_empty()),
        }
    }

    /// Whether `name` has a value.
    pub(super) fn presence(&self, name: &str) -> Presence {
        match self.named.get(name) {
            Some(Some(value)) if value.trim().is_empty() => Presence::Unset,
            Some(_) => Presence::Set,
            None if self.open => Presence::Unknown,
            None => Presence::Unset,
        }
    }

    /// The value of `name`, when it stands in the pod itself.
    pub(super) fn literal(&self, name: &str) -> Option<&'a str> {
        self.named
            .get(name)
            .copied()
            .flatten()
            .filter(|value| !value.trim().is_empty())
    }

    /// All values that stand in the pod itself.
    pub(super) fn literals(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.named.iter().filter_map(|(name, value)| Some((*name, (*value)?)))
    }
}

/// Name and value; a value put together from other variables counts as one from elsewhere.
fn named(variable: &EnvVar) -> (&str, Option<&str>) {
    let value = match (&variable.value_from, variable.value.as_deref()) {
        (Some(_), _) => None,
        (None, Some(value)) if value.contains("$(") => None,
        (None, value) => Some(value.unwrap_or_default()),
    };
    (&variable.name, value)
}
