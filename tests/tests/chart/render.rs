//! What Helm says of the chart: lint, the same twice and by both, old values, and values that cannot be.

use akv2k8s_testbed::helm::{CHART, find, id, objects};

use crate::values::{EVERYTHING, OLD, all};
use crate::{both, helm};

#[test]
fn both_lint_it_without_a_warning() {
    for helm in both() {
        let said = helm.run(&["lint", "CHART", "--strict"], "").unwrap();
        assert!(!said.contains("WARNING") && !said.contains("ERROR"), "{said}");
    }
}

#[test]
fn rendered_twice_it_is_the_same_to_the_byte_and_both_render_the_same_objects() {
    for values in all() {
        let mut rendered = Vec::new();
        for helm in both() {
            let text = helm.template(values).unwrap();
            assert_eq!(text, helm.template(values).unwrap(), "{helm:?}");
            let mut objects = objects(&text).unwrap();
            // Helm 4 writes an empty line more at times, and kinds that it does not know in another order.
            objects.sort_by_key(id);
            rendered.push(objects);
        }
        assert_eq!(rendered[0], rendered[1], "{values}");
        assert!(rendered[0].len() > 5);
    }
}

#[test]
fn nothing_in_it_is_random_or_of_its_time() {
    for entry in std::fs::read_dir(format!("{CHART}/templates")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for word in [
            "genCA",
            "genSelfSigned",
            "genSigned",
            "genPrivateKey",
            "rand",
            "uuidv4",
            "now",
            "lookup",
            "htpasswd",
        ] {
            let called = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|it| it == word);
            let actions = text.split("{{").skip(1).filter_map(|it| it.split("}}").next());
            for action in actions.filter(|it| !it.trim_start_matches(['-', ' ']).starts_with("/*")) {
                let code = action.split('"').step_by(2).collect::<Vec<_>>().join(" ");
                assert!(!called(&code), "{word}: {action}");
            }
        }
    }
}

#[test]
fn objects_are_named_after_the_release() {
    for (release, name) in [("prod", "prod-akv2k8s"), ("akv2k8s-prod", "akv2k8s-prod")] {
        for helm in both() {
            let line = ["template", release, "CHART", "--namespace", "akv2k8s"];
            let text = helm.run(&line, "").unwrap();
            let objects = objects(&text).unwrap();
            for component in ["controller", "envinjector"] {
                for kind in ["Deployment", "Service", "ServiceAccount"] {
                    let wanted = format!("{kind}/{name}-{component}");
                    assert!(find(&objects, &wanted).is_some(), "{wanted}");
                }
            }
        }
    }
}

#[test]
fn values_that_users_have_render_and_name_what_they_always_named() {
    for (name, values) in OLD {
        for helm in both() {
            let objects = helm.objects(values).unwrap_or_else(|error| panic!("{name}: {error}"));
            let controller = find(&objects, "Deployment/akv2k8s-controller");
            assert!(controller.is_some(), "{name}: no controller");
        }
    }
}

#[test]
fn images_of_akv2k8s_in_go_are_refused_with_the_edit_to_make() {
    for (values, key) in [
        (
            "controller: {image: {repository: spvest/azure-keyvault-controller}}",
            "controller.image",
        ),
        ("controller: {image: {tag: 1.8.4}}", "controller.image.tag"),
        ("controller: {image: {tag: v1.5.0}}", "controller.image.tag"),
        (
            "env_injector: {image: {repository: mirror.example.org/spvest/azure-keyvault-webhook}}",
            "env_injector.image",
        ),
        (
            "env_injector: {envImage: {repository: mirror.example.org/azure-keyvault-env}}",
            "env_injector.envImage",
        ),
        ("env_injector: {envImage: {tag: 1.8.4}}", "env_injector.envImage.tag"),
    ] {
        for helm in both() {
            let error = helm.template(values).unwrap_err().to_string();
            assert!(
                error.contains(&format!("Take {key} out of your values")),
                "{values}: {error}"
            );
            assert!(error.contains("akv2k8s in Go"), "{error}");
        }
    }
    let ours = "controller: {image: {repository: mirror.example.org/akv2k8s-rs/controller, tag: 0.1.0}}";
    helm().template(ours).unwrap();
}

