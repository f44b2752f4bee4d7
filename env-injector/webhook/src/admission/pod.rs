//! A pod as raw JSON: what of it matters here, and where it stands. What is of another type than Kubernetes has it counts as absent.

use std::collections::BTreeMap;

use akv2k8s_shared::injection::names;
use serde_json::Value;

/// A container of a pod that is being created.
#[derive(Clone, Copy)]
pub(super) struct Container<'p> {
    /// `containers` or `initContainers`.
    pub(super) list: &'static str,
    /// Its place there.
    pub(super) index: usize,
    /// Itself.
    pub(super) json: &'p Value,
}

/// Init containers (sidecars are among them), then containers.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = Container<'_>> {
    ["initContainers", "containers"].into_iter().flat_map(|list| {
        let members = items(&pod["spec"], list).iter().enumerate();
        members.map(move |(index, json)| Container { list, index, json })
    })
}

impl<'p> Container<'p> {
    /// Its name, which no other container of the pod has.
    pub(super) fn name(&self) -> &'p str {
        text(self.json, "name").unwrap_or_default()
    }

    /// Its variables.
    pub(super) fn env(&self) -> &'p [Value] {
        items(self.json, "env")
    }

    /// `command` or `args`; empty when it has none.
    pub(super) fn words(&self, field: &str) -> Vec<String> {
        let words = items(self.json, field).iter();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Whether it starts the wrapper already.
    pub(super) fn is_prepared(&self) -> bool {
        let first = items(self.json, "command").first();
        first.and_then(Value::as_str) == Some(names::WRAPPER)
    }
}

/// The members of a list; none when there is no such list.
pub(super) fn items<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}

/// The text of a field.
pub(super) fn text<'v>(object: &'v Value, field: &str) -> Option<&'v str> {
    object[field].as_str()
}

/// The member of a list that has this name.
pub(super) fn named<'v>(list: &'v [Value], name: &str) -> Option<&'v Value> {
    list.iter().find(|it| text(it, "name") == Some(name))
}

/// Whether the pod says of itself that its references come from `envFrom` or from keys of a `ConfigMap` or Secret.
pub(super) fn opts_in(pod: &Value) -> bool {
    text(&pod["metadata"]["labels"], names::LABEL) == Some(names::ENABLED)
}

/// A map of texts, `nodeSelector` for one.
pub(super) fn texts(object: &Value, field: &str) -> BTreeMap<String, String> {
    let members = object[field].as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}
