//! The AKVS is gone; no vault is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use akv2k8s_controller::namespaces::Scope;
use akv2k8s_controller::output::{self, OutputState, Released, Store, is_gone, release};
use akv2k8s_testbed::wait::until;
use anyhow::Result;
use futures::future::try_join_all;
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

/// So many AKVS with a key each of one Secret, and a client by which they see it in the same moment.
async fn siblings(name: &str, count: u8) -> Result<(Bed, Vec<Akvs>)> {
    let mut bed = Bed::new(name).await?;
    let mut all = Vec::new();
    for number in 1..=count {
        let mut akvs = bed.akvs(&format!("a{number}"), number).await?;
        let key = format!("key{number}");
        bed.synced(&mut akvs, &[wants("db", &[(&key, "value")])]).await?;
        all.push(akvs);
    }
    bed.client = together(&bed.client, all.len());
    Ok((bed, all))
}

/// Else all would leave: an empty Secret of nobody would stay, which no AKVS may write to again.
#[tokio::test]
async fn of_those_that_go_in_the_same_moment_the_last_leaves_the_secret_to_the_garbage_collector() -> Result<()> {
    let (bed, all) = siblings("together", 6).await?;
    let outcomes = try_join_all(all.iter().map(|akvs| released(&bed, akvs))).await?;
    let count = |outcome: &Released| outcomes.iter().filter(|it| it.contains(outcome)).count();
    let (left, keys) = (
        count(&Released::Left(secret("db"))),
        count(&Released::Keys(secret("db"))),
    );
    assert_eq!((left, keys), (1, 5), "{outcomes:?}");
    assert_eq!(bed.meta(&secret("db")).await?.owners.len(), 1);
    Ok(())
}

/// Else the other would leave, too, and nobody's reference would be left by which the Secret is collected.
#[tokio::test]
async fn whoever_is_gone_and_not_released_yet_keeps_nothing_alive() -> Result<()> {
    let bed = Bed::new("referenced").await?;
    let (mut a, mut b) = (bed.akvs("a", 1).await?, bed.akvs("b", 2).await?);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.synced(&mut b, &[wants("db", &[("user", "u")])]).await?;
    delete(&bed, &a).await?;
    // As the garbage collector does while there is another owner.
    let references = bed.secrets().get("db").await?.metadata.owner_references;
    let left: Vec<_> = references.into_iter().flatten().filter(|it| it.name == "b").collect();
    let patch = kube::api::Patch::Merge(json!({"metadata": {"ownerReferences": left}}));
    bed.secrets()
        .patch("db", &kube::api::PatchParams::default(), &patch)
        .await?;
    let seen = bed.meta(&secret("db")).await?;
    assert!(
        seen.applied(&a.id.manager()).is_some() && seen.owners.len() == 1,
        "{seen:?}"
    );
    assert_eq!(released(&bed, &b).await?, [Released::Left(secret("db"))]);
    assert_eq!(released(&bed, &a).await?, [Released::Keys(secret("db"))]);
    Ok(())
}

#[tokio::test]
async fn those_that_no_longer_want_it_in_the_same_moment_leave_no_secret_of_nobody() -> Result<()> {
    let (bed, mut all) = siblings("unwanted", 6).await?;
    let passes = try_join_all(all.iter_mut().map(|akvs| bed.sync(akvs, &[], &[]))).await?;
    let failed: Vec<_> = passes.iter().map(|pass| !pass.applied.failed.is_empty()).collect();
    // Who came last looks again.
    assert!(failed.iter().filter(|it| **it).count() <= 1, "{passes:?}");
    if let Some(last) = failed.iter().position(|it| *it) {
        assert!(passes[last].trouble().starts_with("OutputConflict"), "{passes:?}");
        assert_eq!(bed.synced(&mut all[last], &[]).await?, ["Deleted Secret db"]);
    }
    bed.gone("db").await
}

#[tokio::test]
async fn of_those_whose_keys_the_type_requires_the_last_gives_up_its_ownership() -> Result<()> {
    let mut bed = Bed::new("required").await?;
    let typed = |key: &str, value: &str| {
        let mut desired = wants("db", &[(key, value)]);
        desired.secret_type = Some("kubernetes.io/basic-auth".into());
        [desired]
    };
    let mut all = Vec::new();
    for (number, key) in [(1, "username"), (2, "password"), (3, "note")] {
        let mut akvs = bed.akvs(key, number).await?;
        bed.synced(&mut akvs, &typed(key, "value")).await?;
        all.push(akvs);
    }
    bed.client = together(&bed.client, 2);
    let (first, second) = tokio::try_join!(released(&bed, &all[0]), released(&bed, &all[1]))?;
    // One of both keys has to be there.
    let (keys, ownership) = ([Released::Keys(secret("db"))], [Released::Ownership(secret("db"))]);
    assert!(
        (first == keys && second == ownership) || (first == ownership && second == keys),
        "{first:?} {second:?}"
    );
    let owners = bed.meta(&secret("db")).await?.owners;
    assert_eq!(owners.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["note"]);
    Ok(())
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
