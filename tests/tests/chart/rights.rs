//! Who may do what: the rendered roles are those that the tests of the programs run with, and those that the README tells.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_testbed::hardened;
use akv2k8s_testbed::helm::{CHART, RELEASE, find, objects};
use serde_json::Value;

use crate::helm;

/// One right: where (`cluster` or a namespace), group/resource, name of the object or `*`, verb.
type Right = (String, String, String, String);

/// The rights that the ServiceAccount `account` of the release's namespace has by `objects`.
fn rights(objects: &[Value], account: &str) -> BTreeSet<Right> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let place = |object: &Value| match object["metadata"]["namespace"].as_str() {
        Some(namespace) => namespace.to_owned(),
        None => "cluster".to_owned(),
    };
    let words = |value: &Value| -> Vec<String> { value.as_array().into_iter().flatten().map(text).collect() };
    let mut found = BTreeSet::new();
    for binding in objects.iter().filter(|it| text(&it["kind"]).ends_with("RoleBinding")) {
        let subjects = binding["subjects"].as_array().unwrap();
        if !subjects
            .iter()
            .any(|it| it["name"] == account && it["namespace"] == RELEASE)
        {
            continue;
        }
        let (kind, name) = (&binding["roleRef"]["kind"], &binding["roleRef"]["name"]);
        let is_role = |it: &&Value| {
            it["kind"] == *kind
                && it["metadata"]["name"] == *name
                && (kind == "ClusterRole" || place(it) == place(binding))
        };
        let role = objects
            .iter()
            .find(is_role)
            .unwrap_or_else(|| panic!("no {kind} {name}"));
        for rule in role["rules"].as_array().unwrap() {
            let mut names = words(&rule["resourceNames"]);
            if names.is_empty() {
                names.push("*".to_owned());
            }
            for (group, resource) in words(&rule["apiGroups"]).iter().flat_map(|group| {
                words(&rule["resources"])
                    .into_iter()
                    .map(move |resource| (group.clone(), resource))
            }) {
                for verb in words(&rule["verbs"]) {
                    for name in &names {
                        let what = if group.is_empty() {
                            resource.clone()
                        } else {
                            format!("{group}/{resource}")
                        };
                        assert!(verb != "*" && what != "*", "{rule}");
                        found.insert((place(binding), what, name.clone(), verb.clone()));
                    }
                }
            }
        }
    }
    found
}

fn rendered(values: &str, account: &str) -> BTreeSet<Right> {
    rights(&helm().objects(values).unwrap(), account)
}

fn proven(manifests: &[&str], account: &str) -> BTreeSet<Right> {
    let all: Vec<Value> = manifests.iter().flat_map(|text| objects(text).unwrap()).collect();
    let found = rights(&all, account);
    assert!(!found.is_empty());
    found
}

const EVERYWHERE: &str = include_str!("../../../examples/install/controller-rbac.yaml");
const ONE_NAMESPACE: &str = include_str!("../../../examples/install/one-namespace-rbac.yaml");
const NOT_WATCHING: &str = include_str!("../../../examples/install/without-watching-secrets-rbac.yaml");
const LABELS: &str = include_str!("../../../examples/install/namespace-labels-rbac.yaml");
const UPGRADE: &str = include_str!("../../../examples/install/crd-upgrade-rbac.yaml");
const INJECTOR: &str = include_str!("../../../examples/install/envinjector-rbac.yaml");
const CLUSTER: &str = include_str!("../../../examples/isolation/01-cluster.yaml");
const NAMESPACE: &str = include_str!("../../../examples/isolation/02-namespace.yaml");

#[test]
fn the_controllers_rights_are_those_that_its_tests_run_with() {
    let account = "akv2k8s-controller";
    let plain = "crds: {upgrade: false}\n";
    for (values, proof) in [
        ("", vec![EVERYWHERE]),
        ("watchAllNamespaces: false", vec![ONE_NAMESPACE]),
        ("profile: hardened", vec![NOT_WATCHING]),
        ("controller: {watchOutputs: false}", vec![NOT_WATCHING]),
        (
            "vaultGrants: [{namespaceSelector: {matchLabels: {a: b}}, vaults: [c]}]",
            vec![EVERYWHERE, LABELS],
        ),
        ("vaultGrants: [{namespaces: [a], vaults: [c]}]", vec![EVERYWHERE]),
        (
            "serviceAccountIdentities: {enabled: true, namespaces: [shop]}",
            vec![EVERYWHERE, CLUSTER, NAMESPACE],
        ),
        ("serviceAccountIdentities: {enabled: true}", vec![EVERYWHERE]),
    ] {
        assert_eq!(
            rendered(&format!("{plain}{values}"), account),
            proven(&proof, account),
            "{values}"
        );
    }
}

