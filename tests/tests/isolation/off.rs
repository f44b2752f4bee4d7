//! Without `--service-account-identities`.

use crate::bed::{Bed, grant};

#[tokio::test(flavor = "multi_thread")]
async fn without_the_flag_nothing_is_asked_of_anybody_and_the_controllers_identity_does_not_step_in()
-> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let app = bed.app("shop").await?;
    grant(&vault, &app);
    // The controller's own identity may read the vault, and is not to.
    grant(&vault, &bed.stack.app);
    bed.admit("shop").await?;
    let _controller = bed.launch().start().await?;
    bed.team("shop", app.client_id()).await?;
    let told = bed.wait_for("shop", "ServiceAccountIdentitiesOff").await?;
    assert!(
        told.message.contains("--service-account-identities"),
        "{}",
        told.message
    );
    assert_eq!(
        bed.stack.emulator.journal().counts().total(),
        0,
        "neither Entra nor the vault was asked"
    );
    assert_eq!(bed.notes.all(), 0, "no ServiceAccount was looked at");
    assert_eq!(bed.value("shop").await, None);

    // It reads for whoever asks for nobody else.
    let own = "[{\"op\":\"remove\",\"path\":\"/spec/vault/serviceAccountName\"}]";
    let line = [
        "patch",
        "akvs",
        "db-password",
        "--namespace",
        "shop",
        "--type",
        "json",
        "--patch",
        own,
    ];
    bed.stack.cluster.kubectl(&line).await?.success()?;
    bed.wait_for_value("shop", "one").await?;
    assert_eq!(bed.notes.all(), 0);
    Ok(())
}
