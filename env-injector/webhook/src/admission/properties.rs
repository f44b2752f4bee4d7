//! What holds for every pod.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::testing::{World, apply};

/// Any JSON of a small size.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z/~$()\"@]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z/~]{1,4}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn variable() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just("db@azurekeyvault".to_owned()),
        Just("web@azurekeyvault?tls.key".to_owned()),
        Just("nobody@azurekeyvault".to_owned()),
        "[a-z@$()]{0,12}",
    ];
    let name = prop_oneof!["[A-Z_]{1,6}", Just("ENV_INJECTOR_POD_NAME".to_owned())];
    (name, value).prop_map(|(name, value)| json!({"name": name, "value": value}))
}

/// A list, no list, or null.
fn optional(list: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        list.prop_map(|list| Some(Value::from(list))),
        Just(None),
        Just(Some(Value::Null))
    ]
}

fn object(members: impl IntoIterator<Item = (&'static str, Option<Value>)>) -> Value {
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn containers(prefix: &'static str) -> impl Strategy<Value = Vec<Value>> {
    let mount = "[a-c]".prop_map(|name| json!({"name": name, "mountPath": format!("/{name}")}));
    let container = (
        optional(prop::collection::vec(variable(), 0..4)),
        optional(prop::collection::vec(mount, 0..3)),
        optional(prop::collection::vec("[a-z$()]{1,4}".prop_map(Value::from), 0..3)),
        anything(),
    );
    prop::collection::vec(container, 0..4).prop_map(move |containers| {
        let container = |(number, (env, mounts, args, other)): (usize, (Option<Value>, Option<Value>, _, Value))| {
            let name = Some(format!("{prefix}{number}").into());
            let command = Some(json!(["run"]));
            object([
                ("name", name),
                ("command", command),
                ("env", env),
                ("volumeMounts", mounts),
                ("args", args),
                ("fieldOfTheFuture", Some(other)),
            ])
        };
        containers.into_iter().enumerate().map(container).collect()
    })
}

fn pods() -> impl Strategy<Value = Value> {
    let volume = "[a-c]".prop_map(|name| json!({"name": name, "emptyDir": {}}));
    let volumes = optional(prop::collection::vec(volume, 0..3));
    (
        containers("c"),
        optional(containers("i")),
        volumes,
        anything(),
        anything(),
    )
        .prop_map(|(containers, init, volumes, metadata, other)| {
            let spec = object([
                ("containers", Some(containers.into())),
                ("initContainers", init),
                ("volumes", volumes),
                ("fieldOfTheFuture", Some(other)),
            ]);
            json!({"metadata": {"annotations": metadata}, "spec": spec})
        })
}

/// The pod without anything that the injector may have put into it.
fn without_injected(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let spec = pod["spec"].as_object_mut().unwrap();
    let is_ours = |it: &Value| {
        let ours = ["copy-azurekeyvault-env", "azure-keyvault-env", "azure-keyvault-token"];
        it["name"]
            .as_str()
            .is_some_and(|name| ours.contains(&name) || name.starts_with("ENV_INJECTOR_"))
    };
    let strip = |list: Option<&mut Value>| {
        if let Some(list) = list.and_then(Value::as_array_mut) {
            list.retain(|it| !is_ours(it));
        }
    };
    strip(spec.get_mut("volumes"));
    strip(spec.get_mut("initContainers"));
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let container = container.as_object_mut().unwrap();
            strip(container.get_mut("env"));
            strip(container.get_mut("volumeMounts"));
            container.remove("command");
            container.remove("args");
        }
    }
    // A list that had to be made is no difference, either.
    remove_empty(&mut pod);
    pod
}

fn remove_empty(value: &mut Value) {
    let is_empty = |it: &Value| it.is_null() || it.as_array().is_some_and(Vec::is_empty);
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(remove_empty);
            members.retain(|_, it| !is_empty(it));
        }
        Value::Array(members) => members.iter_mut().for_each(remove_empty),
        _ => {}
    }
}

proptest! {
    #[test]
    fn the_patch_applies_leaves_all_else_as_it_was_and_a_second_look_finds_nothing_to_do(pod in pods(), direct in any::<bool>()) {
        let mut world = if direct { World::direct() } else { World::new() };
        let nobody = world.specs["db"].clone();
        world.specs.insert("nobody".to_owned(), nobody);
        let outcome = world.mutate(&pod).unwrap();
        prop_assert_eq!(outcome.patch.is_empty(), outcome.containers == 0);
        let after = apply(&pod, &outcome);
        prop_assert_eq!(without_injected(&after), without_injected(&pod));
        prop_assert!(world.mutate(&after).unwrap().patch.is_empty());
    }

    #[test]
    fn no_json_makes_it_fail(pod in anything()) {
        prop_assert!(World::new().mutate(&pod).unwrap().patch.is_empty());
    }
}
