//! Without `--service-account-identities`.

use std::sync::Arc;

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::proxy::Proxy;
use akv2k8s_testbed::stage::Stage;

use crate::bed::Notes;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_nothing_is_asked_of_anybody_and_the_controllers_identity_does_not_step_in()
-> anyhow::Result<()> {
    let stage = Stage::new("off").await?;
    stage.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
    let notes = Arc::new(Notes::default());
    let proxy = Proxy::start(&stage.cluster, notes.clone()).await?;
    let controller = stage.controller(&[&format!("--master={}", proxy.url())]).await?;
    let spec = |reader: &str, output: &str| {
        format!(
            "{{vault: {{name: kv1, {reader} object: {{name: db, type: secret}}}}, output: {{secret: {{name: {output}, dataKey: v}}}}}}"
        )
    };
    stage.apply("own", &spec("serviceAccountName: default,", "own")).await?;
    let akvs = stage.wait_for_reason("own", "ServiceAccountIdentitiesOff").await?;
    let message = &akvs.status.unwrap_or_default().conditions[0].message;
    assert!(message.contains("--service-account-identities"), "{message}");
    assert_eq!(
        stage.emulator.journal().counts().total(),
        0,
        "neither Entra nor the vault was asked"
    );

    // The controller's identity may read the vault, and does so for whoever asks for nobody else.
    stage.apply("plain", &spec("", "plain")).await?;
    stage.wait_for_key("plain", "v", "one").await?;
    assert!(stage.secret("own").await?.is_none());
    assert_eq!(notes.all(), 0, "no ServiceAccount was looked at");
    controller.stop().await
}
