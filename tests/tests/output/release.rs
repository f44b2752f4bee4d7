//! The AKVS is gone; no vault is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akv2k8s_controller::namespaces::Scope;
use akv2k8s_controller::output::{self, OutputState, Released, Store, is_gone, release};
use akv2k8s_testbed::wait::until;
use anyhow::Result;
use kube::Client;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::sync::Barrier;

use super::bed::{Akvs, Bed, LIMIT, map, secret, wants};

/// Deletes the AKVS as a user does, and waits until it is gone for good.
async fn delete(bed: &Bed, akvs: &Akvs) -> Result<()> {
    assert!(!is_gone(&bed.client, &akvs.id).await?);
    bed.akvs_api().delete(&akvs.id.name, &DeleteParams::default()).await?;
    let gone = async || is_gone(&bed.client, &akvs.id).await.ok()?.then_some(());
    Ok(until("the AKVS to be gone", LIMIT, gone).await?)
}

async fn released(bed: &Bed, akvs: &Akvs) -> Result<Vec<Released>> {
    let (released, failed) = release(&bed.client, &bed.store, &akvs.id, &akvs.recorded).await;
    anyhow::ensure!(failed.is_empty(), "{failed:?}");
    Ok(released)
}

#[tokio::test]
async fn its_keys_leave_a_shared_secret() -> Result<()> {
    let bed = Bed::new("shared").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut b, &[wants("db", &[("user", "u")])]).await?;
    delete(&bed, &a).await?;
    assert_eq!(released(&bed, &a).await?, [Released::Keys(secret("db"))]);
    assert_eq!(bed.data("db").await?, map(&[("user", "u")]));
    assert_eq!(bed.state(&b).await?, OutputState::Intact);
    assert_eq!(released(&bed, &a).await?, [], "a second time there is nothing to do");
    Ok(())
}

/// A client whose first answers all arrive in one moment, so many of them.
fn together(client: &Client, count: usize) -> Client {
    let (client, all, answers) = (
        client.clone(),
        Arc::new(Barrier::new(count)),
        Arc::new(AtomicUsize::new(0)),
    );
    let service = tower::service_fn(move |request| {
        let (client, all, answers) = (client.clone(), all.clone(), answers.clone());
        async move {
            let answer = client.send(request).await;
            if answers.fetch_add(1, Ordering::SeqCst) < count {
                all.wait().await;
            }
            answer
        }
    });
    Client::new(service, "default")
}

/// Else all would leave: an empty Secret of nobody would stay, which no AKVS may write to again.
#[tokio::test]
async fn of_those_that_go_in_the_same_moment_the_last_leaves_the_secret_to_the_garbage_collector() -> Result<()> {
    let mut bed = Bed::new("together").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut b, &[wants("db", &[("user", "u")])]).await?;
    bed.client = together(&bed.client, 2);
    let (of_a, of_b) = tokio::try_join!(released(&bed, &a), released(&bed, &b))?;
    let (left, keys) = ([Released::Left(secret("db"))], [Released::Keys(secret("db"))]);
    assert!(
        (of_a == left && of_b == keys) || (of_a == keys && of_b == left),
        "{of_a:?} {of_b:?}"
    );
    assert_eq!(bed.meta(&secret("db")).await?.owners.len(), 1);
    Ok(())
}

#[tokio::test]
async fn two_that_no_longer_want_it_in_the_same_moment_leave_no_secret_of_nobody() -> Result<()> {
    let mut bed = Bed::new("unwanted").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut b, &[wants("db", &[("user", "u")])]).await?;
    bed.client = together(&bed.client, 2);
    let (of_a, of_b) = tokio::try_join!(bed.sync(&mut a, &[], &[]), bed.sync(&mut b, &[], &[]))?;
    // Who came too late looks again.
    for (pass, akvs) in [(of_a, &mut a), (of_b, &mut b)] {
        if !pass.applied.failed.is_empty() {
            assert!(pass.trouble().starts_with("OutputConflict"), "{pass:?}");
            assert_eq!(bed.synced(akvs, &[]).await?, ["Deleted Secret db"]);
        }
    }
    bed.gone("db").await
}

#[tokio::test]
async fn a_secret_of_its_own_is_left_to_the_garbage_collector() -> Result<()> {
    let bed = Bed::new("collected").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    delete(&bed, &a).await?;
    let outcome = released(&bed, &a).await?;
    assert!(
        outcome.is_empty() || outcome == [Released::Left(secret("db"))],
        "{outcome:?}"
    );
    bed.gone("db").await?;
    assert_eq!(released(&bed, &a).await?, []);
    assert!(
        bed.secrets().get_opt("db").await?.is_none(),
        "a release must not create what was collected"
    );
    Ok(())
}

