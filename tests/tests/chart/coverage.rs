//! Every value of akv2k8s' chart and every value of ours does what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use akv2k8s_testbed::helm::{CHART, Helm, find};
use serde_json::{Value, json};

use crate::effects::{Effect, See, effects};
use crate::with_files;

/// The values of akv2k8s' chart and their defaults.
const CONTRACT: &str = include_str!("contract.yaml");

/// Where our default is another one: README.md of the chart says why.
const OTHER_DEFAULT: &[&str] = &[
    "controller.image.repository",
    "controller.image.tag",
    "env_injector.image.repository",
    "env_injector.image.tag",
    "env_injector.envImage.repository",
    "env_injector.envImage.tag",
    "env_injector.rbacSubjects",
    "controller.securityContext.allowPrivilegeEscalation",
    "env_injector.securityContext.allowPrivilegeEscalation",
];

/// Maps of the user's that are not empty by default: one value.
const FREE: &[&str] = &["global.metrics.dashboards.labels"];

fn contract() -> BTreeMap<String, Value> {
    let read: BTreeMap<String, Value> = serde_yaml::from_str(CONTRACT).unwrap();
    let mut all = BTreeMap::new();
    for (key, default) in read {
        match key.strip_prefix("C.") {
            None => drop(all.insert(key, default)),
            Some(key) => {
                for component in ["controller", "env_injector"] {
                    all.insert(format!("{component}.{key}"), default.clone());
                }
            }
        }
    }
    all
}

fn values() -> Value {
    let text = std::fs::read_to_string(format!("{CHART}/values.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() && !FREE.contains(&path) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(value, &path, found);
            }
        }
        _ => drop(found.insert(path.to_owned(), value.clone())),
    }
}

/// `more` over `base`, as Helm lays one values file over another.
fn merged(base: Value, more: Value) -> Value {
    match (base, more) {
        (Value::Object(mut base), Value::Object(more)) => {
            for (key, value) in more {
                let below = base.remove(&key).unwrap_or(Value::Null);
                base.insert(key, merged(below, value));
            }
            Value::Object(base)
        }
        (_, more) => more,
    }
}

/// Renders, each set of values once.
struct Renders {
    helm: Helm,
    known: Mutex<BTreeMap<String, Vec<Value>>>,
}

impl Renders {
    fn of(&self, values: &Value) -> Vec<Value> {
        let key = values.to_string();
        if let Some(objects) = self.known.lock().unwrap().get(&key) {
            return objects.clone();
        }
        let objects = self
            .helm
            .objects(&key)
            .unwrap_or_else(|error| panic!("{values}: {error}"));
        self.known.lock().unwrap().insert(key, objects.clone());
        objects
    }
}

fn yaml(text: &str) -> Value {
    let value: Value = serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    if value.is_null() { json!({}) } else { value }
}

fn check(effect: &Effect, renders: &Renders) {
    let Effect {
        leaf,
        base,
        set,
        on,
        see,
    } = effect;
    let base = yaml(base);
    let set = merged(base.clone(), yaml(set));
    let pointer = format!("/{}", leaf.replace('.', "/"));
    assert!(set.pointer(&pointer).is_some(), "{leaf} is not set by {set}");
    let (before, after) = (renders.of(&base), renders.of(&set));
    if matches!(see, See::Nothing(())) {
        assert_eq!(before, after, "{leaf} has an effect");
        return;
    }
    let found = || find(&after, on).map_or("nothing".to_owned(), Value::to_string);
    assert!(see.holds(&after, on), "{leaf}: {see:?} is not in {}", found());
    assert!(!see.holds(&before, on), "{leaf}: {see:?} is there without it");
}

#[test]
fn every_value_has_an_effect_and_is_covered() {
    let effects = effects();
    let (_folder, helm) = with_files();
    let renders = Renders {
        helm,
        known: Mutex::default(),
    };
    let (first, second) = effects.split_at(effects.len() / 2);
    std::thread::scope(|scope| {
        for part in [first, second] {
            let renders = &renders;
            scope.spawn(move || part.iter().for_each(|effect| check(effect, renders)));
        }
    });

    let covered: BTreeSet<String> = effects.iter().map(|it| it.leaf.clone()).collect();
    let mut all = BTreeMap::new();
    leaves(&values(), "", &mut all);
    let all: BTreeSet<String> = all.into_keys().chain(contract().into_keys()).collect();
    let missing: Vec<_> = all.difference(&covered).collect();
    println!("values covered {} / {}", all.intersection(&covered).count(), all.len());
    println!(
        "of these akv2k8s' {} / {}",
        contract().keys().filter(|it| covered.contains(*it)).count(),
        contract().len()
    );
    assert!(missing.is_empty(), "without an assertion: {missing:?}");
    let unknown: Vec<_> = covered.difference(&all).collect();
    assert!(unknown.is_empty(), "no such value: {unknown:?}");
}

#[test]
fn the_defaults_are_akv2k8s_but_for_those_that_the_readme_names() {
    let values = values();
    let readme = std::fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    let differs = |key: &String, theirs: &Value| {
        let ours = values
            .pointer(&format!("/{}", key.replace('.', "/")))
            .unwrap_or(&Value::Null);
        let nothing = |it: &Value| it.is_null() || *it == json!("");
        ours != theirs && !(nothing(ours) && nothing(theirs))
    };
    let contract = contract();
    let different: Vec<_> = contract
        .iter()
        .filter(|(key, theirs)| differs(key, theirs))
        .map(|it| it.0)
        .collect();
    let mut expected: Vec<String> = OTHER_DEFAULT.iter().map(|it| (*it).to_owned()).collect();
    expected.sort();
    assert_eq!(different, expected.iter().collect::<Vec<_>>());
    for key in OTHER_DEFAULT {
        let row = key.replace("controller.", "C.").replace("env_injector.", "C.");
        let named = readme.contains(&format!("`{key}`")) || readme.contains(&format!("`{row}`"));
        assert!(named, "{key} is not in README.md");
    }
}

#[test]
fn the_readme_has_a_row_for_every_value() {
    let readme = std::fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    let mut all = BTreeMap::new();
    leaves(&values(), "", &mut all);
    for key in all.into_keys().chain(contract().into_keys()) {
        let of_both = key.replace("controller.", "C.").replace("env_injector.", "C.");
        let told = |row: &&str| {
            let cell = row.trim_start_matches("| ").split(" | ").next().unwrap_or_default();
            let mut names = cell.split('`').skip(1).step_by(2);
            names.any(|name| {
                [&key, &of_both]
                    .iter()
                    .any(|key| key.as_str() == name || is_below(key, name))
            })
        };
        assert!(rows.iter().any(told), "{key} has no row in README.md");
    }
}

/// Whether `name` is `prefix.{a,b}` with `key` among them.
fn is_below(key: &str, name: &str) -> bool {
    let Some((prefix, rest)) = name.split_once(".{") else {
        return false;
    };
    let last = key.strip_prefix(prefix).and_then(|it| it.strip_prefix('.'));
    last.is_some_and(|last| rest.trim_end_matches('}').split(',').any(|it| it == last))
}
