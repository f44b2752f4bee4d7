//! From the lease to its return: waits for it, starts the tasks, hands out work, and ends everything in order.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::background::Background;
use crate::config::Config;
use crate::definition::Definition;
use crate::health::Phase;
use crate::leader::Election;
use crate::objects::Key;
use crate::poll::Poller;
use crate::reconcile::Context;
use crate::watch::{self as watches, Selection};
use crate::{identity, orphans};

/// How long work in flight may take after the signal to stop; below Kubernetes' usual 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// A replica that works while it has the lease.
pub(crate) struct Lead {
    pub(crate) config: Config,
    pub(crate) context: Arc<Context>,
    /// The client for watches.
    pub(crate) watching: kube::Client,
    /// `None`: there is no lease, this is the only replica.
    pub(crate) election: Option<Election>,
}

impl Lead {
    /// Waits for the lease, works until `stop` resolves, and gives it back.
    ///
    /// # Errors
    /// The lease was lost, or a task ended that has no end.
    pub(crate) async fn run(
        &self,
        event_writer: impl Future<Output = ()> + Send + 'static,
        mut stop: impl Future<Output = ()> + Send + Unpin,
    ) -> anyhow::Result<()> {
        let (mut background, mut ended) = Background::new();
        background.keep("identity", identity::follow(Arc::clone(&self.context)));
        let last_work = tokio::select! {
            () = &mut stop => return Ok(()),
            error = ended.next() => return Err(error),
            last_work = self.win() => last_work,
        };
        let lost = self.hold();
        tokio::pin!(lost);
        background.keep("events", event_writer);
        let mut workers = JoinSet::new();
        tokio::select! {
            () = &mut stop => {}
            error = &mut lost => return Err(error),
            error = ended.next() => return Err(error),
            () = self.work(last_work, &mut background, &mut workers) => {}
        }
        info!(in_flight = workers.len(), "stopping");
        // The lease is renewed meanwhile: nobody else may start before the last write.
        let drained = tokio::select! {
            drained = drain(&mut workers) => drained,
            error = lost => return Err(error),
        };
        background.end().await;
        self.give_back(drained).await;
        Ok(())
    }

    /// Waits for the lease; gives when the holder before it last renewed it.
    async fn win(&self) -> Option<Timestamp> {
        match &self.election {
            Some(election) => election.win().await,
            None => None,
        }
    }

    /// Keeps the lease, and says why it was lost.
    async fn hold(&self) -> anyhow::Error {
        match &self.election {
            Some(election) => election.hold().await,
            None => std::future::pending().await,
        }
    }

    /// Nothing here writes any more. Of a sync that was cut off a write may still arrive at the API server: then the lease runs out by
    /// itself, and nobody else starts before. What other tasks had under way says which version it is about, so it comes too late by itself.
    async fn give_back(&self, drained: bool) {
        let Some(election) = &self.election else { return };
        if !drained {
            warn!("some syncs did not end in time; the next start repeats them, once the lease has run out");
        } else if let Err(error) = election.release().await {
            warn!(%error, "the lease could not be given back");
        }
    }

    /// Starts watching, waits for the first lists, then hands out jobs for ever. `last_work`: when another controller, or this one
    /// before it was started anew, is known to have worked.
    async fn work(&self, last_work: Option<Timestamp>, background: &mut Background, workers: &mut JoinSet<()>) {
        let context = &self.context;
        context.health.set_phase(Phase::Syncing);
        self.upgrade_definition(background).await;
        let is_listed = self.read_lists(background).await;
        context.health.set_phase(Phase::Running);
        info!(objects = context.objects.len(), "the first lists are complete");
        if context.watch_outputs {
            background.keep("orphans", orphans::follow(Arc::clone(context), is_listed));
        }
        background.keep("poller", Arc::new(self.poller(last_work)).run());
        let random = RandomState::new();
        loop {
            let job = context.queue.next().await;
            while workers.try_join_next().is_some() {}
            let context = Arc::clone(context);
            let jitter = jitter(&random, &job.key);
            workers.spawn(async move { context.queue.work(&job, jitter, context.sync(&job)).await });
        }
    }