#[test]
fn what_cannot_work_is_refused_with_what_to_write() {
    for (values, words) in [
        // Null takes a default away, as --reuse-values does with those that are new.
        ("policies: {adoption: null}", "--reset-then-reuse-values"),
        ("workloadIdentity: {clientId: a}", "add workloadIdentity.enabled=true"),
        ("workloadIdentity: {tenantId: a}", "add workloadIdentity.enabled=true"),
        (
            "controller: {workloadIdentity: {clientId: a}}",
            "add workloadIdentity.enabled=true",
        ),
        ("workloadIdentity: {enabled: true}", "set workloadIdentity.clientId"),
        (
            "workloadIdentity: {enabled: true}\ncontroller: {workloadIdentity: {clientId: a}}",
            "env_injector.workloadIdentity.clientId",
        ),
        (
            "workloadIdentity: {enabled: true, webhook: false, clientId: a}",
            "set both",
        ),
        (
            "controller: {leaderElection: {enabled: false}}",
            "Set controller.replicaCount=1",
        ),
        (
            "env_injector: {certificate: {useCertManager: true, custom: {enabled: true}}}",
            "exclude each other",
        ),
        (
            "env_injector: {certificate: {custom: {enabled: true}}}",
            "set custom.server.tls.crt",
        ),
        (
            "{controller: {serviceAccount: {name: a}}, env_injector: {serviceAccount: {name: a}}}",
            "take both names out",
        ),
        (
            "{cloudConfig: /azure.json, global: {userDefinedMSI: {enabled: true}}}",
            "write a folder of its own",
        ),
        (
            "{cloudConfig: /etc/azure.json, global: {userDefinedMSI: {enabled: true}}}",
            "write a folder of its own",
        ),
    ] {
        for helm in both() {
            let error = helm
                .template(values)
                .err()
                .unwrap_or_else(|| panic!("{values} renders"));
            assert!(error.to_string().contains(words), "{values}: {error}");
        }
    }
}

#[test]
fn what_may_work_is_not_refused() {
    for values in [
        // Both are one ServiceAccount that is there already, or the namespace's own.
        "{controller: {serviceAccount: {name: a}}, env_injector: {serviceAccount: {create: false, name: a}}}",
        "{controller: {serviceAccount: {create: false}}, env_injector: {serviceAccount: {create: false}}}",
        "{controller: {serviceAccount: {name: a}}, env_injector: {enabled: false, serviceAccount: {name: a}}}",
        // One file is mounted there, no folder.
        "cloudConfig: /azure.json",
        // As whom is in a Secret of the user's.
        "{workloadIdentity: {enabled: true}, global: {envFromSecret: [{name: a}]}}",
        "workloadIdentity: {enabled: true}\ncontroller: {envFromSecret: [{name: a}]}\nenv_injector: {envFromSecret: [{name: a}]}",
    ] {
        for helm in both() {
            helm.template(values)
                .unwrap_or_else(|error| panic!("{values}: {error}"));
        }
    }
}

#[test]
fn a_misspelt_or_impossible_value_is_refused_by_its_name() {
    for (values, words) in [
        ("controler: {enabled: false}", "controler"),
        ("controller: {replicas: 3}", "replicas"),
        ("env_injector: {envImage: {tags: a}}", "tags"),
        (
            "env_injector: {service: {externalTlsPort: 70000}}",
            "env_injector/service/externalTlsPort",
        ),
        ("env_injector: {failurePolicy: fail}", "env_injector/failurePolicy"),
        ("global: {logLevel: loud}", "global/logLevel"),
        ("global: {keyVaultAuth: azureCloudconfig}", "global/keyVaultAuth"),
        ("global: {metrics: {serviceMonitor: {label: {}}}}", "label"),
        ("azureKeyVaultResyncPeriod: 0", "azureKeyVaultResyncPeriod"),
        ("watchAllNamespaces: 'no'", "watchAllNamespaces"),
        ("watchNamespaces: [shop, Bank]", "watchNamespaces/1"),
        ("watchNamespaces: [shop, shop]", "watchNamespaces"),
        ("profile: harden", "profile"),
        ("vaultGrants: [{vaults: [a]}]", "vaultGrants/0"),
        ("vaultGrants: [{namespaces: [a], vault: [b]}]", "vault"),
        ("controller: {env: [{name: A}]}", "controller/env"),
    ] {
        for helm in both() {
            let error = helm
                .template(values)
                .err()
                .unwrap_or_else(|| panic!("{values} renders"));
            // The older Helm 3 writes a path with dots.
            let error = error.to_string().replace('.', "/");
            assert!(
                error.contains("don't meet the specifications") && error.contains(words),
                "{values}: {error}"
            );
        }
    }
    // What is free: other charts' keys under global, a parent's condition, maps of the user's.
    for values in [
        "global: {imageRegistry: example.org}",
        "enabled: true",
        "controller: {affinity: {nodeAffinity: {}}, resources: {limits: {cpu: 1}}, podAnnotations: {a: b}}",
    ] {
        helm().template(values).unwrap();
    }
}

