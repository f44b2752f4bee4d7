//! Pods that are created all the time: ten a second, which the API server has and nobody runs.

use std::time::Duration;

use akv2k8s_testbed::node::guest;
use anyhow::ensure;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::world::World;

/// Pods created in a second.
const RATE: u32 = 10;

/// A namespace in which pods are created.
pub(crate) struct Load {
    stop: oneshot::Sender<()>,
    outcomes: JoinHandle<Vec<Result<(), String>>>,
}

impl Load {
    /// `label`: value of the namespace's injection label; the pods ask for a value then.
    pub(crate) async fn start(world: &World, namespace: &str, label: Option<&str>) -> anyhow::Result<Self> {
        world.namespace(namespace, label).await?;
        let reference = label.map(|_| json!([{"name": "DB", "value": "db@azurekeyvault"}]));
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "load-"},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{"name": "app", "image": guest::IMAGE, "command": [guest::PATH, "env"], "env": reference}],
            },
        });
        let pod: DynamicObject = serde_json::from_value(pod)?;
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        let pods: Api<DynamicObject> = Api::namespaced_with(world.node.cluster.client()?, namespace, &resource);
        let (stop, mut stopped) = oneshot::channel();
        let outcomes = tokio::spawn(async move {
            let mut creations = JoinSet::new();
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / RATE);
            loop {
                tokio::select! {
                    _ = &mut stopped => break,
                    _ = ticks.tick() => {
                        let (pods, pod) = (pods.clone(), pod.clone());
                        creations.spawn(async move {
                            let answer = pods.create(&PostParams::default(), &pod).await;
                            answer.map(drop).map_err(|error| error.to_string())
                        });
                    }
                }
            }
            creations.join_all().await
        });
        Ok(Self { stop, outcomes })
    }

    /// None was rejected.
    pub(crate) async fn end(self, what: &str) -> anyhow::Result<()> {
        // It ends with its receiver.
        let _ = self.stop.send(());
        let outcomes = self.outcomes.await?;
        let rejected: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
        println!("{what}: {} created, {} rejected", outcomes.len(), rejected.len());
        ensure!(rejected.is_empty() && !outcomes.is_empty(), "{:?}", rejected.first());
        Ok(())
    }
}
