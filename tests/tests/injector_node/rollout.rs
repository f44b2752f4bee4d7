//! The installation is updated, away, or has new certificates, and pods do not mind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_envinjector::pki::{Options, Pki};
use akv2k8s_shared::injection::names;
use akv2k8s_testbed::installation::names_of;
use akv2k8s_testbed::stack::{INJECTOR, NAMESPACE};
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bed::{PATIENCE, Team, World, alone, container, pod, staying};

/// Pods created in a second.
const RATE: u32 = 50;
/// How many are created at least.
const LEAST: usize = 1000;
const DEPLOYMENT: &str = "deployment/akv2k8s-envinjector";

async fn kubectl(world: &World, arguments: &[&str]) -> anyhow::Result<String> {
    let line = [&["--namespace", NAMESPACE], arguments].concat();
    Ok(world.node.cluster.kubectl(&line).await?.success()?)
}

async fn replicas(world: &World) -> anyhow::Result<Vec<String>> {
    let label = format!("app.kubernetes.io/name={INJECTOR}");
    names_of(&world.node.cluster, NAMESPACE, &label).await
}

/// Waits until the update is complete and all `former` replicas have gone, their time to drain included.
async fn replaced(world: &World, former: &[String]) -> anyhow::Result<()> {
    world.rolled_out().await?;
    let gone = async || {
        let now = replicas(world).await.ok()?;
        now.iter().all(|name| !former.contains(name)).then_some(())
    };
    Ok(until("the former replicas to go", PATIENCE, gone).await?)
}

/// Kind and name of everything in the team's namespace but events.
async fn everything(team: &Team) -> anyhow::Result<BTreeSet<String>> {
    let kinds = team
        .kubectl(&["api-resources", "--namespaced", "--verbs=list", "--output=name"])
        .await?;
    let kinds: Vec<_> = kinds.lines().filter(|it| !it.starts_with("events")).collect();
    let found = team.kubectl(&["get", &kinds.join(","), "--output=name"]).await?;
    Ok(found.lines().map(str::to_owned).collect())
}

#[test]
fn while_the_deployment_is_updated_every_pod_is_created_and_prepared_and_leaves_nothing_behind() -> anyhow::Result<()> {
    alone(async |world| {
        let team = Team::new(world, "rollout", "s3cret").await?;
        let before = until("the namespace's own objects", PATIENCE, async || {
            let all = everything(&team).await.ok()?;
            let is_complete = ["configmap/kube-root-ca.crt", "serviceaccount/default"]
                .iter()
                .all(|it| all.contains(*it));
            is_complete.then_some(all)
        })
        .await?;
        let former = replicas(world).await?;
        kubectl(world, &["rollout", "restart", DEPLOYMENT]).await?;

        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let client = world.node.cluster.client()?;
        let pods: Api<DynamicObject> = Api::namespaced_with(client, team.namespace.name(), &resource);
        let mut pod = pod("", &json!([container("app")]));
        pod["metadata"] = json!({"generateName": "load-"});
        // The API server has them; nobody runs them.
        pod["spec"]["schedulerName"] = "nobody".into();
        let pod: Arc<DynamicObject> = Arc::new(serde_json::from_value(pod)?);

        let (start, mut done, mut creations) = (Instant::now(), false, JoinSet::new());
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
        let update = replaced(world, &former);
        tokio::pin!(update);
        while !done || creations.len() < LEAST {
            tokio::select! {
                result = &mut update, if !done => { result?; done = true; }
                _ = ticks.tick() => {
                    let (pods, pod) = (pods.clone(), Arc::clone(&pod));
                    creations.spawn(async move {
                        let answer = pods.create(&PostParams::default(), &pod).await;
                        answer.map(|it| it.data["spec"]["containers"][0]["command"][0] == names::WRAPPER)
                    });
                }
            }
        }
        let (count, seconds) = (creations.len(), start.elapsed().as_secs_f64());
        let outcomes = creations.join_all().await;
        let rejected: Vec<_> = outcomes
            .iter()
            .filter_map(|it| it.as_ref().err())
            .map(ToString::to_string)
            .collect();
        let unprepared = outcomes.iter().filter(|it| matches!(it, Ok(false))).count();
        println!(
            "{count} pods created in {seconds:.1} s: {} rejected, {unprepared} not prepared",
            rejected.len()
        );
        assert_eq!((rejected, unprepared), (Vec::new(), 0));
        team.kubectl(&["delete", "pods", "--all", "--wait=false"]).await?;
        let mut left = BTreeSet::new();
        let gone = until("all that the pods brought to go", PATIENCE, async || {
            left = everything(&team).await.ok()?;
            (left == before).then_some(())
        });
        gone.await.with_context(|| format!("{left:?}, before {before:?}"))
    })
}