#[test]
fn in_each_of_several_namespaces_the_controller_has_the_rights_of_one_by_roles() {
    let account = "akv2k8s-controller";
    let in_each = |(place, what, name, verb): Right| {
        let places = match what.as_str() {
            "coordination.k8s.io/leases" => vec![place],
            _ => vec!["shop".to_owned(), "bank".to_owned()],
        };
        places
            .into_iter()
            .map(move |place| (place, what.clone(), name.clone(), verb.clone()))
    };
    let wanted: BTreeSet<Right> = proven(&[ONE_NAMESPACE], account)
        .into_iter()
        .flat_map(in_each)
        .collect();
    let values = "crds: {upgrade: false}\nwatchNamespaces: [shop, bank]";
    assert_eq!(rendered(values, account), wanted);
    assert!(wanted.iter().all(|it| it.0 != "cluster"));
}

#[test]
fn bringing_the_resource_definition_up_to_date_takes_two_rights_on_that_one_only() {
    let account = "akv2k8s-controller";
    assert_eq!(rendered("", account), proven(&[EVERYWHERE, UPGRADE], account));
    for values in ["", "watchAllNamespaces: false", "profile: hardened"] {
        let with = rendered(values, "akv2k8s-controller");
        let without = rendered(&format!("crds: {{upgrade: false}}\n{values}"), "akv2k8s-controller");
        let more: Vec<_> = with
            .difference(&without)
            .map(|it| (it.1.as_str(), it.2.as_str(), it.3.as_str()))
            .collect();
        let definitions = "apiextensions.k8s.io/customresourcedefinitions";
        let name = "azurekeyvaultsecrets.spv.no";
        assert_eq!(
            more,
            [(definitions, name, "get"), (definitions, name, "patch")],
            "{values}"
        );
    }
}

#[test]
fn the_env_injectors_rights_are_those_that_its_tests_run_with() {
    let account = "akv2k8s-envinjector";
    let all = proven(&[INJECTOR], account);
    assert_eq!(rendered("", account), all);
    let but = |unwanted: &[&str]| -> BTreeSet<Right> {
        let cluster_wide = |it: &&Right| !(it.0 == "cluster" && unwanted.contains(&it.1.as_str()));
        all.iter().filter(cluster_wide).cloned().collect()
    };
    assert_eq!(
        rendered("profile: hardened", account),
        proven(&[&hardened::without_pull_secrets().unwrap()], account)
    );
    let direct = "env_injector: {authService: false}";
    assert_eq!(
        rendered(direct, account),
        but(&["pods", "authentication.k8s.io/tokenreviews"])
    );
    for (values, served) in [
        ("watchNamespaces: [shop]", &["shop"][..]),
        ("watchNamespaces: [shop, bank]", &["shop", "bank"]),
        ("watchAllNamespaces: false", &[RELEASE]),
    ] {
        let narrow = |right: &Right| in_each(served, right);
        let wanted: BTreeSet<Right> = all.iter().flat_map(narrow).collect();
        assert_eq!(rendered(values, account), wanted, "{values}");
    }
}

/// What becomes of a right of the env injector where it serves these namespaces alone: what is in namespaces it has in each, and of the
/// namespaces it sees those.
fn in_each(served: &[&str], (place, what, name, verb): &Right) -> Vec<Right> {
    let right = |place: &str, name: &str| (place.to_owned(), what.clone(), name.to_owned(), verb.clone());
    let each = served.iter();
    match what.as_str() {
        "namespaces" => each.map(|it| right(place, it)).collect(),
        "spv.no/azurekeyvaultsecrets" | "pods" | "secrets" | "serviceaccounts" if place == "cluster" => {
            each.map(|it| right(it, name)).collect()
        }
        _ => vec![right(place, name)],
    }
}

#[test]
fn who_reads_no_vault_may_not_become_service_accounts() {
    let identities = "serviceAccountIdentities: {enabled: true, namespaces: [shop]}";
    let becomes = |values: &str, account: &str| {
        let rights = rendered(&format!("{identities}\n{values}"), account);
        rights.iter().any(|it| it.1 == "serviceaccounts/token")
    };
    let direct = "env_injector: {authService: false}";
    let (injector, controller) = ("akv2k8s-envinjector", "akv2k8s-controller");
    assert!(becomes("", injector) && becomes("", controller));
    assert!(!becomes(direct, injector) && becomes(direct, controller));
    assert!(!becomes("controller: {enabled: false}", controller) && becomes("controller: {enabled: false}", injector));
    let neither = helm()
        .objects(&format!("{identities}\ncontroller: {{enabled: false}}\n{direct}"))
        .unwrap();
    assert!(find(&neither, "RoleBinding/shop/akv2k8s-service-account-identities").is_none());
}

