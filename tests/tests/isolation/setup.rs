//! Everything that has to be there before a vault is read as a ServiceAccount, missing one by one.

use akv2k8s_testbed::wait::until;
use anyhow::Context;

use crate::bed::{Bed, PATIENCE, grant};

/// The command at the end of a condition's message.
fn fix(message: &str) -> anyhow::Result<&str> {
    Ok(message.rsplit_once("Fix: kubectl ").context("a kubectl command")?.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_is_missing_is_told_and_the_command_in_the_message_puts_it_right() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let app = bed.stack.emulator.entra().register_app();
    bed.kubectl("create namespace shop").await?;
    let _controller = bed.controller().await?;
    bed.akvs_alone("shop").await?;

    let told = bed.wait_for("shop", "ServiceAccountForbidden").await?;
    bed.kubectl(fix(&told.message)?).await?;

    let told = bed.wait_for("shop", "ServiceAccountNotFound").await?;
    let (create, _) = fix(&told.message)?.split_once(" && ").context("two commands")?;
    bed.kubectl(create).await?;

    let told = bed.wait_for("shop", "ServiceAccountNotAnnotated").await?;
    let annotate = fix(&told.message)?.replace("CLIENT_ID", app.client_id());
    assert_eq!(
        bed.notes.tokens("shop"),
        0,
        "no token is asked for before the annotation is there"
    );
    assert_eq!(bed.stack.emulator.journal().counts().total(), 0);
    bed.kubectl(&annotate).await?;

    // Entra and the vault are ready; only the label is missing.
    bed.federate(&app, "shop").await?;
    grant(&vault, &app);
    let told = bed.wait_for("shop", "ServiceAccountTokenRefused").await?;
    let (_, label) = told.message.split_once("kubectl ").context("a kubectl command")?;
    bed.kubectl(label.split(". Fix:").next().unwrap_or_default()).await?;

    bed.wait_for_value("shop", "one").await?;
    bed.wait_for("shop", "Synced").await?;

    // What goes away again stops the reading, and leaves the Secret.
    let account = "serviceaccount vault-reader --namespace shop";
    bed.kubectl(&format!("annotate {account} azure.workload.identity/client-id-"))
        .await?;
    bed.wait_for("shop", "ServiceAccountNotAnnotated").await?;
    bed.vault("two")?;
    bed.kubectl(&format!("delete {account}")).await?;
    bed.wait_for("shop", "ServiceAccountNotFound").await?;
    assert_eq!(bed.value("shop").await.as_deref(), Some("one"));
    bed.team("shop", app.client_id()).await?;
    bed.wait_for_value("shop", "two").await?;
    bed.kubectl("delete rolebinding akv2k8s-controller-identities --namespace shop")
        .await?;
    bed.wait_for("shop", "ServiceAccountForbidden").await?;
    bed.admit("shop").await?;
    bed.wait_for("shop", "Synced").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_of_another_namespace_cannot_be_reached() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let app = bed.app("shop").await?;
    grant(&vault, &app);
    for namespace in ["shop", "bank"] {
        bed.admit(namespace).await?;
    }
    let _controller = bed.controller().await?;
    bed.team("shop", app.client_id()).await?;
    bed.wait_for("shop", "Synced").await?;
    let (tokens, since) = (bed.notes.tokens("shop"), std::time::Instant::now());
    bed.akvs_alone("bank").await?;
    bed.wait_for("bank", "ServiceAccountNotFound").await?;
    assert_eq!(bed.value("bank").await, None);
    // Names that mean more than a name never get as far as the controller.
    for name in [
        "shop/vault-reader",
        "../../shop/serviceaccounts/vault-reader",
        "system:serviceaccount:shop:vault-reader",
    ] {
        let patch = format!("{{\"spec\":{{\"vault\":{{\"serviceAccountName\":\"{name}\"}}}}}}");
        let line = [
            "patch",
            "akvs",
            "db-password",
            "--namespace",
            "bank",
            "--type",
            "merge",
            "--patch",
            &patch,
        ];
        let refusal = bed
            .stack
            .cluster
            .kubectl(&line)
            .await?
            .success()
            .expect_err(name)
            .to_string();
        assert!(refusal.contains("one of the same namespace"), "{refusal}");
    }
    assert_eq!(bed.notes.tokens("bank"), 0);
    // In the steady state a token is asked for every 5 minutes, however often the vault is looked at.
    let looks = bed.notes.all();
    until("more looks at ServiceAccounts", PATIENCE, async || {
        (bed.notes.all() > looks + 4).then_some(())
    })
    .await?;
    let renewals = usize::try_from(since.elapsed().as_secs() / 300)? + 1;
    assert!(bed.notes.tokens("shop") <= tokens + renewals);
    Ok(())
}
