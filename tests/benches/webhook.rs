//! What the webhook costs, measured: the real program (release build) on a core of its own, asked over TLS as the API server does.
//!
//! ```text
//! cargo bench -p akv2k8s-testbed --bench webhook
//! ```
//!
//! Client, API server and etcd share the other core. Where the machine is busy besides, the processor time of one review says more
//! than the rate does.

use std::time::{Duration, Instant};

use akv2k8s_testbed::measure::{head, keep_to_core, milliseconds, percentile, processor_time, resident, row};
use akv2k8s_testbed::stack::{Connection, MeasuredInjector, Profile};
use akv2k8s_testbed::stage::Stage;
use anyhow::{Context, ensure};
use futures::future::try_join_all;
use hyper::body::Bytes;
use serde_json::json;

/// Reviews one after the other.
const SERIAL: usize = 2000;
/// Connections at the same time, and reviews on each.
const PARALLEL: (usize, usize) = (8, 1000);
/// The serial part is repeated; the best is shown, for machines with other work.
const ROUNDS: usize = 5;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    keep_to_core(1)?;
    let stage = Stage::new("bench-webhook").await?;
    stage
        .apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}}")
        .await?;
    let injector = MeasuredInjector::start(&stage, Profile::Release, &["taskset", "-c", "0"]).await?;
    let process = injector.id().context("the program runs")?;
    head();
    row(
        "RSS, idle",
        &format!("{:.1} MiB", resident(process)?),
        "25 MiB",
        "30 MiB",
    );

    for (what, value, injects, original) in [
        ("one value to inject", "db@azurekeyvault", true, "107 / 255 ms"),
        ("nothing to inject", "plain", false, "56 / 150 ms"),
    ] {
        let review = review(stage.namespace.name(), value);
        let mut best: Option<(Duration, Duration)> = None;
        for _ in 0..ROUNDS {
            let (median, slow) = serial(&mut injector.webhook().await?, &review, injects).await?;
            best = Some(best.map_or((median, slow), |(a, b)| (a.min(median), b.min(slow))));
        }
        let (median, slow) = best.unwrap_or_default();
        let here = format!("{:.2} / {}", median.as_secs_f64() * 1000.0, milliseconds(slow));
        row(
            &format!("{what}: p50 / p99 of {SERIAL}, best of {ROUNDS}"),
            &here,
            "1 / 5 ms",
            original,
        );
    }
    throughput(&injector, process, stage.namespace.name()).await?;
    row(
        "RSS, after all that",
        &format!("{:.1} MiB", resident(process)?),
        "25 MiB",
        "-",
    );
    Ok(())
}

/// A review of a pod that names a program and has one variable of this value.
fn review(namespace: &str, value: &str) -> Bytes {
    let container = json!({
        "name": "app", "image": "example.org/app:1", "command": ["/app"], "args": ["--serve"],
        "env": [{"name": "DB", "value": value}, {"name": "LOG", "value": "info"}],
        "resources": {"limits": {"memory": "64Mi"}},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "web-6d5f-", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {"containers": [container], "serviceAccountName": "default", "restartPolicy": "Always"},
    });
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "operation": "CREATE", "namespace": namespace,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
            "dryRun": false, "object": pod,
        },
    });
    Bytes::from(review.to_string())
}

async fn ask(connection: &mut Connection, review: &Bytes, injects: bool) -> anyhow::Result<()> {
    let (status, answer) = connection.post("/pods", None, review.clone()).await?;
    let text = String::from_utf8_lossy(&answer);
    let has_patch = text.contains("\"patch\"");
    ensure!(
        status == 200 && text.contains("\"allowed\":true") && has_patch == injects,
        "{status} {text}"
    );
    Ok(())
}

/// Median and 99th percentile of reviews one after the other on a kept connection.
async fn serial(connection: &mut Connection, review: &Bytes, injects: bool) -> anyhow::Result<(Duration, Duration)> {
    let mut times = Vec::with_capacity(SERIAL);
    for _ in 0..SERIAL {
        let start = Instant::now();
        ask(connection, review, injects).await?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok((percentile(&times, 50), percentile(&times, 99)))
}

async fn throughput(injector: &MeasuredInjector, process: u32, namespace: &str) -> anyhow::Result<()> {
    let review = review(namespace, "db@azurekeyvault");
    let (connections, each) = PARALLEL;
    let count = u32::try_from(connections * each)?;
    let (mut rate, mut cost) = (0.0_f64, Duration::MAX);
    for _ in 0..ROUNDS {
        let (before, start) = (processor_time(process)?, Instant::now());
        try_join_all((0..connections).map(async |_| {
            let mut connection = injector.webhook().await?;
            for _ in 0..each {
                ask(&mut connection, &review, true).await?;
            }
            anyhow::Ok(())
        }))
        .await?;
        rate = rate.max(f64::from(count) / start.elapsed().as_secs_f64());
        cost = cost.min(processor_time(process)?.saturating_sub(before) / count);
    }
    let what = format!("reviews per second, one core, {connections} connections, best of {ROUNDS}");
    row(&what, &format!("{rate:.0}"), "1000", "9");
    row("processor time of one review", &milliseconds(cost), "-", "106 ms");
    Ok(())
}