#[test]
fn a_pod_that_starts_while_the_broker_is_away_waits_and_starts_when_it_is_back() -> anyhow::Result<()> {
    alone(async |world| {
        let team = Team::new(world, "away", "s3cret").await?;
        let mut app = staying("app");
        app["env"]
            .as_array_mut()
            .expect("it has some")
            .push(json!({"name": "ENV_INJECTOR_START_BUDGET", "value": "900"}));
        let mut held = pod("held", &json!([app]));
        held["spec"]["schedulingGates"] = json!([{"name": "akv2k8s.test/held"}]);
        team.create(&held).await?;
        let former = replicas(world).await?;
        kubectl(world, &["scale", DEPLOYMENT, "--replicas=0"]).await?;
        let gone = async || replicas(world).await.ok()?.is_empty().then_some(());
        until("all replicas to go", PATIENCE, gone).await?;

        let refused = team.create(&pod("asks", &json!([container("app")]))).await;
        let refused = format!("{:#}", refused.expect_err("nobody can prepare it"));
        assert!(refused.contains("pods.env-injector.admission.spv.no"), "{refused}");
        let mut indifferent = container("app");
        indifferent["env"] = json!([]);
        team.variables_of(&pod("indifferent", &json!([indifferent]))).await?;

        let free = r#"[{"op": "remove", "path": "/spec/schedulingGates"}]"#;
        team.kubectl(&["patch", "pod", "held", "--type=json", "--patch", free])
            .await?;
        world.node.running(team.namespace.name(), "held").await?;
        assert_eq!(
            world.node.log_now(team.namespace.name(), "held").await?,
            "",
            "it waits and says nothing"
        );
        kubectl(world, &["scale", DEPLOYMENT, "--replicas=2"]).await?;
        replaced(world, &former).await?;
        assert_eq!(team.printed("held", "app").await?["DB"], "s3cret");
        let held = team.get("pod/held").await?;
        assert_eq!(held["status"]["containerStatuses"][0]["restartCount"], 0);
        Ok(())
    })
}

/// How often a replica has said that it serves with another certificate.
async fn changes(world: &World, replica: &str) -> usize {
    let log = kubectl(world, &["logs", replica]).await.unwrap_or_default();
    log.matches("serving with this certificate from now on").count()
}

/// Waits until every replica serves with another certificate than when `before` was counted.
async fn changed(world: &World, before: &[(String, usize)]) -> anyhow::Result<()> {
    for (replica, count) in before {
        let more = async || (changes(world, replica).await > *count).then_some(());
        until("another certificate to be served", PATIENCE, more).await?;
    }
    Ok(())
}

async fn counted(world: &World) -> anyhow::Result<Vec<(String, usize)>> {
    let mut counts = Vec::new();
    for replica in replicas(world).await? {
        let count = changes(world, &replica).await;
        counts.push((replica, count));
    }
    Ok(counts)
}

/// Ends the container of a pod, and waits until it was started again and has printed its environment.
async fn restarted(team: &Team, pod: &str, times: u64) -> anyhow::Result<()> {
    team.world
        .node
        .signal(team.namespace.name(), pod, "app", "SIGTERM")
        .await?;
    let again = async || {
        let pod: Value = team.get(&format!("pod/{pod}")).await.ok()?;
        (pod["status"]["containerStatuses"][0]["restartCount"] == times).then_some(())
    };
    until("the container to be started again", PATIENCE, again).await?;
    assert_eq!(team.printed(pod, "app").await?["DB"], "s3cret");
    Ok(())
}

#[test]
fn containers_of_running_pods_restart_after_certificate_and_authority_have_changed() -> anyhow::Result<()> {
    alone(async |world| {
        let team = Team::new(world, "rotation", "s3cret").await?;
        let mut old = pod("old", &json!([staying("app")]));
        old["spec"]["restartPolicy"] = "Always".into();
        team.create(&old).await?;
        assert_eq!(team.printed("old", "app").await?["DB"], "s3cret");

        // A certificate that is missing is made like one that has grown old.
        let before = counted(world).await?;
        let remove =
            r#"[{"op": "remove", "path": "/data/serving.crt"}, {"op": "remove", "path": "/data/serving.key"}]"#;
        kubectl(
            world,
            &[
                "patch",
                "secret",
                "akv2k8s-envinjector-pki",
                "--type=json",
                "--patch",
                remove,
            ],
        )
        .await?;
        changed(world, &before).await?;
        restarted(&team, "old", 1).await?;

        // A replica whose clock is nearly five years ahead: the next authority signs from now on, for all.
        let before = counted(world).await?;
        let options = Options {
            namespace: NAMESPACE.to_owned(),
            secret: "akv2k8s-envinjector-pki".to_owned(),
            names: ["svc", "svc.cluster.local"]
                .map(|domain| format!("{INJECTOR}.{NAMESPACE}.{domain}"))
                .into(),
            webhook_configuration: None,
            publishes_ca: true,
            clock: Arc::new(|| Timestamp::now() + SignedDuration::from_hours(24 * (5 * 365 - 179))),
        };
        let old_bundle = team.get("pod/old").await?.to_string();
        let pki = Pki::open(world.node.cluster.client()?, options)
            .await
            .map_err(|problem| *problem)?;
        changed(world, &before).await?;
        let authorities = pki.bundle();
        let next = authorities
            .split_inclusive("-----END CERTIFICATE-----\n")
            .nth(1)
            .expect("there are two");
        let next = next.lines().nth(1).expect("it has lines");
        assert!(
            !old_bundle.contains(next),
            "the pod knows an authority that was made after it"
        );
        restarted(&team, "old", 2).await?;

        let new = pod("new", &json!([container("app")]));
        assert_eq!(team.variables_of(&new).await?["DB"], "s3cret");
        let new_bundle = team.get("pod/new").await?.to_string();
        assert!(new_bundle.contains(next), "a new pod trusts the next authority");
        Ok(())
    })
}
