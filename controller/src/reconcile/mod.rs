//! One AKVS, from what is wanted to what is there: decide purely, act thinly.
//!
//! ```text
//!  objects, store ──▶ decide ──▶ vault.get ──▶ desired ──▶ output::plan/apply ──▶ status ──▶ event, log line, metric
//! ```

mod conclude;
mod decide;
mod desired;
mod let_go;
mod malformed;
mod report;
mod status;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::api::{self, AzureKeyVaultSecret};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::keyvault::KeyVault;
use akv2k8s_shared::readers::Readers;
use akv2k8s_shared::span;
use futures::FutureExt;
use tokio::sync::Semaphore;
use tracing::Span;

use decide::{Next, View, decide, recorded};
pub(crate) use decide::{is_ready, status_of};
pub use desired::desired;
pub(crate) use status::identity as status_identity;
use write::{Failure, Read};

use crate::events::Events;
use crate::grants::VaultGrants;
use crate::health::Health;
use crate::lists::Lists;
use crate::metrics::{Cause, Metrics};
use crate::names::Names;
use crate::objects::{Key, Object, Objects, id, wanted};
use crate::output::{self, OutputState, Target};
use crate::phase::slot;
use crate::queue::{Again, Job, Lane, Queue};

/// Syncs that talk to the API server at once.
const WRITES_AT_ONCE: usize = 64;
/// Writing this many at once leaves the API server room for events.
const FEW_WRITES: usize = 8;

/// What a worker needs; shared by all.
pub(crate) struct Context {
    /// The API server.
    pub(crate) client: kube::Client,
    /// All vaults.
    pub(crate) vault: KeyVault,
    /// Who reads them.
    pub(crate) readers: Arc<Readers>,
    /// Who may have what read.
    pub(crate) grants: Arc<VaultGrants>,
    /// The AKVS.
    pub(crate) objects: Arc<Objects>,
    /// How the watches stand.
    pub(crate) lists: Lists,
    /// What vaults hold besides.
    pub(crate) names: Arc<Names>,
    /// Where work for others is asked for.
    pub(crate) queue: Arc<Queue<Key>>,
    /// Metadata of the outputs; stays empty without `watch_outputs`.
    pub(crate) store: output::Store,
    /// Whether outputs are watched.
    pub(crate) watch_outputs: bool,
    /// Time between two looks at a vault.
    pub(crate) period: Duration,
    /// Where events go.
    pub(crate) events: Events,
    /// Counters.
    pub(crate) metrics: Arc<Metrics>,
    /// How identity and vaults stand.
    pub(crate) health: Arc<Health>,
    /// Limits writes in flight.
    pub(crate) writes: Arc<Semaphore>,
}

/// The permits for [`Context::writes`].
pub(crate) fn writes() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(WRITES_AT_ONCE))
}

/// Whether so many syncs write that what is less urgent should wait.
pub(crate) fn is_busy(writes: &Semaphore) -> bool {
    writes.available_permits() + FEW_WRITES < WRITES_AT_ONCE
}

impl Context {
    /// Works on one object. Never fails: what went wrong stands in its status, and in when it is tried again.
    pub(crate) async fn sync(&self, job: &Job<Key>) -> Again {
        let mut all_released = true;
        for gone in self.objects.take_gone(&job.key) {
            if !self.let_go(&job.key, &gone).await {
                self.objects.put_back(&job.key, gone);
                all_released = false;
            }
        }
        let again = match self.objects.get(&job.key) {
            None => Again::Done,
            Some(Object::Malformed(invalid)) => {
                self.tell_malformed(&invalid).await;
                Again::Done
            }
            Some(Object::Valid(akvs)) if akvs.metadata.deletion_timestamp.is_some() => Again::Done,
            Some(Object::Valid(akvs)) => self.sync_valid(&akvs, job).await,
        };
        match again {
            Again::Done if !all_released => Again::Soon,
            again => again,
        }
    }

    async fn sync_valid(&self, akvs: &AzureKeyVaultSecret, job: &Job<Key>) -> Again {
        let start = Instant::now();
        let cause = cause(akvs, job.lane);
        let traced = |work| span::within(span_of(job, cause), |failure: &Failure| failure.diagnosis.code, work);
        let result = match self.next(akvs, job) {
            Next::Nothing => return Again::Done,
            // Those of a whole cluster are spread over one period.
            Next::TakeOverLater => return Again::Later(slot(&job.key.to_string(), self.period)),
            Next::Withdraw => traced(self.withdraw(akvs).boxed()).await,
            // Whatever could change the answer asks for another sync.
            Next::Deny(denied) => Err(Failure::by_user(denied, Again::Done)),
            Next::Fetch { why, priority, reapply } => {
                let read = Read {
                    priority,
                    since: job.since,
                };
                traced(self.fetch_and_write(akvs, &why, read, reapply).boxed()).await
            }
        };
        let failure = result.as_ref().err().map(|failure| failure.diagnosis.code.as_str());
        self.metrics.synced(cause, start.elapsed().as_secs_f64(), failure);
        self.conclude(akvs, result).await
    }

    /// What is to be done, from what is known without the vault.
    fn next(&self, akvs: &AzureKeyVaultSecret, job: &Job<Key>) -> Next {
        // Of a namespace whose outputs may not be listed nothing is known, as if they were not watched.
        let namespace = akvs.metadata.namespace.as_deref().unwrap_or_default();
        let outputs = if self.watch_outputs && self.store.is_synced(namespace) {
            self.states(akvs)
        } else {
            Vec::new()
        };
        decide(&View {
            akvs,
            denied: self.denied(akvs),
            outputs: &outputs,
            holds: self.holds(akvs),
            reasons: job.reasons,
            lane: job.lane,
        })
    }

    /// Why its object may not be read for its namespace. An object that cannot be parsed is not read either.
    pub(super) fn denied(&self, akvs: &AzureKeyVaultSecret) -> Option<Box<Diagnosis>> {
        let object = api::parse(akvs).ok()?.object;
        self.grants.check(&id(&akvs.metadata).namespace, &object).err()
    }

    fn holds(&self, akvs: &AzureKeyVaultSecret) -> bool {
        let recorded = akvs.status.as_ref().is_some_and(|status| !status.outputs.is_empty());
        recorded || self.store.has_applied(&id(&akvs.metadata))
    }

    fn states(&self, akvs: &AzureKeyVaultSecret) -> Vec<(Target, OutputState)> {
        let akvs_id = id(&akvs.metadata);
        let copied = output::copied(&akvs.metadata);
        let status = status_of(akvs);
        let state = |target: Target| {
            let meta = self.store.get(&akvs_id.namespace, &target);
            let recorded = recorded(&status.outputs, &target);
            let state = output::state(meta.as_ref(), &akvs_id, recorded, &copied);
            (target, state)
        };
        wanted(akvs).into_iter().map(state).collect()
    }
}

fn span_of(job: &Job<Key>, cause: Cause) -> Span {
    let (namespace, name) = (&*job.key.namespace, &*job.key.name);
    span!("sync", namespace, akvs = name, operation = cause.operation())
}

fn cause(akvs: &AzureKeyVaultSecret, lane: Lane) -> Cause {
    let first = status_of(akvs).observed_generation.is_none();
    match lane {
        Lane::New if first => Cause::ADD,
        Lane::New => Cause::UPDATE,
        Lane::Refresh => Cause::SYNC,
    }
}
