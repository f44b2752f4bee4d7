//! Many AKVS on one vault object.

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use akv2k8s_testbed::stage::Stage;
use futures::{StreamExt, TryStreamExt, stream};

const OBJECTS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_references_to_one_object_cost_one_read() -> anyhow::Result<()> {
    let stage = Stage::new("shared").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    stage.emulator.clock().set_offset(10);
    let apply = async |number: usize| {
        let name = format!("s{number}");
        let spec = format!(
            "{{vault: {{name: kv1, object: {{name: db, type: secret}}}}, output: {{secret: {{name: {name}, dataKey: v}}}}}}"
        );
        stage.apply(&name, &spec).await
    };
    stream::iter(0..OBJECTS)
        .map(apply)
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    let controller = stage.controller(&["--azure-resync-period=3600"]).await?;
    for number in 0..OBJECTS {
        stage.wait_for_reason(&format!("s{number}"), "Synced").await?;
    }
    let counts = stage.emulator.journal().counts();
    assert_eq!(counts.with_status(Operation::SECRET_GET, 200), 1);
    assert_eq!(counts.with_status(Operation::SECRET_GET, 401), 1, "one challenge");
    assert_eq!(counts.of(Operation::Token), 1);
    controller.stop().await
}
