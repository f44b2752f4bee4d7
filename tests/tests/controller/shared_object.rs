//! Many AKVS on one vault object.

use std::time::Instant;

use akv2k8s_shared::keyvault::Settings;
use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::Stage;

const OBJECTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_references_to_one_object_cost_one_read() -> anyhow::Result<()> {
    let stage = Stage::new("shared").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    stage.apply_many("kv1", 0..OBJECTS, |_| "db".to_owned()).await?;
    let start = Instant::now();
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    stage.wait_for_synced(OBJECTS).await?;
    let counts = stage.emulator.journal().counts();
    let reads = counts.with_status(Operation::SECRET_GET, 200);
    // Nearly always one; on a machine on which all of them take longer than an answer is kept, one for each such time.
    let most = 1 + start.elapsed().as_secs() / Settings::default().answers_kept.as_secs();
    assert!((1..=most).contains(&reads), "{reads} reads, and {most} are enough");
    assert_eq!(counts.with_status(Operation::SECRET_GET, 401), 1, "one challenge");
    assert_eq!(counts.of(Operation::Token), 1);
    controller.stop().await
}
