//! The view of outputs that a metadata-only watch feeds.

use akv2k8s_controller::namespaces::Scope;
use akv2k8s_controller::output::{Changed, OutputState, Store, state};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, Result};
use kube::api::DeleteParams;
use serde_json::json;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use super::bed::{Bed, LIMIT, secret, wants};

struct Watched {
    store: Store,
    changes: UnboundedReceiver<Changed>,
    task: JoinHandle<()>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watched {
    async fn new(bed: &Bed) -> Result<Self> {
        let (sender, changes) = unbounded_channel();
        let store = Store::new();
        let scope = Scope::Namespace(bed.namespace.name().to_owned());
        let task = tokio::spawn(store.watch(bed.client.clone(), scope, sender));
        bed.until_synced(&store).await?;
        Ok(Self { store, changes, task })
    }

    /// Waits for a change of `name` that tells these AKVS.
    async fn told(&mut self, name: &str, akvs: &[&str]) -> Result<()> {
        let wait = async {
            loop {
                let change = self.changes.recv().await.context("the watch ended")?;
                if change.target == secret(name) && change.akvs == akvs {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(LIMIT, wait)
            .await
            .with_context(|| format!("no change of {name} was told"))?
    }
}

#[tokio::test]
async fn only_what_an_akvs_has_to_do_with_is_kept() -> Result<()> {
    let bed = Bed::new("kept").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.create_secret("somebody", json!({"metadata": {"name": "foreign"}}))
        .await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    let mut watched = Watched::new(&bed).await?;
    assert_eq!(watched.store.len(), 1);
    assert_eq!(
        watched
            .store
            .outputs_of(&a.id)
            .into_iter()
            .map(|(t, _)| t)
            .collect::<Vec<_>>(),
        [secret("db")]
    );

    bed.create_secret("somebody", json!({"metadata": {"name": "foreign-2"}}))
        .await?;
    bed.secrets().delete("foreign-2", &DeleteParams::default()).await?;
    watched.told("foreign-2", &[]).await?;
    assert_eq!(watched.store.len(), 1);
    Ok(())
}

#[tokio::test]
async fn edits_deletions_and_lost_owner_references_are_told_with_the_akvs_concerned() -> Result<()> {
    let bed = Bed::new("told").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut watched = Watched::new(&bed).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    watched.told("db", &["a"]).await?;
    let stands = |store: &Store| {
        let meta = store.get(bed.namespace.name(), &secret("db"));
        state(meta.as_ref(), &a.id, a.recorded.first(), &a.copied)
    };
    assert_eq!(stands(&watched.store), OutputState::Intact);

    bed.patch_secret("kubectl-edit", json!({"stringData": {"password": "edited"}}))
        .await?;
    watched.told("db", &["a"]).await?;
    assert!(matches!(stands(&watched.store), OutputState::Drifted(_)));

    bed.patch_secret("kubectl-edit", json!({"metadata": {"ownerReferences": null}}))
        .await?;
    watched.told("db", &["a"]).await?;

    bed.secrets().delete("db", &DeleteParams::default()).await?;
    watched.told("db", &[]).await?;
    assert_eq!(stands(&watched.store), OutputState::Absent);
    assert!(watched.store.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_fed_store_knows_at_once_what_was_just_written() -> Result<()> {
    let bed = Bed::new("atonce").await?;
    let mut a = bed.akvs("a", 1).await?;
    let watched = Watched::new(&bed).await?;
    let bed = Bed {
        store: watched.store.clone(),
        ..bed
    };
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    assert!(bed.store.get(bed.namespace.name(), &secret("db")).is_some());
    bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(bed.store.get(bed.namespace.name(), &secret("db")), None);
    let outputs = async || (bed.store.outputs_of(&a.id).len() == 1).then_some(());
    until("the watch to agree", LIMIT, outputs).await?;
    Ok(())
}

#[tokio::test]
async fn a_stale_view_is_corrected_by_the_refused_write_itself() -> Result<()> {
    let bed = Bed::new("stale").await?;
    let mut a = bed.akvs("a", 1).await?;
    let watched = Watched::new(&bed).await?;
    let bed = Bed {
        store: watched.store.clone(),
        ..bed
    };
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    // The watch stops, so the store keeps believing in a Secret that is gone.
    watched.task.abort();
    bed.secrets().delete("db", &DeleteParams::default()).await?;
    let pass = bed.sync(&mut a, &[wants("db", &[("password", "p")])], &[]).await?;
    assert!(
        pass.trouble().contains("changed while it was being written"),
        "{}",
        pass.trouble()
    );
    assert_eq!(
        bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?,
        ["Created Secret db"]
    );
    Ok(())
}

#[tokio::test]
async fn what_finalizers_keep_after_its_deletion_is_known_until_it_is_gone() -> Result<()> {
    let bed = Bed::new("finalizers").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut watched = Watched::new(&bed).await?;
    let bed = Bed {
        store: watched.store.clone(),
        ..bed
    };
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    let finalizers = |names: &[&str]| json!({"metadata": {"finalizers": names}});
    bed.patch_secret("somebody", finalizers(&["example.com/backup"]))
        .await?;
    let seen = async || {
        let meta = bed.meta(&secret("db")).await.ok()?;
        (bed.store.get(bed.namespace.name(), &secret("db"))? == meta).then_some(())
    };
    until("the watch to show the finalizer", LIMIT, seen).await?;

    let changes = bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(changes, ["Created Secret db2", "Deleted Secret db"]);
    assert!(bed.store.get(bed.namespace.name(), &secret("db")).is_some());
    bed.patch_secret("somebody", json!({"metadata": {"labels": {"still": "here"}}}))
        .await?;
    until("the watch to go on", LIMIT, seen).await?;

    bed.patch_secret("somebody", finalizers(&[])).await?;
    let gone = async || {
        bed.store
            .get(bed.namespace.name(), &secret("db"))
            .is_none()
            .then_some(())
    };
    until("it to be forgotten", LIMIT, gone).await?;
    watched.told("db", &["a"]).await
}
