//! Pods of images that hold one program.

use akv2k8s_testbed::image::{File, Image};
use akv2k8s_testbed::node::guest;
use akv2k8s_testbed::statics;
use serde_json::{Value, json};

use crate::bed::{create, on_node, pod, said};

#[test]
fn a_pod_gets_its_environment_and_arguments_and_its_log_is_read() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("env").await?;
        let mut pod = pod("env", &["env", "a b"]);
        pod["spec"]["containers"][0]["env"] = json!([{"name": "GREETING", "value": "hello\nworld"}]);
        create(node, namespace.name(), &pod).await?;
        let said: Value = serde_json::from_str(&node.log(namespace.name(), "env").await?)?;
        assert_eq!(said["env"]["GREETING"], "hello\nworld");
        assert_eq!(said["args"], json!([guest::PATH, "env", "a b"]));
        assert_eq!(said["pid"], 1);
        Ok(())
    })
}

#[test]
fn the_exit_code_is_the_programs() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("exit").await?;
        create(node, namespace.name(), &pod("exit", &["exit", "42"])).await?;
        assert_eq!(node.ended(namespace.name(), "exit").await?, "Failed");
        let path = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
        let arguments = ["--namespace", namespace.name(), "get", "pod", "exit", "--output", path];
        assert_eq!(node.cluster.kubectl(&arguments).await?.success()?, "42");
        Ok(())
    })
}

#[test]
fn a_deleted_pod_is_told_by_sigterm_and_commands_run_beside_it() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("term").await?;
        let name = namespace.name();
        let mut pod = pod("term", &["wait", "3"]);
        // Kept after its end, so that its last words can be read.
        pod["metadata"]["finalizers"] = json!(["akv2k8s.test/keep"]);
        create(node, name, &pod).await?;
        node.running(name, "term").await?;
        assert_eq!(
            node.exec(name, "term", &[guest::PATH, "cat", "/proc/1/comm"]).await?,
            "guest\n"
        );
        let delete = ["--namespace", name, "delete", "pod", "term", "--wait=false"];
        node.cluster.kubectl(&delete).await?.success()?;
        assert_eq!(node.ended(name, "term").await?, "Failed", "code 3, not killed");
        assert_eq!(node.log_now(name, "term").await?, "ready\nSIGTERM\n");
        let free = ["--namespace", name, "patch", "pod", "term", "--type=json", "--patch"];
        let patch = r#"[{"op": "remove", "path": "/metadata/finalizers"}]"#;
        node.cluster.kubectl(&[&free[..], &[patch]].concat()).await?.success()?;
        Ok(())
    })
}

#[test]
fn a_pod_reads_a_token_for_an_audience_of_its_own() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("token").await?;
        let mut pod = pod("token", &["cat", "/tokens/broker"]);
        let token =
            json!({"serviceAccountToken": {"path": "broker", "audience": "akv2k8s-broker", "expirationSeconds": 600}});
        pod["spec"]["automountServiceAccountToken"] = false.into();
        pod["spec"]["volumes"] = json!([{"name": "tokens", "projected": {"sources": [token]}}]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "tokens", "mountPath": "/tokens"}]);
        create(node, namespace.name(), &pod).await?;
        let token = node.log(namespace.name(), "token").await?;
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": ["akv2k8s-broker"]},
        });
        let arguments = ["create", "-f", "-", "--output", "json"];
        let review = node
            .cluster
            .kubectl_with_input(&arguments, &review.to_string())
            .await?
            .success()?;
        let status = &serde_json::from_str::<Value>(&review)?["status"];
        assert_eq!(status["authenticated"], true, "{status}");
        assert_eq!(
            status["user"]["username"],
            format!("system:serviceaccount:{namespace}:default")
        );
        assert_eq!(
            status["user"]["extra"]["authentication.kubernetes.io/pod-name"],
            json!(["token"])
        );
        Ok(())
    })
}

#[test]
fn a_pod_that_keeps_the_restricted_rules_runs_where_they_are_enforced_and_others_are_refused() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("restricted").await?;
        let name = namespace.name();
        let label = [
            "label",
            "namespace",
            name,
            "pod-security.kubernetes.io/enforce=restricted",
        ];
        node.cluster.kubectl(&label).await?.success()?;
        let refused = create(node, name, &pod("careless", &["env"]))
            .await
            .expect_err("breaks the rules");
        assert!(refused.to_string().contains("violates PodSecurity"), "{refused}");

        let mut pod = pod("careful", &["env"]);
        pod["spec"]["containers"][0]["securityContext"] = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 12345,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        create(node, name, &pod).await?;
        assert_eq!(node.ended(name, "careful").await?, "Succeeded");
        Ok(())
    })
}

#[test]
fn an_init_container_hands_a_file_over_in_memory() -> anyhow::Result<()> {
    on_node(async |node| {
        let program = std::fs::read(statics::guest()?)?;
        let image = Image::scratch([
            File::program("/other/name", program),
            File::data("/etc/note", b"from the image".to_vec()),
        ])
        .entrypoint(["/other/name"])
        .cmd(["cat", "/etc/note"]);
        node.add_image("localhost/other:1", &image).await?;
        let namespace = node.cluster.namespace("image").await?;
        let mut pod = pod("image", &[]);
        pod["spec"]["containers"][0] = json!({"name": "other", "image": "localhost/other:1"});
        create(node, namespace.name(), &pod).await?;
        assert_eq!(node.log(namespace.name(), "image").await?, "from the image");
        Ok(())
    })
}

#[test]
fn a_deployment_of_several_pods_becomes_available() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("deployment").await?;
        let template = pod("web", &["wait"]);
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 3,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": template["spec"]["containers"]},
                },
            },
        });
        create(node, namespace.name(), &deployment).await?;
        let wait = [
            "--namespace",
            namespace.name(),
            "wait",
            "--for=condition=Available",
            "deployment/web",
            "--timeout=180s",
        ];
        node.cluster.kubectl(&wait).await?.success()?;
        Ok(())
    })
}

#[test]
fn a_pod_that_cannot_start_is_explained() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("unknown").await?;
        let failed = said(node, namespace.name(), "unknown", &["no-such-thing"])
            .await
            .expect_err("the guest refuses");
        let text = format!("{failed:#}");
        assert!(
            text.contains("it Failed") && text.contains("no such thing to do"),
            "{text}"
        );
        Ok(())
    })
}
