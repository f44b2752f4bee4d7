//! What the pods may do on their nodes, and what the policies say: by rule on the manifests, and by a real API server's word.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::helm::{find, objects};
use akv2k8s_testbed::wait::until;
use serde_json::{Value, json};

use crate::values::{EVERYTHING, all};
use crate::{PATIENCE, helm, learn_of_others};

const DEPLOYMENTS: [&str; 2] = ["Deployment/akv2k8s-controller", "Deployment/akv2k8s-envinjector"];

fn pods(objects: &[Value]) -> Vec<&Value> {
    let pods: Vec<_> = DEPLOYMENTS
        .iter()
        .filter_map(|id| find(objects, id))
        .map(|it| &it["spec"]["template"])
        .collect();
    assert!(!pods.is_empty());
    pods
}

/// What the restricted pod security standard asks of a pod, and a read-only root.
fn is_restricted(pod: &Value) -> Result<(), String> {
    let spec = &pod["spec"];
    let context = &spec["securityContext"];
    let fail = |what: &str| Err(format!("{what}: {spec}"));
    for host in ["hostNetwork", "hostPID", "hostIPC"] {
        if !spec[host].is_null() {
            return fail(host);
        }
    }
    if context["runAsNonRoot"] != true || context["runAsUser"].as_u64().is_none_or(|user| user == 0) {
        return fail("root");
    }
    if context["seccompProfile"]["type"] != "RuntimeDefault" {
        return fail("seccomp");
    }
    let volumes = spec["volumes"].as_array().map_or(&[][..], Vec::as_slice);
    if volumes.iter().any(|it| !it["hostPath"].is_null()) {
        return fail("host path");
    }
    for container in spec["containers"].as_array().unwrap() {
        let own = &container["securityContext"];
        if own["allowPrivilegeEscalation"] != false
            || own["capabilities"] != json!({"drop": ["ALL"]})
            || own["readOnlyRootFilesystem"] != true
            || !own["privileged"].is_null()
        {
            return fail("container");
        }
    }
    Ok(())
}

/// Values with which no file of the host is needed.
const WITHOUT_HOST: &[&str] = &[
    EVERYTHING,
    "global: {keyVaultAuth: environment}",
    "global: {userDefinedMSI: {enabled: true, msi: a}}",
    "workloadIdentity: {enabled: true, clientId: a}",
    "{profile: hardened, global: {keyVaultAuth: environment-azidentity}}",
];

#[test]
fn all_pods_are_restricted_where_no_file_of_the_host_is_read() {
    for values in WITHOUT_HOST {
        for pod in pods(&helm().objects(values).unwrap()) {
            is_restricted(pod).unwrap_or_else(|error| panic!("{values}: {error}"));
        }
    }
}

#[test]
fn by_default_the_pods_are_root_for_one_file_of_the_host_and_restricted_in_all_else() {
    let objects = helm().objects("").unwrap();
    for pod in pods(&objects) {
        assert!(is_restricted(pod).is_err());
        let mut pod = pod.clone();
        let volumes = pod["spec"]["volumes"].take();
        let file = json!({"path": "/etc/kubernetes/azure.json", "type": "File"});
        assert_eq!(volumes, json!([{"name": "azure-config", "hostPath": file}]));
        let mounts = &pod["spec"]["containers"][0]["volumeMounts"];
        assert_eq!(
            *mounts,
            json!([{"name": "azure-config", "mountPath": "/etc/kubernetes/azure.json", "readOnly": true}])
        );
        let context = &mut pod["spec"]["securityContext"];
        assert_eq!(
            (&context["runAsUser"], &context["runAsNonRoot"]),
            (&json!(0), &json!(false))
        );
        context["runAsUser"] = json!(1);
        context["runAsNonRoot"] = json!(true);
        is_restricted(&pod).unwrap();
    }
}

