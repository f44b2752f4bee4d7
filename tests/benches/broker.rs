//! What the broker costs, measured: the real program (release build) on a core of its own, asked over TLS as wrappers do, with tokens
//! of real pods.
//!
//! ```text
//! cargo bench -p akv2k8s-testbed --bench broker
//! ```
//!
//! Client, API server, etcd and the emulated vault share the other core. Where the machine is busy besides, the processor time of one
//! request says more than the rate does. The Go original's way (a token for the vault to each pod) was not measured.

use std::time::{Duration, Instant};

use akv2k8s_shared::injection::{names, wire};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, SecretOptions};
use akv2k8s_testbed::measure::{head, keep_to_core, milliseconds, processor_time, resident, row};
use akv2k8s_testbed::stack::{MeasuredInjector, Profile};
use akv2k8s_testbed::stage::Stage;
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use hyper::body::Bytes;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::PostParams;
use serde_json::json;

const PODS: usize = 300;
const REFERENCES: usize = 10;
/// Connections at the same time.
const CONNECTIONS: usize = 8;
/// Requests of each pod in the measurement from the cache: its share is 30 at once, of which the cold start takes one.
const EACH: usize = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    keep_to_core(1)?;
    let stage = Stage::new("bench-broker").await?;
    let vault = stage.vault("kv1");
    for number in 0..REFERENCES {
        let name = format!("s{number}");
        vault.set_secret(&name, &format!("value {number}"), SecretOptions::default())?;
        let spec = format!("{{vault: {{name: kv1, object: {{name: {name}, type: secret}}}}}}");
        stage.apply(&name, &spec).await?;
    }
    let injector = MeasuredInjector::start(&stage, Profile::Release, &["taskset", "-c", "0"]).await?;
    let process = injector.id().context("the program runs")?;
    let tokens: Vec<_> = stream::iter(0..PODS)
        .map(|number| token(&stage, number))
        .buffer_unordered(16)
        .try_collect()
        .await?;
    head();
    row(
        "RSS, idle",
        &format!("{:.1} MiB", resident(process)?),
        "25 MiB",
        "30 MiB",
    );
    let all: Vec<_> = (0..REFERENCES)
        .map(|number| format!("s{number}@azurekeyvault"))
        .collect();
    let (all, one) = (json!({"references": all}), json!({"references": &all[..1]}));

    // 20 ms to the vault, as in the measurements of the original's wrapper.
    stage
        .emulator
        .faults()
        .add(Fault::vault("kv1", FaultKind::Latency { milliseconds: 20 }));
    let cold = run(&injector, process, &tokens, &all, 1).await?;
    let reads = stage
        .emulator
        .journal()
        .counts()
        .with_status(Operation::SECRET_GET, 200);
    let what = format!("{PODS} pods × {REFERENCES} references, nothing known, 20 ms to the vault");
    row(&what, &format!("{:.2} s", cold.time.as_secs_f64()), "-", "-");
    row(
        "… reads of the vault",
        &reads.to_string(),
        &REFERENCES.to_string(),
        "3000",
    );

    // What was recognised is forgotten after ten seconds; the values are kept for a minute.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let fresh = run(&injector, process, &tokens, &one, 1).await?;
    row(
        "requests per second, each with a TokenReview and a look at the pod",
        &fresh.rate(),
        "-",
        "-",
    );
    row("… processor time of one", &milliseconds(fresh.each()), "-", "-");

    tokio::time::sleep(Duration::from_secs(11)).await;
    run(&injector, process, &tokens, &one, 1).await?;
    let cached = run(&injector, process, &tokens, &one, EACH).await?;
    row(
        "releases per second from the cache, one core, one value each",
        &cached.rate(),
        "2000",
        "-",
    );
    row("… processor time of one", &milliseconds(cached.each()), "0.5 ms", "-");
    row(
        "RSS, after all that",
        &format!("{:.1} MiB", resident(process)?),
        "25 MiB",
        "-",
    );
    let reads = stage
        .emulator
        .journal()
        .counts()
        .with_status(Operation::SECRET_GET, 200);
    println!("reads of the vault in all: {reads}");
    Ok(())
}

/// What a number of requests took.
struct Cost {
    requests: u32,
    time: Duration,
    processor: Duration,
}

impl Cost {
    fn rate(&self) -> String {
        format!("{:.0}", f64::from(self.requests) / self.time.as_secs_f64())
    }

    fn each(&self) -> Duration {
        self.processor / self.requests
    }
}

/// Each pod asks so many times for these references, on a few connections that are kept.
async fn run(
    injector: &MeasuredInjector,
    process: u32,
    tokens: &[String],
    ask: &serde_json::Value,
    times: usize,
) -> anyhow::Result<Cost> {
    let body = Bytes::from(ask.to_string());
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(injector.broker().await?);
    }
    let shares = tokens.chunks(tokens.len().div_ceil(CONNECTIONS));
    let (before, start) = (processor_time(process)?, Instant::now());
    try_join_all(connections.iter_mut().zip(shares).map(async |(connection, tokens)| {
        for token in std::iter::repeat_n(tokens, times).flatten() {
            let (status, answer) = connection.post(wire::PATH, Some(token), body.clone()).await?;
            ensure!(status == 200, "{status} {}", String::from_utf8_lossy(&answer));
        }
        anyhow::Ok(())
    }))
    .await?;
    Ok(Cost {
        requests: u32::try_from(tokens.len() * times)?,
        time: start.elapsed(),
        processor: processor_time(process)?.saturating_sub(before),
    })
}

/// The token that the kubelet would project into a pod as the webhook leaves it.
async fn token(stage: &Stage, number: usize) -> anyhow::Result<String> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("web-{number}")},
        "spec": {
            "initContainers": [{"name": names::INIT_CONTAINER, "image": "env"}],
            "containers": [{"name": "app", "image": "app", "command": [names::WRAPPER], "args": ["app"]}],
        },
    });
    let pod: Pod = stage
        .api()
        .create(&PostParams::default(), &serde_json::from_value(pod)?)
        .await?;
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![names::TOKEN_AUDIENCE.to_owned()]),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: pod.metadata.name,
                uid: pod.metadata.uid,
            }),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts = stage.api::<ServiceAccount>();
    let answer = accounts
        .create_token_request("default", &PostParams::default(), &request)
        .await?;
    answer
        .status
        .and_then(|status| status.token)
        .context("the answer holds a token")
}
