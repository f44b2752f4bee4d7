//! Pods that are created all the time: ten a second, which the API server has and nobody runs.

use std::time::Duration;

use akv2k8s_testbed::node::guest;
use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// Pods created in a second.
const RATE: u32 = 10;

/// What a pod asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asks {
    /// It is none of our business.
    Nothing,
    /// A value of a vault, by reference.
    AValue,
}

impl Asks {
    /// A pod that nobody runs.
    pub(crate) fn pod(self) -> anyhow::Result<Pod> {
        let reference = match self {
            Self::Nothing => json!(null),
            Self::AValue => json!([{"name": "DB", "value": "db@azurekeyvault"}]),
        };
        let pod = json!({
            "metadata": {"generateName": "load-"},
            "spec": {
                "schedulerName": "nobody",
                "containers": [{"name": "app", "image": guest::IMAGE, "command": [guest::PATH, "env"], "env": reference}],
            },
        });
        Ok(serde_json::from_value(pod)?)
    }
}

/// A namespace in which pods are created.
pub(crate) struct Load {
    stop: oneshot::Sender<()>,
    outcomes: JoinHandle<Vec<Result<(), String>>>,
}

impl Load {
    /// Such pods from now on.
    pub(crate) fn start(pods: Api<Pod>, asks: Asks) -> anyhow::Result<Self> {
        let pod = asks.pod()?;
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