#[test]
fn policies_and_webhook_are_those_that_the_tests_of_the_programs_prove() {
    let values = "{serviceAccountIdentities: {enabled: true}, env_injector: {failurePolicy: Ignore}}";
    let rendered = helm().objects(values).unwrap();
    let proven = |text: &str| objects(text).unwrap();
    let isolation = proven(include_str!("../../../examples/isolation/01-cluster.yaml"));
    for name in ["akv2k8s-service-account-identities", "akv2k8s-no-token-secrets"] {
        for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
            let id = format!("{kind}/{name}");
            let (ours, theirs) = (find(&rendered, &id).unwrap(), find(&isolation, &id).unwrap());
            assert_eq!(ours["spec"], theirs["spec"], "{id}");
        }
    }
    let outputs = proven(include_str!("../../../examples/install/controller-policy.yaml"));
    for kind in ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"] {
        let id = format!("{kind}/akv2k8s-controller-outputs");
        let (ours, theirs) = (find(&rendered, &id).unwrap(), find(&outputs, &id).unwrap());
        assert_eq!(ours["spec"], theirs["spec"], "{id}");
    }
    let guard = proven(include_str!("../../../examples/injector/guard.yaml"));
    let id = "ValidatingAdmissionPolicy/akv2k8s-envinjector-guard";
    let (ours, theirs) = (
        &find(&rendered, id).unwrap()["spec"],
        &find(&guard, id).unwrap()["spec"],
    );
    for part in ["variables", "validations", "failurePolicy"] {
        assert_eq!(ours[part], theirs[part], "{part}");
    }
    assert_eq!(
        ours["matchConstraints"]["resourceRules"],
        theirs["matchConstraints"]["resourceRules"]
    );
    let id = "MutatingWebhookConfiguration/akv2k8s-envinjector";
    let webhook = proven(include_str!("../../../examples/injector/webhook.yaml"));
    let of = |objects: &[Value]| find(objects, id).unwrap()["webhooks"][0].clone();
    let (mut ours, mut theirs) = (of(&rendered), of(&webhook));
    // The guard knows the same namespaces as the webhook; more than the example leaves out, and none more.
    let guarded = &find(&rendered, "ValidatingAdmissionPolicy/akv2k8s-envinjector-guard").unwrap()["spec"];
    assert_eq!(
        ours["namespaceSelector"],
        guarded["matchConstraints"]["namespaceSelector"]
    );
    assert_eq!(
        ours["namespaceSelector"]["matchLabels"],
        theirs["namespaceSelector"]["matchLabels"]
    );
    for part in ["namespaceSelector", "failurePolicy"] {
        ours[part] = Value::Null;
        theirs[part] = Value::Null;
    }
    assert_eq!(ours, theirs);
    assert!(ours["clientConfig"]["caBundle"].is_null() && ours["clientConfig"]["service"]["path"].is_null());
}

/// A namespace that enforces `restricted`, with the ServiceAccounts that the pods name.
async fn restricted(cluster: &ControlPlane) -> anyhow::Result<String> {
    let namespace = cluster.namespace("restricted").await?.name().to_owned();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    cluster
        .kubectl(&["label", "namespace", &namespace, label])
        .await?
        .success()?;
    for account in ["akv2k8s-controller", "akv2k8s-envinjector"] {
        let create = ["--namespace", &namespace, "create", "serviceaccount", account];
        cluster.kubectl(&create).await?.success()?;
    }
    Ok(namespace)
}

/// The API server's word on the pod of a template.
async fn admitted(cluster: &ControlPlane, namespace: &str, template: &Value) -> anyhow::Result<Result<String, String>> {
    let mut pod = template.clone();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("probe");
    let create = ["--namespace", namespace, "create", "--dry-run=server", "-f", "-"];
    let output = cluster.kubectl_with_input(&create, &pod.to_string()).await?;
    Ok(output.success().map_err(|error| error.to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_the_pods_into_a_restricted_namespace_but_for_those_that_read_the_host()
-> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let namespace = restricted(cluster).await?;
    let host = pods(&helm().objects("")?).into_iter().cloned().collect::<Vec<_>>();
    // The label takes effect a moment after it was written.
    until("the standard to be enforced", PATIENCE, async || {
        admitted(cluster, &namespace, &host[0]).await.ok()?.err()
    })
    .await?;
    for pod in &host {
        let refusal = admitted(cluster, &namespace, pod).await?.unwrap_err();
        for words in ["violates PodSecurity \"restricted:latest\"", "hostPath", "runAsNonRoot"] {
            assert!(refusal.contains(words), "{refusal}");
        }
    }
    for values in WITHOUT_HOST {
        for pod in pods(&helm().objects(values)?) {
            let answer = admitted(cluster, &namespace, pod).await?;
            assert!(answer.is_ok(), "{values}: {answer:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_object_without_a_warning() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    for namespace in ["akv2k8s", "shop", "bank"] {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        cluster.kubectl_apply(&manifest.to_string()).await?;
    }
    learn_of_others(cluster).await?;
    for values in all() {
        let objects = helm().objects(values)?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let line = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--warnings-as-errors",
            "-f",
            "-",
        ];
        cluster.kubectl_with_input(&line, &list.to_string()).await?.success()?;
    }
    Ok(())
}