#[tokio::test]
async fn keys_that_the_type_requires_stay_and_only_the_ownership_ends() -> Result<()> {
    let bed = Bed::new("typed").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    let typed = |data: &[(&str, &str)]| {
        let mut desired = wants("db", data);
        desired.secret_type = Some("kubernetes.io/tls".into());
        [desired]
    };
    bed.synced(&mut a, &typed(&[("tls.crt", "c"), ("tls.key", "k")]))
        .await?;
    bed.synced(&mut b, &typed(&[("ca.crt", "ca")])).await?;
    delete(&bed, &a).await?;
    assert_eq!(released(&bed, &a).await?, [Released::Ownership(secret("db"))]);
    assert_eq!(
        bed.data("db").await?,
        map(&[("tls.crt", "c"), ("tls.key", "k"), ("ca.crt", "ca")])
    );
    let owners: Vec<_> = bed
        .meta(&secret("db"))
        .await?
        .owners
        .iter()
        .map(|o| o.name.to_string())
        .collect();
    assert_eq!(owners, ["b"]);
    assert_eq!(bed.state(&b).await?, OutputState::Intact);
    assert_eq!(bed.meta(&secret("db")).await?.applied(&a.id.manager()), None);
    Ok(())
}

#[tokio::test]
async fn a_secret_deliberately_orphaned_keeps_its_data() -> Result<()> {
    let bed = Bed::new("orphaned").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.kubectl(&["delete", "akvs", "a", "--cascade=orphan"], "").await?;
    assert_eq!(released(&bed, &a).await?, [Released::Left(secret("db"))]);
    assert_eq!(bed.data("db").await?, map(&[("password", "p")]));
    Ok(())
}

#[tokio::test]
async fn a_typed_output_no_longer_wanted_is_deleted() -> Result<()> {
    let bed = Bed::new("untyped").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut typed = wants("db", &[("tls.crt", "c"), ("tls.key", "k")]);
    typed.secret_type = Some("kubernetes.io/tls".into());
    bed.synced(&mut a, &[typed]).await?;
    assert_eq!(bed.synced(&mut a, &[]).await?, ["Deleted Secret db"]);
    bed.gone("db").await
}

#[tokio::test]
async fn akvs_deleted_while_the_controller_was_down_are_found_at_start() -> Result<()> {
    let bed = Bed::new("orphans").await?;
    let (mut gone, mut stays) = (bed.akvs("gone", 1).await?, bed.akvs("stays", 2).await?);
    let mut hidden = bed.akvs("hidden-by-a-label-filter", 3).await?;
    bed.synced(&mut gone, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut stays, &[wants("db", &[("user", "u")])]).await?;
    bed.synced(&mut hidden, &[wants("db", &[("port", "1")])]).await?;
    delete(&bed, &gone).await?;

    let store = Store::new();
    let (changed, _changes) = tokio::sync::mpsc::unbounded_channel();
    let scope = Scope::Namespace(bed.namespace.name().to_owned());
    let watch = tokio::spawn(store.watch(bed.client.clone(), scope, changed));
    bed.until_synced(&store).await?;
    let known = |manager: &str| manager == stays.id.manager();
    let looked = output::release_orphans(&bed.client, &store, known).await;
    watch.abort();
    assert!(looked.failed.is_empty() && looked.unread.is_empty(), "{looked:?}");
    assert_eq!(looked.released, [Released::Keys(secret("db"))]);
    assert_eq!(bed.data("db").await?, map(&[("user", "u"), ("port", "1")]));
    Ok(())
}

#[tokio::test]
async fn an_akvs_is_gone_only_if_none_of_its_name_exists() -> Result<()> {
    let bed = Bed::new("gone").await?;
    let a = bed.akvs("a", 1).await?;
    bed.akvs_api()
        .patch(
            "a",
            &kube::api::PatchParams::default(),
            &kube::api::Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}})),
        )
        .await?;
    assert!(!is_gone(&bed.client, &a.id).await?);
    delete(&bed, &a).await?;
    bed.akvs("a", 2).await?;
    assert!(!is_gone(&bed.client, &a.id).await?, "its namesake inherits the outputs");
    Ok(())
}
