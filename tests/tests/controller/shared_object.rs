//! Many AKVS on one vault object.

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::Stage;

const OBJECTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_references_to_one_object_cost_one_read() -> anyhow::Result<()> {
    let stage = Stage::new("shared").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    stage.apply_many("kv1", 0..OBJECTS, |_| "db".to_owned()).await?;
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    stage.wait_for_synced(OBJECTS).await?;
    let counts = stage.emulator.journal().counts();
    assert_eq!(counts.with_status(Operation::SECRET_GET, 200), 1);
    assert_eq!(counts.with_status(Operation::SECRET_GET, 401), 1, "one challenge");
    assert_eq!(counts.of(Operation::Token), 1);
    controller.stop().await
}
