//! Pod → patch → prepared pod.

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use serde_json::{Value, json};

use super::testing::{AUTHORITIES, BROKER, World, app, apply, pod};
use super::*;

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

fn injected_variables() -> [Value; 5] {
    let expanded_by_kubelet = AUTHORITIES.replace('$', "$$");
    [
        json!({"name": "ENV_INJECTOR_USE_AUTH_SERVICE", "value": "true"}),
        json!({"name": "ENV_INJECTOR_POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}),
        json!({"name": "ENV_INJECTOR_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"name": "ENV_INJECTOR_AUTH_SERVICE", "value": BROKER}),
        json!({"name": "ENV_INJECTOR_AUTH_SERVICE_CA", "value": expanded_by_kubelet}),
    ]
}

#[test]
fn a_container_with_a_reference_is_wrapped_and_all_else_of_the_pod_stays() {
    let container = json!({
        "name": "app", "image": "app:1", "command": ["app"], "args": ["--serve", "$(PORT)"], "fieldOfTheFuture": {"a/b~c": [1, 2.5]},
        "env": [{"name": "DB", "value": "db@azurekeyvault"}, {"name": "PORT", "value": "80"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let bystander =
        json!({"name": "logs", "image": "logs:1", "env": [{"name": "TO", "value": "ops@azurekeyvault.example.org"}]});
    let mut before = pod(&json!([container, bystander]));
    before["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    before["spec"]["initContainers"] = json!([{"name": "migrate", "image": "migrate:1"}]);
    before["spec"]["fieldOfTheFuture"] = json!("kept");

    let after = World::new().prepared(&before);

    let mut expected = before.clone();
    let wrapped = &mut expected["spec"]["containers"][0];
    wrapped["command"] = json!(["/azure-keyvault/azure-keyvault-env"]);
    wrapped["args"] = json!(["app", "--serve", "$(PORT)"]);
    let env = wrapped["env"].as_array_mut().unwrap();
    env.extend(injected_variables());
    wrapped["volumeMounts"] = json!([
        {"name": "data", "mountPath": "/data"},
        {"name": "azure-keyvault-env", "mountPath": "/azure-keyvault", "readOnly": true},
        {"name": "azure-keyvault-token", "mountPath": "/var/run/secrets/akv2k8s", "readOnly": true},
    ]);
    let token = json!({"audience": "akv2k8s-envinjector", "expirationSeconds": 3600, "path": "token"});
    expected["spec"]["volumes"] = json!([
        {"name": "data", "emptyDir": {}},
        {"name": "azure-keyvault-env", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "azure-keyvault-token", "projected": {"sources": [{"serviceAccountToken": token}]}},
    ]);
    let copy = json!({
        "name": "copy-azurekeyvault-env",
        "image": "example.org/azure-keyvault-env:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/local/bin/azure-keyvault-env", "--copy", "/azure-keyvault"],
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "32Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "privileged": false, "readOnlyRootFilesystem": true,
            "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "azure-keyvault-env", "mountPath": "/azure-keyvault"}],
    });
    expected["spec"]["initContainers"] = json!([copy, {"name": "migrate", "image": "migrate:1"}]);
    assert_eq!(after, expected);
}

#[test]
fn a_pod_with_nothing_to_inject_gets_an_empty_patch() {
    let plain = json!({"name": "a", "image": "a", "env": [{"name": "A", "value": "x"}], "envFrom": [{"configMapRef": {"name": "c"}}]});
    for before in [
        pod(&json!([plain])),
        pod(&json!([{"name": "a", "image": "a"}])),
        // Parts of longer values were never resolved.
        pod(&json!([{"name": "a", "image": "a", "env": [{"name": "A", "value": "x db@azurekeyvault"}]}])),
        json!({}),
        json!({"spec": {"containers": "no list", "initContainers": null}}),
        json!({"spec": {"containers": [7, null, {"env": [7, null, {"name": 1, "value": 2}]}]}}),
    ] {
        let outcome = World::new().mutate(&before).unwrap();
        assert_eq!(
            (outcome.patch.len(), outcome.containers, outcome.warnings.len()),
            (0, 0, 0),
            "{before}"
        );
    }
}

#[test]
fn a_pod_that_was_prepared_before_is_left_alone() {
    for world in [World::new(), World::direct()] {
        let once = world.prepared(&pod(&json!([app(), with(app(), "name", json!("second"))])));
        assert!(world.mutate(&once).unwrap().patch.is_empty());
    }
}

#[test]
fn a_container_that_came_later_is_prepared_with_what_the_pod_has_already() {
    let world = World::new();
    let mut before = world.prepared(&pod(&json!([app()])));
    let late = with(app(), "name", json!("late"));
    before["spec"]["containers"].as_array_mut().unwrap().push(late);
    let after = world.prepared(&before);
    assert_eq!(
        after["spec"]["containers"][1]["command"],
        json!(["/azure-keyvault/azure-keyvault-env"])
    );
    assert_eq!(after["spec"]["volumes"], before["spec"]["volumes"]);
    assert_eq!(after["spec"]["initContainers"], before["spec"]["initContainers"]);
    assert_eq!(after["spec"]["containers"][0], before["spec"]["containers"][0]);
}

#[test]
fn init_containers_and_sidecars_are_wrapped_behind_the_one_that_copies() {
    let mut before = pod(&json!([{"name": "plain", "image": "a"}]));
    let sidecar = with(with(app(), "name", json!("sidecar")), "restartPolicy", json!("Always"));
    before["spec"]["initContainers"] = json!([{"name": "first", "image": "a"}, sidecar]);
    let after = World::new().prepared(&before);
    let names: Vec<_> = after["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].clone())
        .collect();
    assert_eq!(names, ["copy-azurekeyvault-env", "first", "sidecar"]);
    let sidecar = &after["spec"]["initContainers"][2];
    assert_eq!(sidecar["args"], json!(["app", "--serve"]));
    assert_eq!(sidecar["restartPolicy"], "Always");
    assert_eq!(after["spec"]["containers"], before["spec"]["containers"]);
}

#[test]
fn what_the_image_starts_is_combined_with_args_as_the_kubelet_would_and_taken_literally() {
    for (args, entrypoint, cmd, expected) in [
        (json!(null), &["e"][..], &["c", "d"][..], json!(["e", "c", "d"])),
        (json!(["a"]), &["e"], &["c"], json!(["e", "a"])),
        (json!([]), &["e"], &["c"], json!(["e", "c"])),
        (json!(["a"]), &[], &["c"], json!(["a"])),
        (json!(null), &[], &["c"], json!(["c"])),
        // Only the pod's own words are expanded.
        (
            json!(["$(A)"]),
            &["sh", "-c", "echo $(date) $$ $1"],
            &[],
            json!(["sh", "-c", "echo $$(date) $$$$ $$1", "$(A)"]),
        ),
    ] {
        let mut container = app();
        container.as_object_mut().unwrap().remove("command");
        let before = pod(&json!([with(container, "args", args)]));
        let after = World::new().image("app", entrypoint, cmd).prepared(&before);
        assert_eq!(after["spec"]["containers"][0]["args"], expected);
    }
}

#[test]
fn a_registry_is_asked_only_about_wrapped_containers_without_command_and_is_told_what_it_depends_on() {
    let silent = with(with(app(), "name", json!("silent")), "command", json!([]));
    let mut before = pod(&json!([app(), silent, {"name": "plain", "image": "plain"}]));
    before["spec"]["imagePullSecrets"] = json!([{"name": "one"}, {}, {"name": "two"}]);
    before["spec"]["nodeSelector"] = json!({"kubernetes.io/arch": "arm64"});
    before["spec"]["affinity"] = json!({"nodeAffinity": {"x": 1}});
    before["spec"]["containers"][1]["imagePullPolicy"] = json!("Always");
    let questions = questions(&before, "shop").unwrap();
    let [(container, query)] = questions.as_slice() else {
        panic!("{questions:?}")
    };
    let expected = ImageQuery {
        image: "app:1".to_owned(),
        pull_policy: Some("Always".to_owned()),
        namespace: "shop".to_owned(),
        service_account: "default".to_owned(),
        pull_secrets: vec!["one".to_owned(), "two".to_owned()],
        node_selector: [("kubernetes.io/arch".to_owned(), "arm64".to_owned())].into(),
        node_affinity: json!({"x": 1}),
    };
    assert_eq!((container.as_str(), query), ("silent", &expected));
}

#[test]
fn a_failed_look_up_denies_the_pod_in_its_own_words() {
    let mut world = World::new();
    let diagnosis = Diagnosis::of(Code::VaultUnavailable, "No answer.", &[]);
    world
        .images
        .insert("app".to_owned(), Err(LookupError(Box::new(diagnosis.clone()))));
    let before = pod(&json!([with(app(), "command", json!(null))]));
    assert_eq!(world.denied(&before), (diagnosis.code, diagnosis.to_string()));
    // Where nothing has to be known, nothing is asked.
    assert!(world.mutate(&pod(&json!([app()]))).is_ok());
    let (code, text) = World::new().image("app", &[], &[]).denied(&before);
    assert_eq!(code, Code::InjectionImpossible);
    assert!(text.contains("Nothing says what container 'app' starts."), "{text}");
}

#[test]
fn containers_with_env_from_are_wrapped_when_the_pod_opts_in() {
    let from = json!({"name": "a", "image": "a", "command": ["a"], "envFrom": [{"configMapRef": {"name": "c"}}]});
    let key = json!({"name": "b", "image": "b", "command": ["b"], "env": [{"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]});
    let plain = json!({"name": "c", "image": "c", "command": ["c"], "env": [{"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]});
    let mut before = pod(&json!([from, key, plain]));
    assert_eq!(World::new().mutate(&before).unwrap().containers, 0);
    before["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
    let after = World::new().prepared(&before);
    let commands: Vec<_> = after["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["args"].clone())
        .collect();
    assert_eq!(commands, [json!(["a"]), json!(["b"]), json!(null)]);
}

#[test]
fn without_the_broker_the_specs_travel_with_the_pod_and_nothing_of_the_broker_does() {
    let after = World::direct().prepared(&pod(&json!([app()])));
    let container = &after["spec"]["containers"][0];
    let variables: Vec<_> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    let own = [
        "ENV_INJECTOR_USE_AUTH_SERVICE",
        "ENV_INJECTOR_POD_NAMESPACE",
        "ENV_INJECTOR_POD_NAME",
        "ENV_INJECTOR_SPECS",
    ];
    assert_eq!(variables[1..], own);
    assert_eq!(container["env"][1]["value"], "false");
    let specs: Value = serde_json::from_str(container["env"][4]["value"].as_str().unwrap()).unwrap();
    let expected =
        json!({"db": {"vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}}, "fieldOfTheFuture": true}});
    assert_eq!(specs, expected);
    assert_eq!(container["volumeMounts"].as_array().unwrap().len(), 1);
    assert_eq!(after["spec"]["volumes"].as_array().unwrap().len(), 1);
}

#[test]
fn without_the_broker_references_from_elsewhere_find_all_specs_of_the_namespace() {
    let container = with(app(), "envFrom", json!([{"configMapRef": {"name": "c"}}]));
    let after = World::direct().prepared(&pod(&json!([container])));
    let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
    let specs: Value = serde_json::from_str(env.last().unwrap()["value"].as_str().unwrap()).unwrap();
    assert_eq!(specs.as_object().unwrap().keys().collect::<Vec<_>>(), ["db", "web"]);

    let mut world = World::direct();
    for number in 0..2000 {
        let spec = world.specs["db"].clone();
        world.specs.insert(format!("other-{number}"), spec);
    }
    let outcome = world
        .mutate(&pod(&json!([with(app(), "envFrom", json!([{}]))])))
        .unwrap();
    assert!(
        outcome.warnings[0].contains("too many AzureKeyVaultSecrets"),
        "{:?}",
        outcome.warnings
    );
    let after = world.prepared(&pod(&json!([with(app(), "envFrom", json!([{}]))])));
    let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
    let specs = env.last().unwrap()["value"].as_str().unwrap().len();
    assert!((93 * 1024..=96 * 1024).contains(&specs), "{specs} bytes");
}

#[test]
fn a_container_turns_the_broker_off_with_any_boolean_of_go_under_any_case_of_the_name() {
    for (name, value, direct) in [
        ("ENV_INJECTOR_DISABLE_AUTH_SERVICE", "true", true),
        ("env_injector_disable_auth_service", "T", true),
        ("Env_Injector_Disable_Auth_Service", "1", true),
        ("ENV_INJECTOR_DISABLE_AUTH_SERVICE", "false", false),
        ("ENV_INJECTOR_DISABLE_AUTH_SERVICE", "0", false),
    ] {
        let mut container = app();
        container["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": name, "value": value}));
        let other = with(app(), "name", json!("other"));
        let after = World::new().prepared(&pod(&json!([container, other])));
        let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
        let has_specs = env.iter().any(|it| it["name"] == "ENV_INJECTOR_SPECS");
        assert_eq!(has_specs, direct, "{name}={value}");
        assert_eq!(
            after["spec"]["volumes"].as_array().unwrap().len(),
            2,
            "the other container needs the token"
        );
    }
    for entry in [
        json!({"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE"}),
        json!({"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE", "value": ""}),
        json!({"name": "ENV_INJECTOR_DISABLE_AUTH_SERVICE", "value": "yes"}),
        json!({"name": "env_injector_disable_auth_service", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    ] {
        let mut container = app();
        container["env"].as_array_mut().unwrap().push(entry.clone());
        let (code, text) = World::new().denied(&pod(&json!([container])));
        assert_eq!(code, Code::InjectionSettingInvalid, "{entry}");
        assert!(text.contains("container 'app'"), "{text}");
        // Nobody else is bothered by it.
        let plain = json!([{"name": "a", "image": "a", "env": [entry]}]);
        assert!(World::new().mutate(&pod(&plain)).unwrap().patch.is_empty());
    }
}

#[test]
fn own_variables_that_are_there_are_set_and_not_doubled() {
    let mut container = app();
    let own = json!({"name": "ENV_INJECTOR_AUTH_SERVICE", "value": "https://elsewhere.example.org"});
    container["env"].as_array_mut().unwrap().insert(0, own);
    let after = World::new().prepared(&pod(&json!([container])));
    let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
    assert_eq!(env[0], json!({"name": "ENV_INJECTOR_AUTH_SERVICE", "value": BROKER}));
    assert_eq!(env.len(), 6);
}

#[test]
fn names_and_places_that_the_injector_needs_are_denied_to_others() {
    let mounted = with(
        app(),
        "volumeMounts",
        json!([{"name": "mine", "mountPath": "/azure-keyvault/"}]),
    );
    let with_volume = |volume: Value| {
        let mut pod = pod(&json!([app()]));
        pod["spec"]["volumes"] = json!([volume]);
        pod
    };
    let mut with_init = pod(&json!([app()]));
    with_init["spec"]["initContainers"] = json!([{"name": "copy-azurekeyvault-env", "image": "mine"}]);
    let mut windows = pod(&json!([app()]));
    windows["spec"]["os"] = json!({"name": "windows"});
    for before in [
        pod(&json!([mounted])),
        with_volume(json!({"name": "azure-keyvault-env", "configMap": {"name": "mine"}})),
        with_volume(json!({"name": "azure-keyvault-token", "secret": {"secretName": "mine"}})),
        with_init,
        windows,
    ] {
        assert_eq!(World::new().denied(&before).0, Code::InjectionImpossible, "{before}");
    }
}

#[test]
fn a_pod_full_of_slips_gets_no_more_warnings_than_somebody_reads() {
    let variable = |number| json!({"name": format!("V{number}"), "value": format!("x{number}@azurekeyvault")});
    let variables: Vec<_> = (0..100).map(variable).collect();
    let before = pod(&json!([with(app(), "env", json!(variables))]));
    let outcome = World::new().mutate(&before).unwrap();
    assert_eq!((outcome.warnings.len(), outcome.containers), (16, 1));
}

#[test]
fn a_slip_of_the_pen_is_a_warning_with_the_nearest_name_and_without_the_broker_a_denial() {
    for (value, warning) in [
        (
            "dbb@azurekeyvault",
            "Variable DB of container 'app': namespace 'shop' has no AzureKeyVaultSecret 'dbb'; did you mean 'db'?",
        ),
        (
            "something@azurekeyvault",
            "Variable DB of container 'app': namespace 'shop' has no AzureKeyVaultSecret 'something'.",
        ),
        (
            "web@azurekeyvault?tls.kye",
            "Variable DB of container 'app': the certificate 'web' has no 'tls.kye'; did you mean 'tls.key'?",
        ),
        (
            "web@azurekeyvault?x",
            "Variable DB of container 'app': the certificate 'web' has no 'x'; it has tls.crt, tls.key, raw.",
        ),
    ] {
        let before = pod(&json!([with(app(), "env", json!([{"name": "DB", "value": value}]))]));
        let outcome = World::new().mutate(&before).unwrap();
        assert_eq!(outcome.warnings, [warning]);
        assert_eq!(outcome.containers, 1, "it may be there when the container starts");
        match World::direct().mutate(&before) {
            Ok(outcome) => assert_eq!(outcome.warnings, [warning]),
            Err(denial) => assert!(
                denial.0.code == Code::AkvsNotFound && denial.0.what == warning,
                "{denial}"
            ),
        }
    }
    for value in [
        "web@azurekeyvault?tls.key",
        "web@azurekeyvault",
        "db@azurekeyvault?any.path",
    ] {
        let before = pod(&json!([with(app(), "env", json!([{"name": "DB", "value": value}]))]));
        assert!(World::new().mutate(&before).unwrap().warnings.is_empty(), "{value}");
    }
}

#[test]
fn direct_references_need_no_akvs_and_no_broker() {
    let before = |value: &str| pod(&json!([with(app(), "env", json!([{"name": "DB", "value": value}]))]));
    let (code, text) = World::new().denied(&before("azurekeyvault://kv1/secrets/db"));
    assert!(
        code == Code::ReferenceInvalid && text.contains("ENV_INJECTOR_DISABLE_AUTH_SERVICE"),
        "{text}"
    );
    assert_eq!(
        World::direct()
            .mutate(&before("azurekeyvault://kv1/secrets/db"))
            .unwrap()
            .containers,
        1
    );
    for world in [World::new(), World::direct()] {
        let (code, text) = world.denied(&before("azurekeyvault://kv1/db"));
        assert!(
            code == Code::ReferenceInvalid && text.contains("Variable DB of container 'app'"),
            "{text}"
        );
    }
}

#[test]
fn the_init_container_takes_the_pods_user_unless_that_is_root_and_the_knobs_decide() {
    let context = |world: &World, user: Value| {
        let mut before = pod(&json!([app()]));
        before["spec"]["securityContext"] = json!({"runAsUser": user, "fsGroup": 7});
        let after = world.prepared(&before);
        assert_eq!(after["spec"]["securityContext"], before["spec"]["securityContext"]);
        after["spec"]["initContainers"][0]["securityContext"].clone()
    };
    let mut world = World::new();
    assert_eq!(context(&world, json!(1000))["runAsUser"], json!(null));
    assert_eq!(context(&world, json!(null))["runAsUser"], json!(null));
    assert_eq!(context(&world, json!(0))["runAsUser"], json!(65532));
    world.settings.security = Security {
        read_only: false,
        non_root: false,
        privileged: true,
        allow_privilege_escalation: None,
        user: Some(5),
        group: Some(6),
        seccomp_runtime_default: false,
    };
    let expected = json!({
        "capabilities": {"drop": ["ALL"]}, "privileged": true, "readOnlyRootFilesystem": false, "runAsNonRoot": false,
        "runAsUser": 5, "runAsGroup": 6,
    });
    assert_eq!(context(&world, json!(0)), expected);
}

#[test]
fn nothing_but_add_is_sent_for_a_pod_that_nobody_prepared() {
    let outcome = World::new().mutate(&pod(&json!([app()]))).unwrap();
    let wire = serde_json::to_value(&outcome.patch).unwrap();
    let operations: std::collections::BTreeSet<_> = wire
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["op"].as_str().unwrap())
        .collect();
    assert_eq!(operations.into_iter().collect::<Vec<_>>(), ["add"]);
    assert_ne!(apply(&pod(&json!([app()])), &outcome), pod(&json!([app()])));
}

#[test]
fn windows_is_recognised_by_either_field() {
    for (field, value) in [
        ("os", json!({"name": "windows"})),
        ("nodeSelector", json!({"kubernetes.io/os": "windows"})),
        ("nodeSelector", json!({"beta.kubernetes.io/os": "windows"})),
    ] {
        let mut before = pod(&json!([app()]));
        before["spec"][field] = value.clone();
        let (code, text) = World::new().denied(&before);
        assert_eq!(code, Code::InjectionImpossible, "{value}");
        assert!(text.contains("Windows"), "{text}");
        before["spec"][field] = json!({"name": "linux", "kubernetes.io/os": "linux"});
        assert!(World::new().mutate(&before).is_ok());
    }
}

/// A pod that refers to this many AKVS, and what it is told without the broker when each has a spec of so many bytes.
fn direct_with(count: usize, bytes: usize) -> (Value, World) {
    let mut world = World::direct();
    let mut variables = Vec::new();
    for number in 0..count {
        let name = format!("akvs-{number}");
        variables.push(json!({"name": format!("V{number}"), "value": format!("{name}@azurekeyvault")}));
        let spec = json!({"output": {"transform": ["x".repeat(bytes)]}});
        world.specs.insert(name, spec.into());
    }
    (pod(&json!([with(app(), "env", json!(variables))])), world)
}

#[test]
fn specs_that_no_variable_can_hold_are_a_denial_and_not_a_container_that_cannot_start() {
    let (before, world) = direct_with(200, 700);
    let (code, text) = world.denied(&before);
    assert_eq!(code, Code::EnvironmentTooLarge);
    assert!(text.contains("Container 'app'") && text.contains("131072"), "{text}");
    let (before, world) = direct_with(200, 500);
    let after = world.prepared(&before);
    let env = after["spec"]["containers"][0]["env"].as_array().unwrap();
    let specs = env.iter().find(|it| it["name"] == "ENV_INJECTOR_SPECS").unwrap();
    let length = "ENV_INJECTOR_SPECS=".len() + specs["value"].as_str().unwrap().len() + 1;
    assert!((100_000..=32 * 4096).contains(&length), "{length}");
}

#[test]
fn without_the_broker_too_there_are_no_more_warnings_than_anybody_reads() {
    let wrong = |number| json!({"name": format!("V{number}"), "value": "web@azurekeyvault?tls.cert"});
    let env: Vec<_> = (0..100).map(wrong).collect();
    let before = pod(&json!([with(app(), "env", json!(env))]));
    for world in [World::new(), World::direct()] {
        assert_eq!(world.mutate(&before).unwrap().warnings.len(), 16);
    }
}

#[test]
fn what_nobody_could_say_of_an_akvs_is_told_so() {
    let before = pod(&json!([with(
        app(),
        "env",
        json!([{"name": "DB", "value": "new@azurekeyvault"}])
    )]));
    for (why, code) in [
        (NotTold::Forbidden("no".to_owned()), Code::ApiServerForbidden),
        (NotTold::Silent("no answer".to_owned()), Code::ApiServerUnavailable),
    ] {
        let of = |mut world: World| {
            world.not_told.insert("new".to_owned(), why.clone());
            world
        };
        let (denied, text) = of(World::direct()).denied(&before);
        assert_eq!(denied, code);
        assert!(text.contains("AzureKeyVaultSecret 'new' is not known."), "{text}");
        let warnings = of(World::new()).mutate(&before).unwrap().warnings;
        assert!(
            warnings[0].contains("is not known.") && warnings.len() == 1,
            "{warnings:?}"
        );
    }
}

#[test]
fn an_init_container_that_another_webhook_put_before_ours_starts_after_it() {
    let world = World::new();
    let mut before = world.prepared(&pod(&json!([app()])));
    let foreign = with(app(), "name", json!("migrate"));
    let init = before["spec"]["initContainers"].as_array_mut().unwrap();
    init.insert(0, with(app(), "name", json!("plain")));
    init[0].as_object_mut().unwrap().remove("env");
    init.insert(1, foreign);
    let after = world.prepared(&before);
    let names: Vec<_> = after["spec"]["initContainers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["copy-azurekeyvault-env", "plain", "migrate"]);
    let migrate = &after["spec"]["initContainers"][2];
    assert_eq!(migrate["command"], json!(["/azure-keyvault/azure-keyvault-env"]));
    assert!(world.mutate(&after).unwrap().patch.is_empty());
}
