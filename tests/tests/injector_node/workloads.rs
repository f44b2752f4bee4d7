//! Every kind of workload.

use akv2k8s_testbed::installation::names_of;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use serde_json::{Value, json};

use crate::bed::{PATIENCE, Team, container, in_world, pod, staying};

/// What is in the vault.
const VALUE: &str = "value-of-every-kind";

/// The template of a workload's pods, labelled with the workload's name.
fn template(name: &str, container: &Value, restart_policy: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": restart_policy, "containers": [container]},
    })
}

fn workload(group: &str, kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": group, "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Workloads that keep their pods running, and those that run them to their end.
fn workloads() -> Vec<(&'static str, Value)> {
    let live = |name: &str| template(name, &staying("app"), "Always");
    let once = |name: &str| template(name, &container("app"), "Never");
    let selector = |name: &str| json!({"matchLabels": {"app": name}});
    let spec = |name: &str| json!({"replicas": 2, "selector": selector(name), "template": live(name)});
    let mut set = spec("set");
    set["serviceName"] = "set".into();
    let daemons = json!({"selector": selector("daemons"), "template": live("daemons")});
    let cron = json!({"schedule": "* * * * *", "jobTemplate": {"spec": {"template": once("cron")}}});
    let mut generated = pod("generated", &json!([container("app")]));
    generated["metadata"] = json!({"generateName": "generated-", "labels": {"app": "generated"}});
    vec![
        (
            "deployment",
            workload("apps/v1", "Deployment", "deployment", &spec("deployment")),
        ),
        ("set", workload("apps/v1", "StatefulSet", "set", &set)),
        ("daemons", workload("apps/v1", "DaemonSet", "daemons", &daemons)),
        (
            "job",
            workload("batch/v1", "Job", "job", &json!({"template": once("job")})),
        ),
        ("cron", workload("batch/v1", "CronJob", "cron", &cron)),
        ("bare", pod("bare", &json!([container("app")]))),
        ("generated", generated),
    ]
}

#[test]
fn pods_of_every_kind_of_workload_start_with_their_values() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "kinds", VALUE).await?;
        let workloads = workloads();
        for (_, document) in &workloads {
            team.create(document).await?;
        }
        for (name, _) in &workloads {
            let pods = async || {
                let label = format!("app={name}");
                let pods = names_of(&world.node.cluster, team.namespace.name(), &label)
                    .await
                    .ok()?;
                pods.into_iter().next()
            };
            let pod = until(&format!("a pod of {name}"), PATIENCE, pods).await?;
            let variables = team.printed(&pod, "app").await.with_context(|| (*name).to_owned())?;
            assert_eq!(variables["DB"], VALUE, "{name}");
            assert!(
                !variables.keys().any(|it| it.starts_with("ENV_INJECTOR_")),
                "{variables:?}"
            );
        }
        for available in ["deployment/deployment", "statefulset/set", "daemonset/daemons"] {
            team.kubectl(&["rollout", "status", available, "--timeout=240s"])
                .await?;
        }
        for complete in ["job/job"] {
            team.kubectl(&["wait", complete, "--for=condition=Complete", "--timeout=240s"])
                .await?;
        }
        team.kubectl(&[
            "delete",
            "cronjob/cron",
            "deployment/deployment",
            "statefulset/set",
            "daemonset/daemons",
        ])
        .await?;
        Ok(())
    })
}

#[test]
fn a_rolling_update_of_a_deployment_brings_the_new_value() -> anyhow::Result<()> {
    in_world(async |world| {
        let team = Team::new(world, "update", "first").await?;
        let spec = json!({
            "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template("web", &staying("app"), "Always"),
        });
        team.create(&workload("apps/v1", "Deployment", "web", &spec)).await?;
        team.kubectl(&["rollout", "status", "deployment/web", "--timeout=240s"])
            .await?;
        team.secret("other", "second").await?;
        team.kubectl(&["set", "env", "deployment/web", "DB=other@azurekeyvault"])
            .await?;
        team.kubectl(&["rollout", "status", "deployment/web", "--timeout=240s"])
            .await?;
        let started = async || {
            let pods = names_of(&world.node.cluster, team.namespace.name(), "app=web")
                .await
                .ok()?;
            for pod in pods {
                let log = team.kubectl(&["logs", &pod]).await.ok()?;
                if log.contains("\"DB\":\"second\"") {
                    return Some(());
                }
            }
            None
        };
        until("a pod with the new value", PATIENCE, started).await?;
        Ok(())
    })
}
