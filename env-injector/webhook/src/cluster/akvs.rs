//! All `AzureKeyVaultSecrets` that a watch has shown.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::Event;
use serde_json::Value;

/// `AzureKeyVaultSecrets` of one namespace: name → `spec`, as it stands there, right or wrong.
pub type Specs = BTreeMap<String, Arc<Value>>;

pub(super) type ByNamespace = HashMap<String, Arc<Specs>>;

/// All AKVS, by namespace.
#[derive(Default)]
pub(super) struct Akvs(RwLock<ByNamespace>);

impl Akvs {
    /// All of `namespace`.
    pub(super) fn of(&self, namespace: &str) -> Arc<Specs> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(namespace).cloned().unwrap_or_default()
    }

    /// Names of all vaults that are mentioned, in lower case.
    pub(super) fn vaults(&self) -> Vec<String> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let specs = known.values().flat_map(|specs| specs.values());
        specs
            .filter_map(|spec| Some(spec["vault"]["name"].as_str()?.to_ascii_lowercase()))
            .collect()
    }

    /// Takes over what the watch saw; `listing` is the list that is being read.
    pub(super) fn take(&self, event: Event<DynamicObject>, listing: &mut ByNamespace) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listing.clear(),
            Event::InitApply(object) => insert(listing, object),
            Event::Apply(object) => insert(&mut known, object),
            Event::Delete(object) => remove(&mut known, &object),
            Event::InitDone => *known = std::mem::take(listing),
        }
    }
}

fn insert(all: &mut ByNamespace, mut object: DynamicObject) {
    let spec = object.data.get_mut("spec").map(Value::take).unwrap_or_default();
    let specs = all.entry(object.namespace().unwrap_or_default()).or_default();
    // Whoever reads the former state goes on reading it.
    Arc::make_mut(specs).insert(object.name_any(), Arc::new(spec));
}

fn remove(all: &mut ByNamespace, object: &DynamicObject) {
    let namespace = object.namespace().unwrap_or_default();
    let Some(specs) = all.get_mut(&namespace) else { return };
    Arc::make_mut(specs).remove(&object.name_any());
    if specs.is_empty() {
        all.remove(&namespace);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str, spec: &str) -> DynamicObject {
        let object = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec, "status": {"x": 1},
        });
        serde_json::from_value(object).unwrap()
    }

    fn names(akvs: &Akvs, namespace: &str) -> Vec<(String, String)> {
        let all = akvs.0.read().unwrap();
        let specs = all.get(namespace).cloned().unwrap_or_default();
        let specs = specs.iter();
        specs
            .map(|(name, spec)| (name.clone(), spec.as_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn objects_come_change_and_go_and_a_new_list_replaces_all() {
        let (akvs, mut listing) = (Akvs::default(), HashMap::new());
        let mut take = |event| akvs.take(event, &mut listing);
        take(Event::Init);
        take(Event::InitApply(object("a", "db", "1")));
        take(Event::InitApply(object("b", "db", "2")));
        assert!(names(&akvs, "a").is_empty(), "half a list says nothing");
        take(Event::InitDone);
        take(Event::Apply(object("a", "db", "3")));
        take(Event::Apply(object("a", "tls", "4")));
        let pair = |name: &str, spec: &str| (name.to_owned(), spec.to_owned());
        assert_eq!(names(&akvs, "a"), [pair("db", "3"), pair("tls", "4")]);
        take(Event::Delete(object("b", "db", "2")));
        assert!(names(&akvs, "b").is_empty());
        take(Event::Init);
        take(Event::InitApply(object("c", "db", "5")));
        assert_eq!(names(&akvs, "a").len(), 2, "until the new list is complete");
        take(Event::InitDone);
        assert!(names(&akvs, "a").is_empty());
        assert_eq!(names(&akvs, "c"), [pair("db", "5")]);
    }
}
