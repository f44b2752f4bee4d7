//! What was allowed and is not any more.

use std::time::Duration;

use akv2k8s_testbed::emulator::Operation;
use akv2k8s_testbed::wait::until;

use crate::bed::{Bed, PATIENCE, grant};

/// Short, so that tokens in use fall due for their renewal all the time.
const LIFETIME: i64 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn once_the_right_is_gone_nothing_is_read_or_renewed_with_what_was_held() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let app = bed.app("shop").await?;
    grant(&vault, &app);
    bed.admit("shop").await?;
    let entra = bed.stack.emulator.entra();
    entra.set_token_lifetime(LIFETIME);
    let _controller = bed.controller().await?;
    bed.team("shop", app.client_id()).await?;
    bed.wait_for_value("shop", "one").await?;

    // Tokens are renewed while they are used.
    let journal = bed.stack.emulator.journal();
    let renewed = journal.wait_for(PATIENCE, |counts| counts.of(Operation::Token) >= 3);
    anyhow::Context::context(renewed.await, "renewals")?;

    bed.kubectl("delete rolebinding akv2k8s-service-account-identities --namespace shop")
        .await?;
    bed.wait_for("shop", "ServiceAccountForbidden").await?;
    journal.reset();
    bed.vault("two")?;
    // The time in which what was held would have been renewed: five looks at the ServiceAccount, 5 s each, and a whole lifetime.
    let looks = bed.notes.all();
    until("more looks at ServiceAccounts", PATIENCE, async || {
        (bed.notes.all() >= looks + 5).then_some(())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(LIFETIME.unsigned_abs())).await;
    assert_eq!(journal.counts().total(), 0, "{}", journal.counts());
    assert_eq!(bed.value("shop").await.as_deref(), Some("one"));

    bed.admit("shop").await?;
    bed.wait_for_value("shop", "two").await?;
    Ok(())
}
