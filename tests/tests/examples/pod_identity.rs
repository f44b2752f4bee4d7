//! aad-pod-identity, which does not run here: what it would look for in our objects is there.

use std::collections::BTreeMap;

use akv2k8s_testbed::helm::{Helm, find, objects};
use akv2k8s_testbed::provision::Program;
use serde_json::{Value, json};

use crate::bed::{CLIENT, text};

const COMPONENTS: [(&str, &str); 2] = [
    ("akv2k8s-controller", "controller"),
    ("akv2k8s-envinjector", "env-injector"),
];

fn rendered(values: &str) -> Vec<Value> {
    Helm::of(Program::Helm3)
        .unwrap()
        .objects(&text(values).unwrap())
        .unwrap()
}

fn labels<'o>(objects: &'o [Value], deployment: &str) -> &'o Value {
    let deployment = find(objects, &format!("Deployment/{deployment}")).unwrap();
    &deployment["spec"]["template"]["metadata"]["labels"]
}

#[test]
fn the_binding_selects_the_pods_and_names_the_identity() {
    let own = objects(&text("identity/pod-identity/identity.yaml").unwrap()).unwrap();
    let [identity, binding] = own.as_slice() else {
        panic!("{own:?}")
    };
    assert_eq!(
        (&identity["kind"], &binding["kind"]),
        (&json!("AzureIdentity"), &json!("AzureIdentityBinding"))
    );
    assert!(
        own.iter()
            .all(|it| it["apiVersion"] == "aadpodidentity.k8s.io/v1" && it["metadata"]["namespace"] == "akv2k8s")
    );
    assert_eq!(binding["spec"]["azureIdentity"], identity["metadata"]["name"]);
    assert_eq!(
        (&identity["spec"]["type"], &identity["spec"]["clientID"]),
        (&json!(0), &json!(CLIENT))
    );
    let rendered = rendered("identity/pod-identity/values.yaml");
    for (deployment, _) in COMPONENTS {
        assert_eq!(
            labels(&rendered, deployment)["aadpodidbinding"],
            binding["spec"]["selector"]
        );
    }
}

#[test]
fn the_exceptions_name_labels_of_the_pods() {
    let rendered = rendered("identity/pod-identity/values-exception.yaml");
    for (deployment, name) in COMPONENTS {
        let exception = find(
            &rendered,
            &format!("AzurePodIdentityException/akv2k8s-{name}-exception"),
        )
        .unwrap();
        let wanted: BTreeMap<String, Value> = serde_json::from_value(exception["spec"]["podLabels"].clone()).unwrap();
        let labels = labels(&rendered, deployment);
        assert!(
            !wanted.is_empty() && wanted.iter().all(|(label, value)| labels[label] == *value),
            "{exception}"
        );
        assert!(labels["aadpodidbinding"].is_null());
    }
}
