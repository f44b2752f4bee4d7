//! A watch that is quicker than the answer to the write it shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::gate::{Gate, Moment, Verdict};
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stack::Stack;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use futures::future::BoxFuture;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// For how long the answer is held back: the watch needs milliseconds.
const HELD: Duration = Duration::from_secs(2);

/// Holds back the answer to the status write of the AKVS `missing`.
#[derive(Default)]
struct Slow {
    is_over: AtomicBool,
}

impl Gate for Slow {
    fn pass<'a>(&'a self, moment: Moment, request: &'a str) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            if moment == Moment::Answered && request.starts_with("PATCH") && request.contains("/missing/status") {
                tokio::time::sleep(HELD).await;
                self.is_over.store(true, Ordering::SeqCst);
            }
            Verdict::Pass
        })
    }
}

async fn apply(objects: &Api<AzureKeyVaultSecret>, name: &str) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name},
        "spec": {
            "vault": {"name": "kv1", "object": {"name": name, "type": "secret"}},
            "output": {"secret": {"name": name, "dataKey": "v"}},
        },
    });
    let apply = PatchParams::apply("test").force();
    objects.patch(name, &apply, &Patch::Apply(object)).await?;
    Ok(())
}

async fn wait_for_reason(objects: &Api<AzureKeyVaultSecret>, name: &str, reason: &str) -> anyhow::Result<()> {
    let what = format!("{name} to become {reason}");
    let told = async || {
        let status = objects.get(name).await.ok()?.status?;
        (condition::get(&status.conditions, condition::READY)?.reason == reason).then_some(())
    };
    Ok(until(&what, PATIENCE, told).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_the_watch_shows_before_the_write_is_answered_does_not_end_its_own_back_off()
-> anyhow::Result<()> {
    let stack = Stack::start().await?;
    stack
        .vault("kv1")
        .set_secret("later", "value", SecretOptions::default())?;
    let gate = Arc::new(Slow::default());
    let proxy = Proxy::start(&stack.cluster, Arc::clone(&gate) as _).await?;
    // No look at the vault disturbs: nothing but the queue asks for anything.
    let launch = stack.controller().arg("--azure-resync-period=86400");
    let _controller = launch.arg(&format!("--master={}", proxy.url())).start().await?;
    let objects = Api::default_namespaced(stack.cluster.client()?);
    apply(&objects, "missing").await?;
    wait_for_reason(&objects, "missing", "ObjectNotFound").await?;
    let over = async || gate.is_over.load(Ordering::SeqCst).then_some(());
    until("the write to be answered", PATIENCE, over).await?;
    // What was asked for meanwhile would have its turn before a later object.
    apply(&objects, "later").await?;
    wait_for_reason(&objects, "later", "Synced").await?;
    let reads = stack
        .emulator
        .journal()
        .counts()
        .with_status(Operation::SECRET_GET, 404);
    ensure!(reads == 1, "{reads} attempts instead of one a minute");
    Ok(())
}