#[test]
fn an_old_cluster_is_told_the_version_it_needs() {
    for helm in both() {
        let render = |version| helm.run(&["template", "akv2k8s", "CHART", "--kube-version", version], "");
        let error = render("1.29.9").unwrap_err().to_string();
        assert!(error.contains(">=1.30.0-0"), "{error}");
        render("1.30.0").unwrap();
        render("1.31.5-gke.100").unwrap();
    }
}

#[test]
fn rules_and_dashboards_are_those_of_the_chart_without_alerts_of_what_shows_no_metrics() {
    let groups = |values: &str| -> Vec<String> {
        let objects = helm().objects(values).unwrap();
        let rule = find(&objects, "PrometheusRule/akv2k8s-akv2k8s").unwrap();
        let groups = rule["spec"]["groups"].as_array().unwrap().iter();
        groups.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let rules = "prometheusRule: {enabled: true}";
    let all = groups(&format!("global: {{metrics: {{enabled: true, {rules}}}}}"));
    assert_eq!(all, ["akv2k8s-controller", "akv2k8s-vaults", "akv2k8s-env-injector"]);
    let alone = format!("{{global: {{metrics: {{enabled: true, {rules}}}}}, env_injector: {{enabled: false}}}}");
    assert_eq!(groups(&alone), all[..2]);
    let silent =
        format!("{{global: {{metrics: {{enabled: true, {rules}}}}}, controller: {{metrics: {{enabled: false}}}}}}");
    assert_eq!(groups(&silent), all[1..]);

    // Rules and dashboards have braces of their own, which are not Helm's.
    let objects = helm().objects(EVERYTHING).unwrap();
    let file = |path: &str| std::fs::read_to_string(format!("{CHART}/files/{path}")).unwrap();
    for name in ["controller", "env-injector"] {
        let map = find(&objects, &format!("ConfigMap/akv2k8s-dashboard-{name}")).unwrap();
        let text = map["data"][format!("{name}.json")].as_str().unwrap();
        assert_eq!(text.trim_end(), file(&format!("dashboards/{name}.json")).trim_end());
    }
    let rule = find(&objects, "PrometheusRule/akv2k8s-akv2k8s").unwrap();
    let rules: serde_json::Value = serde_yaml::from_str(&file("rules/akv2k8s.yaml")).unwrap();
    assert_eq!(rule["spec"], rules);
}

#[test]
fn no_pod_of_kube_system_or_of_the_release_ever_reaches_the_webhook() {
    for (values, excluded) in [
        ("", &["kube-system", "akv2k8s"][..]),
        ("watchNamespaces: [shop, kube-system]", &["kube-system", "akv2k8s"]),
        (
            "env_injector: {namespaceSelector: {matchExpressions: []}}",
            &["kube-system", "akv2k8s"],
        ),
        // The release's own was asked for by name.
        ("watchNamespaces: [shop, akv2k8s]", &["kube-system"]),
        ("watchAllNamespaces: false", &["kube-system"]),
    ] {
        for helm in both() {
            let objects = helm.objects(values).unwrap();
            let webhook = find(&objects, "MutatingWebhookConfiguration/akv2k8s-envinjector").unwrap();
            let expressions = webhook["webhooks"][0]["namespaceSelector"]["matchExpressions"].as_array();
            // By the label that the API server itself gives each namespace. All expressions have to hold.
            let wanted =
                serde_json::json!({"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded});
            assert!(expressions.unwrap().contains(&wanted), "{values}: {expressions:?}");
        }
    }
}

#[test]
fn each_service_monitor_is_labelled_and_selects_as_its_own_program() {
    let values = "global: {metrics: {enabled: true, serviceMonitor: {enabled: true}}}";
    for helm in both() {
        let objects = helm.objects(values).unwrap();
        for name in ["controller", "envinjector"] {
            let monitor = find(&objects, &format!("ServiceMonitor/akv2k8s-{name}")).unwrap();
            let service = find(&objects, &format!("Service/akv2k8s-{name}")).unwrap();
            let label = "app.kubernetes.io/component";
            let of = |labels: &serde_json::Value| labels[label].as_str().unwrap_or_default().to_owned();
            assert_eq!(
                of(&monitor["metadata"]["labels"]),
                of(&service["metadata"]["labels"]),
                "{name}"
            );
            assert_eq!(
                of(&monitor["spec"]["selector"]["matchLabels"]),
                of(&service["metadata"]["labels"])
            );
        }
        let of =
            |name: &str| find(&objects, name).unwrap()["metadata"]["labels"]["app.kubernetes.io/component"].clone();
        assert_ne!(
            of("ServiceMonitor/akv2k8s-controller"),
            of("ServiceMonitor/akv2k8s-envinjector")
        );
    }
}
