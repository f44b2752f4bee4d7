//! Two namespaces, one controller, one vault.

use akv2k8s_testbed::emulator::Operation;

use crate::bed::{Bed, grant};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_names_anothers_identity_gets_nothing_and_with_its_own_follows_the_vault() -> anyhow::Result<()>
{
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let shops = bed.app("shop").await?;
    grant(&vault, &shops);
    for namespace in ["shop", "bank"] {
        bed.admit(namespace).await?;
    }
    let controller = bed.controller().await?;
    bed.team("shop", shops.client_id()).await?;
    bed.wait_for_value("shop", "one").await?;
    bed.wait_for_reader("shop", shops.client_id()).await?;
    let reads = || {
        bed.stack
            .emulator
            .journal()
            .counts()
            .with_status(Operation::SECRET_GET, 200)
    };
    let before = reads();

    // The same client id, the same object, moments after somebody else read it.
    bed.team("bank", shops.client_id()).await?;
    let refused = bed.wait_for("bank", "FederatedSubjectMismatch").await?;
    let subject = "--subject 'system:serviceaccount:bank:vault-reader'";
    assert!(refused.message.contains(subject), "{}", refused.message);
    assert_eq!(bed.value("bank").await, None);
    assert_eq!(reads(), before, "the vault was not even asked");
    assert!(bed.notes.tokens("bank") > 0, "it was Entra that refused");

    // With an identity of its own; the annotation counts without a restart.
    let banks = bed.app("bank").await?;
    grant(&vault, &banks);
    let annotate =
        "annotate serviceaccount vault-reader --overwrite --namespace bank azure.workload.identity/client-id=";
    bed.kubectl(&format!("{annotate}{}", banks.client_id())).await?;
    bed.wait_for_value("bank", "one").await?;
    bed.wait_for_reader("bank", banks.client_id()).await?;

    // Each finds the change by a list of its own.
    bed.vault("two")?;
    for namespace in ["shop", "bank"] {
        bed.wait_for_value(namespace, "two").await?;
        bed.wait_for(namespace, "Synced").await?;
    }

    // Another identity that may read: nothing changes but who reads. One that may not: what was read stays, and is no news.
    let next = bed.app("bank").await?;
    grant(&vault, &next);
    bed.kubectl(&format!("{annotate}{}", next.client_id())).await?;
    bed.wait_for_reader("bank", next.client_id()).await?;
    let without_role = bed.app("bank").await?;
    bed.kubectl(&format!("{annotate}{}", without_role.client_id())).await?;
    let refused = bed.wait_for("bank", "ForbiddenByRbac").await?;
    assert!(
        refused.message.contains(without_role.client_id()),
        "{}",
        refused.message
    );
    assert_eq!(bed.value("bank").await.as_deref(), Some("two"));
    bed.wait_for("shop", "Synced").await?;

    let log = controller.log();
    // What every token of the API server and of Entra begins with: {"alg":
    assert!(!log.contains("eyJhbGciOi"), "a token was logged");
    Ok(())
}
