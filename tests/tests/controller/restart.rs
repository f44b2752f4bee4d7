//! What nothing costs: idle polls, restarts.

use std::time::Duration;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::Stage;
use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Resource, ResourceExt};

const OBJECTS: usize = 60;
const WAIT: Duration = Duration::from_mins(1);

/// Name and resource version of everything of one type.
async fn versions<K>(stage: &Stage) -> anyhow::Result<Vec<(String, Option<String>)>>
where
    K: Resource<Scope = k8s_openapi::NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let list = stage.api::<K>().list(&ListParams::default()).await?;
    Ok(list
        .items
        .iter()
        .map(|it| (it.name_any(), it.resource_version()))
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_polls_and_restarts_read_no_secret_and_write_nothing() -> anyhow::Result<()> {
    let stage = Stage::new("restart").await?;
    let vault = stage.vault("kv1");
    for number in 0..OBJECTS {
        vault.set_secret(&format!("s{number}"), "value", SecretOptions::default())?;
        let spec = format!(
            "{{vault: {{name: kv1, object: {{name: s{number}, type: secret}}}}, output: {{secret: {{name: s{number}, dataKey: v}}}}}}"
        );
        stage.apply(&format!("s{number}"), &spec).await?;
    }
    // Marks settle once the last change lies more than 2 s back.
    stage.emulator.clock().set_offset(10);
    let controller = stage.controller(&[]).await?;
    for number in 0..OBJECTS {
        stage.wait_for_reason(&format!("s{number}"), "Synced").await?;
    }
    let journal = stage.emulator.journal();
    let pages = 3; // 25 a page
    let before = (
        versions::<AzureKeyVaultSecret>(&stage).await?,
        versions::<Secret>(&stage).await?,
    );

    journal.reset();
    let polled = |polls: u64| {
        move |counts: &akv2k8s_testbed::emulator::Counts| counts.of(Operation::SECRET_LIST) >= polls * pages
    };
    let counts = journal.wait_for(WAIT, polled(2)).await.context("two idle polls")?;
    assert_eq!(counts.of(Operation::SECRET_GET), 0, "an idle poll reads nothing");

    controller.stop().await?;
    journal.reset();
    let controller = stage.controller(&[]).await?;
    let counts = journal
        .wait_for(WAIT, polled(2))
        .await
        .context("two polls after a restart")?;
    assert_eq!(counts.of(Operation::SECRET_GET), 0, "a restart reads nothing");
    let after = (
        versions::<AzureKeyVaultSecret>(&stage).await?,
        versions::<Secret>(&stage).await?,
    );
    assert_eq!(before, after, "nothing was written");

    journal.reset();
    vault.set_secret("s7", "other", SecretOptions::default())?;
    stage.emulator.clock().set_offset(20);
    stage.wait_for_key("s7", "v", "other").await?;
    let counts = journal
        .wait_for(WAIT, polled(3))
        .await
        .context("polls after a change")?;
    assert_eq!(counts.of(Operation::SECRET_GET), 1, "one change costs one read");
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_is_made_up_for() -> anyhow::Result<()> {
    let stage = Stage::new("kill").await?;
    let vault = stage.vault("kv1");
    for number in 0..OBJECTS {
        vault.set_secret(&format!("s{number}"), "value", SecretOptions::default())?;
    }
    let controller = stage.controller(&["--leader-elect=false"]).await?;
    for number in 0..OBJECTS {
        let spec = format!(
            "{{vault: {{name: kv1, object: {{name: s{number}, type: secret}}}}, output: {{secret: {{name: s{number}, dataKey: v}}}}}}"
        );
        stage.apply(&format!("s{number}"), &spec).await?;
    }
    stage.wait_for_key("s3", "v", "value").await?;
    controller.kill().await;
    let controller = stage.controller(&["--leader-elect=false"]).await?;
    for number in 0..OBJECTS {
        stage.wait_for_reason(&format!("s{number}"), "Synced").await?;
        stage.wait_for_key(&format!("s{number}"), "v", "value").await?;
    }
    controller.stop().await
}
