//! `/readyz` before anything is known, and what is counted when something fails.

use std::sync::{Arc, Mutex, PoisonError};

use akv2k8s_testbed::emulator::{Kind, SecretOptions};
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stage::{PATIENCE, Running, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::watch;

use super::rights::{Bed, EVERYWHERE, apply, readiness};

const RESOURCES: [&str; 3] = ["azurekeyvaultsecrets", "secrets", "configmaps"];

fn spec(object: &str) -> String {
    format!(
        "{{vault: {{name: kv1, object: {{name: {object}, type: secret}}}}, output: {{secret: {{name: db, dataKey: v}}}}}}"
    )
}

/// Holds lists of one resource back until it is opened, and knows which resources are watched.
struct Held {
    resource: &'static str,
    open: watch::Sender<bool>,
    begun: watch::Sender<bool>,
    watched: Mutex<Vec<&'static str>>,
}

impl Held {
    fn new(resource: &'static str) -> Arc<Self> {
        Arc::new(Self {
            resource,
            open: watch::Sender::new(false),
            begun: watch::Sender::new(false),
            watched: Mutex::default(),
        })
    }

    fn is_watched(&self, resource: &str) -> bool {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.contains(&resource)
    }
}

impl Gate for Held {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        async move {
            let path = request.split('?').next().unwrap_or_default();
            let asked = RESOURCES.iter().find(|it| path.ends_with(&format!("/{it}")));
            let (Moment::Arrived, true, Some(resource)) = (moment, request.starts_with("GET "), asked) else {
                return Verdict::Pass;
            };
            if request.contains("watch=true") {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                watched.push(*resource);
            } else if *resource == self.resource {
                self.begun.send_replace(true);
                // The sender lives in `self`: waiting never fails.
                let _ = self.open.subscribe().wait_for(|open| *open).await;
            }
            Verdict::Pass
        }
        .boxed()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_ready_and_does_no_work_before_each_of_the_first_lists_is_complete() -> anyhow::Result<()> {
    let bed = Bed::with(EVERYWHERE).await?;
    for resource in RESOURCES {
        apply(&bed.objects, resource, resource, "Opaque").await?;
        let gate = Held::new(resource);
        let proxy = Proxy::start(&bed.stack.cluster, gate.clone()).await?;
        let launch = bed.stack.controller().arg(&format!("--master={}", proxy.url()));
        let controller = launch.start().await?;
        for other in RESOURCES.into_iter().filter(|it| *it != resource) {
            // What is watched was listed.
            let what = format!("{other} to be watched while the list of {resource} is held back");
            until(&what, PATIENCE, async || gate.is_watched(other).then_some(())).await?;
        }
        let held = async || gate.begun.borrow().then_some(());
        until(&format!("the list of {resource} to be held back"), PATIENCE, held).await?;
        let (status, body) = readiness(&controller).await?;
        ensure!(
            status == 503 && body == "not ready: reading the first lists\n",
            "{resource}: {status} {body}"
        );
        ensure!(bed.secrets.get_opt(resource).await?.is_none(), "{resource}: it works");
        gate.open.send_replace(true);
        bed.wait_for_reason(resource, "Synced").await?;
        let (status, body) = readiness(&controller).await?;
        ensure!(status == 200 && body == "ok\n", "{resource}: {status} {body}");
        controller.stop().await?;
    }
    Ok(())
}

/// The values of `akv2k8s_syncs_failed_total` for `add`, `update` and `sync`.
async fn failed(controller: &Running) -> anyhow::Result<[u64; 3]> {
    let (_, text) = controller.get("/metrics").await?;
    let mut counts = [0; 3];
    let labels = [
        ("add", "AzureKeyVaultSecret"),
        ("update", "AzureKeyVaultSecret"),
        ("sync", "AzureKeyVault"),
    ];
    for (count, (operation, object)) in counts.iter_mut().zip(labels) {
        let series = format!("akv2k8s_syncs_failed_total{{operation=\"{operation}\",object=\"{object}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        *count = line.with_context(|| format!("no {series}"))?.parse()?;
    }
    Ok(counts)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_is_counted_by_its_cause_and_one_that_succeeds_is_not() -> anyhow::Result<()> {
    let stage = Stage::new("counted").await?;
    let vault = stage.vault("kv1");
    vault.set_secret("db", "one", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", &spec("db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    ensure!(failed(&controller).await? == [0, 0, 0]);

    stage
        .apply("other", &spec("absent").replace("name: db", "name: other"))
        .await?;
    stage.wait_for_reason("other", "ObjectNotFound").await?;
    let [add, ..] = failed(&controller).await?;
    ensure!(add == 1, "{add}");

    stage.apply("db", &spec("absent")).await?;
    stage.wait_for_reason("db", "ObjectNotFound").await?;
    // What failed is tried again meanwhile, which counts as an update.
    let [add, update, _] = failed(&controller).await?;
    ensure!(add == 1 && update > 0, "{add} {update}");
    stage.apply("db", &spec("db")).await?;
    stage.wait_for_reason("db", "Synced").await?;

    let [.., before] = failed(&controller).await?;
    vault.disable(Kind::Secret, "db")?;
    stage.wait_for_reason("db", "ObjectDisabled").await?;
    let [add, _, sync] = failed(&controller).await?;
    ensure!(add == 1 && sync > before, "{add} {sync}, before {before}");
    controller.stop().await
}