    async fn upgrade_definition(&self, background: &mut Background) {
        if !self.config.upgrades_definition {
            return;
        }
        let definition = Definition::new(self.context.client.clone(), Arc::clone(&self.context.health));
        if !definition.upgrade().await {
            background.keep("definition", definition.follow());
        }
    }

    /// Starts following all that has to be known, and waits until it is; says when a list of AKVS is complete.
    async fn read_lists(&self, background: &mut Background) -> watch::Receiver<bool> {
        let context = &self.context;
        let (grants, objects, queue) = (&context.grants, &context.objects, &context.queue);
        let grants_file = grants.load().await;
        let is_listed = self.watch_all(background);
        let follow = Arc::clone(grants).follow_labels(
            self.watching.clone(),
            self.config.namespaces.clone(),
            Arc::clone(objects),
            Arc::clone(queue),
        );
        background.keep("labels of namespaces", follow);
        context.lists.settled().await;
        grants.labels_settled().await;
        let follow = Arc::clone(grants).follow_file(grants_file, Arc::clone(objects), Arc::clone(queue));
        background.keep("vault grants", follow);
        is_listed
    }

    /// Starts the watches of AKVS and outputs in every namespace; says when a list of AKVS is complete.
    fn watch_all(&self, background: &mut Background) -> watch::Receiver<bool> {
        let (config, context) = (&self.config, &self.context);
        let (listed, is_listed) = watch::channel(false);
        let (told, changes) = mpsc::unbounded_channel();
        for scope in config.namespaces.scopes() {
            if context.watch_outputs {
                let follow = context.store.watch(self.watching.clone(), scope.clone(), told.clone());
                background.keep("watch of outputs", follow);
            }
            let selection = Selection {
                scope,
                labels: config.labels.clone(),
            };
            let follow = watches::objects(
                self.watching.clone(),
                selection,
                Arc::clone(&context.objects),
                Arc::clone(&context.queue),
                context.lists.clone(),
                listed.clone(),
            );
            background.keep("watch of AzureKeyVaultSecrets", follow);
        }
        if context.watch_outputs {
            let follow = watches::outputs(changes, Arc::clone(&context.objects), Arc::clone(&context.queue));
            background.keep("outputs", follow);
        }
        is_listed
    }

    fn poller(&self, last_work: Option<Timestamp>) -> Poller {
        let context = &self.context;
        Poller {
            vault: context.vault.clone(),
            readers: Arc::clone(&context.readers),
            grants: Arc::clone(&context.grants),
            objects: Arc::clone(&context.objects),
            names: Arc::clone(&context.names),
            queue: Arc::clone(&context.queue),
            metrics: Arc::clone(&context.metrics),
            health: Arc::clone(&context.health),
            last_work: last_work
                .and_then(|at| u64::try_from(at.as_second()).ok())
                .map(Duration::from_secs),
            period: context.period,
            mode: self.config.args.change_detection,
            reapply_daily: !context.watch_outputs,
        }
    }
}

/// Waits for the end of all, and ends what does not end in time by itself. True when nothing was cut off.
async fn drain(workers: &mut JoinSet<()>) -> bool {
    let finished = async { while workers.join_next().await.is_some() {} };
    let drained = tokio::time::timeout(DRAIN, finished).await.is_ok();
    workers.shutdown().await;
    drained
}

/// In 0..1, different for each job.
fn jitter(random: &RandomState, key: &Key) -> f64 {
    let mut hasher = random.build_hasher();
    std::hash::Hash::hash(key, &mut hasher);
    std::hash::Hash::hash(&std::time::Instant::now(), &mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_in_time_is_ended_before_anybody_else_may_begin() {
        let (alive, mut gone) = mpsc::channel::<()>(1);
        let mut workers = JoinSet::new();
        workers.spawn(async {});
        assert!(drain(&mut workers).await);
        workers.spawn(async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        assert!(!drain(&mut workers).await);
        assert!(workers.is_empty());
        assert_eq!(gone.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }
}