#[test]
fn the_suite_runs_hardened_as_the_chart_installs_it() {
    let rendered = helm().objects("profile: hardened").unwrap();
    let container = |id: &str| find(&rendered, id).unwrap()["spec"]["template"]["spec"]["containers"][0].clone();
    let arguments = container("Deployment/akv2k8s-controller")["args"].clone();
    assert!(
        arguments.as_array().unwrap().contains(&hardened::FLAG.into()),
        "{arguments}"
    );
    let (name, value) = hardened::SETTING;
    let variables = container("Deployment/akv2k8s-envinjector")["env"].clone();
    let setting = serde_json::json!({"name": name, "value": value});
    assert!(variables.as_array().unwrap().contains(&setting), "{variables}");
    assert_eq!(NOT_WATCHING, hardened::RIGHTS);
}

#[test]
fn hardened_nobody_of_us_may_list_secrets_or_read_anybodys() {
    let values = "profile: hardened";
    for account in ["akv2k8s-controller", "akv2k8s-envinjector"] {
        for (place, what, name, verb) in rendered(values, account) {
            assert!(
                what != "secrets" || !["list", "watch"].contains(&verb.as_str()),
                "{account}: {verb}"
            );
            let own = place == RELEASE && name == "akv2k8s-envinjector-pki";
            assert!(
                what != "secrets" || account == "akv2k8s-controller" || own || verb == "create",
                "{place} {name} {verb}"
            );
        }
    }
}

/// The rows of the table "feature → verbs" of the README, by their first cell: values and account that show it, and the values it is
/// compared with.
const FEATURES: &[(&str, &str, &str, &str)] = &[
    (
        "synchronisation",
        "controller",
        "crds: {upgrade: false}\ncontroller: {watchOutputs: false}",
        "",
    ),
    (
        "`controller.watchOutputs`",
        "controller",
        "controller: {watchOutputs: true}",
        "controller: {watchOutputs: false}",
    ),
    (
        "`controller.leaderElection.enabled`",
        "controller",
        "controller: {replicaCount: 1}",
        "controller: {replicaCount: 1, leaderElection: {enabled: false}}",
    ),
    (
        "`crds.upgrade`",
        "controller",
        "crds: {upgrade: true}",
        "crds: {upgrade: false}",
    ),
    (
        "`vaultGrants` with `namespaceSelector`",
        "controller",
        "vaultGrants: [{namespaceSelector: {matchLabels: {a: b}}, vaults: [c]}]",
        "vaultGrants: [{namespaces: [a], vaults: [c]}]",
    ),
    (
        "`serviceAccountIdentities`",
        "controller",
        "serviceAccountIdentities: {enabled: true, namespaces: [shop]}",
        "serviceAccountIdentities: {enabled: true}",
    ),
    (
        "injection",
        "envinjector",
        "env_injector: {authService: false, imageLookup: {pullSecrets: false}}",
        "",
    ),
    (
        "`env_injector.authService`",
        "envinjector",
        "",
        "env_injector: {authService: false}",
    ),
    (
        "`env_injector.imageLookup.pullSecrets`",
        "envinjector",
        "",
        "env_injector: {imageLookup: {pullSecrets: false}}",
    ),
];

#[test]
fn the_readme_tells_which_feature_takes_which_right() {
    let readme = std::fs::read_to_string(format!("{CHART}/README.md")).unwrap();
    for (feature, component, with, without) in FEATURES {
        let account = format!("akv2k8s-{component}");
        let mut more = rendered(with, &account);
        if *feature == "synchronisation" {
            more.retain(|it| !it.1.contains("leases"));
        } else if !without.is_empty() {
            let less = rendered(without, &account);
            more = more.difference(&less).cloned().collect();
        }
        let row = readme.lines().find(|line| line.starts_with(&format!("| {feature} |")));
        let row = row.unwrap_or_else(|| panic!("{feature} has no row in README.md"));
        let mut by_resource: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for (_, what, name, verb) in more {
            by_resource.entry((what, name)).or_default().insert(verb);
        }
        assert!(!by_resource.is_empty(), "{feature} takes no right");
        let mut told = BTreeMap::new();
        for right in row.split('|').nth(2).unwrap().trim().split("; ") {
            let (what, verbs) = right.split_once(": ").unwrap_or_else(|| panic!("{right:?}"));
            let names: Vec<&str> = what.split('`').skip(1).step_by(2).collect();
            let name = names.get(1).map_or("*", |it| it).to_owned();
            let verbs: BTreeSet<String> = verbs.split(", ").map(str::to_owned).collect();
            told.insert((names[0].to_owned(), name), verbs);
        }
        assert_eq!(told, by_resource, "{feature}");
    }
}
