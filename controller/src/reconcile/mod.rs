//! One AKVS, from what is wanted to what is there: decide purely, act thinly.
//!
//! ```text
//!  objects, store ──▶ decide ──▶ vault.get ──▶ desired ──▶ output::plan/apply ──▶ status ──▶ event, log line, metric
//! ```

mod decide;
mod desired;
mod report;
mod status;

use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::api::{self, AzureKeyVaultSecret, Request, StatusOutput};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::keyvault::{Fetched, KeyVault, Priority, Retry, VaultError};
use k8s_openapi::jiff::Timestamp;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use decide::{Next, View, decide, must_write, recorded};
pub(crate) use decide::{is_ready, status_of};
use desired::{attributes, desired, version};
use status::{Outcome, Synced};

use crate::events::Events;
use crate::health::Health;
use crate::metrics::{Cause, Metrics};
use crate::objects::{Gone, Key, Object, Objects, id, wanted};
use crate::output::{self, AkvsId, Applied, ApplyError, Change, Claimant, OutputState, Target};
use crate::phase::slot;
use crate::queue::{Again, Job, Lane, Queue};
use crate::watch::enqueue;

/// Attempts when an output changes between looking and writing.
const ATTEMPTS: usize = 3;
/// Syncs that talk to the API server at once.
const WRITES_AT_ONCE: usize = 64;

/// What a worker needs; shared by all.
pub(crate) struct Context {
    /// The API server.
    pub(crate) client: kube::Client,
    /// All vaults.
    pub(crate) vault: KeyVault,
    /// Who reads them, or why nobody can.
    pub(crate) identity: Result<Identity, Box<Diagnosis>>,
    /// The AKVS.
    pub(crate) objects: Arc<Objects>,
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
    pub(crate) writes: Semaphore,
}

/// The permits for [`Context::writes`].
pub(crate) fn writes() -> Semaphore {
    Semaphore::new(WRITES_AT_ONCE)
}

/// Why a sync did not reach its end.
struct Failure {
    diagnosis: Box<Diagnosis>,
    again: Again,
    /// The outputs held now, when they changed before the failure.
    outputs: Option<Vec<StatusOutput>>,
}

impl Context {
    /// Works on one object. Never fails: what went wrong stands in its status, and in when it is tried again.
    pub(crate) async fn sync(&self, job: &Job<Key>) -> Again {
        let start = Instant::now();
        let mut again = Again::Done;
        for gone in self.objects.take_gone(&job.key) {
            if !self.let_go(&job.key, &gone).await {
                self.objects.put_back(&job.key, gone);
                again = Again::Soon;
            }
        }
        match self.objects.get(&job.key) {
            None => {}
            Some(Object::Malformed(invalid)) => report::malformed(self, &invalid).await,
            Some(Object::Valid(akvs)) if akvs.metadata.deletion_timestamp.is_some() => {}
            Some(Object::Valid(akvs)) => {
                let next = self.next(&akvs, job);
                if let Some(result) = self.carry_out(&akvs, next).await {
                    let failure = result.as_ref().err().map(|failure| failure.diagnosis.code.as_str());
                    self.metrics
                        .synced(cause(&akvs, job.lane), start.elapsed().as_secs_f64(), failure);
                    again = self.conclude(&akvs, result).await;
                } else if let Some(wait) = self.take_over_in(&akvs, job) {
                    again = Again::Later(wait);
                }
            }
        }
        again
    }

    /// What is to be done, from what is known without the vault.
    fn next(&self, akvs: &AzureKeyVaultSecret, job: &Job<Key>) -> Next {
        let outputs = if self.watch_outputs {
            self.states(akvs)
        } else {
            Vec::new()
        };
        decide(&View {
            akvs,
            outputs: &outputs,
            reasons: job.reasons,
            lane: job.lane,
        })
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

    /// Take-over writes of a whole cluster are spread over one period.
    fn take_over_in(&self, akvs: &AzureKeyVaultSecret, job: &Job<Key>) -> Option<Duration> {
        (self.next(akvs, job) == Next::TakeOverLater).then(|| slot(&job.key.to_string(), self.period))
    }

    /// `None`: there was nothing to do.
    async fn carry_out<'a>(&self, akvs: &AzureKeyVaultSecret, next: Next) -> Option<Result<Done, Failure>> {
        match next {
            Next::Nothing | Next::TakeOverLater => None,
            Next::Withdraw => Some(self.withdraw(akvs).await),
            Next::Fetch { why, priority, reapply } => Some(self.fetch_and_write(akvs, &why, priority, reapply).await),
        }
    }

    async fn fetch_and_write(
        &self,
        akvs: &AzureKeyVaultSecret,
        why: &str,
        priority: Priority,
        reapply: bool,
    ) -> Result<Done, Failure> {
        let request = api::parse(akvs).map_err(|diagnosis| Failure::by_user(diagnosis, Again::Done))?;
        let identity = self
            .identity
            .as_ref()
            .map_err(|it| Failure::by_user(it.clone(), Again::Slowly))?;
        let fetched = self
            .vault
            .get(identity, &request.object, priority)
            .await
            .map_err(|it| Failure::of_vault(&it))?;
        let status = status_of(akvs);
        let read = version(&fetched.object).to_owned();
        if !must_write(&status, &read, reapply) {
            return Ok(Done::Synced {
                request,
                fetched,
                outputs: status.outputs,
                changes: Vec::new(),
            });
        }
        let desired = desired(&request, &fetched.object, &output::copied(&akvs.metadata))
            .map_err(|diagnosis| Failure::by_user(diagnosis, Again::Slowly))?;
        let (outputs, changes) = self.write(akvs, &desired).await?;
        for (target, change) in &changes {
            info!(
                akvs = %Key::new(&id(&akvs.metadata).namespace, &id(&akvs.metadata).name),
                object = %request.object, version = read, output = %target, change = ?change, why, "output written",
            );
        }
        Ok(Done::Synced {
            request,
            fetched,
            outputs,
            changes,
        })
    }

    /// Observes, plans and applies; again at once when an output changed in between.
    async fn write(
        &self,
        akvs: &AzureKeyVaultSecret,
        desired: &[output::Desired],
    ) -> Result<(Vec<StatusOutput>, Vec<(Target, Change)>), Failure> {
        let akvs_id = id(&akvs.metadata);
        let held = status_of(akvs).outputs;
        let targets: Vec<_> = desired.iter().map(|it| it.target.clone()).collect();
        let claimant = Claimant {
            id: &akvs_id,
            adopt: adopts(akvs),
            recorded: &held,
        };
        let _permit = self.writes.acquire().await;
        let mut attempt = 1;
        loop {
            let observed = output::observe(&self.client, &self.store, &akvs_id, &targets, &held)
                .await
                .map_err(Failure::of_output)?;
            let plan = output::plan(&claimant, desired, &observed, &self.siblings(&akvs_id, &targets));
            let applied = output::apply(&self.client, &self.store, &plan).await;
            let recurs = |error: &ApplyError| error.retry == output::Retry::Observe;
            if attempt < ATTEMPTS && !applied.failed.is_empty() && applied.failed.iter().all(recurs) {
                attempt += 1;
                continue;
            }
            let outputs = desired::held(&held, &applied);
            let refused = plan.refused.into_iter().next().map(|(_, diagnosis)| diagnosis);
            return finish(outputs, applied, refused);
        }
    }

    fn siblings(&self, akvs_id: &AkvsId, targets: &[Target]) -> Vec<AkvsId> {
        let mut siblings: Vec<_> = targets
            .iter()
            .flat_map(|it| self.objects.siblings(it, akvs_id))
            .collect();
        siblings.sort_by(|a, b| a.uid.cmp(&b.uid));
        siblings.dedup();
        siblings
    }

    async fn withdraw(&self, akvs: &AzureKeyVaultSecret) -> Result<Done, Failure> {
        self.write(akvs, &[]).await.map(|_| Done::Withdrawn)
    }

    /// An AKVS left the watch. True when it is dealt with.
    async fn let_go(&self, key: &Key, gone: &Gone) -> bool {
        match output::is_gone(&self.client, &gone.id).await {
            Ok(true) => {}
            // Its label left, not the object: nothing is to be released. Or it was created again, and prunes what is left.
            Ok(false) => return true,
            Err(error) => {
                warn!(akvs = %key, %error, "cannot tell whether a deleted object is gone; trying again");
                return false;
            }
        }
        let (released, failed) = output::release(&self.client, &self.store, &gone.id, &gone.outputs).await;
        for released in &released {
            info!(akvs = %key, output = ?released, "output released: its object was deleted");
        }
        for error in &failed {
            warn!(akvs = %key, output = %error.target, error = %error.diagnosis, "output could not be released");
        }
        self.metrics
            .synced(DELETE, 0.0, failed.first().map(|error| error.diagnosis.code.as_str()));
        // Those who had to give way may have their turn now.
        for output in &gone.outputs {
            for sibling in self.objects.claimants(&gone.id.namespace, &Target::from(output)) {
                enqueue(&self.objects, &self.queue, &sibling);
            }
        }
        failed.is_empty()
    }

    /// Status, event and log line; gives when to try again.
    async fn conclude(&self, akvs: &AzureKeyVaultSecret, result: Result<Done, Failure>) -> Again {
        let now = Timestamp::now();
        let written = match &result {
            Ok(Done::Withdrawn) => {
                self.write_status(akvs, &status::next(akvs, Outcome::Withdrawn, now))
                    .await
            }
            Ok(Done::Synced {
                request,
                fetched,
                outputs,
                changes,
            }) => {
                let Ok(identity) = &self.identity else {
                    return Again::Done;
                };
                let synced = Synced {
                    object: unversioned(request),
                    version: version(&fetched.object),
                    fingerprint: fetched.settled.then_some(&fetched.fingerprint),
                    attributes: attributes(&fetched.object),
                    identity: identity.info(),
                    outputs: outputs.clone(),
                    written: !changes.is_empty(),
                };
                self.write_status(akvs, &status::next(akvs, Outcome::Synced(synced), now))
                    .await
            }
            Err(failure) => {
                let outputs = failure.outputs.clone().unwrap_or_else(|| status_of(akvs).outputs);
                let transient = matches!(failure.again, Again::Soon | Again::After(_));
                let outcome = Outcome::Failed {
                    diagnosis: &failure.diagnosis,
                    transient,
                    outputs,
                };
                self.write_status(akvs, &status::next(akvs, outcome, now)).await
            }
        };
        match (written, result) {
            // The next pass finds everything in place and only writes status.
            (Err(again), _) => again,
            (Ok(changed), result) => {
                report::outcome(self, akvs, &result, changed);
                result.err().map_or(Again::Done, |failure| failure.again)
            }
        }
    }

    /// Writes the status when it differs; true when it did.
    async fn write_status(
        &self,
        akvs: &AzureKeyVaultSecret,
        status: &api::AzureKeyVaultSecretStatus,
    ) -> Result<bool, Again> {
        use kube::api::{Api, Patch, PatchParams};
        let akvs_id = id(&akvs.metadata);
        let patch = match status::patch(&akvs_id.uid, akvs.status.as_ref(), status) {
            Ok(None) => return Ok(false),
            Ok(Some(patch)) => patch,
            Err(error) => {
                warn!(akvs = akvs_id.name, %error, "status cannot be written as JSON");
                return Err(Again::Slowly);
            }
        };
        let _permit = self.writes.acquire().await;
        let api = Api::<AzureKeyVaultSecret>::namespaced(self.client.clone(), &akvs_id.namespace);
        match api
            .patch_status(&akvs_id.name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
        {
            Ok(akvs) => {
                self.metrics.status_written();
                self.objects.wrote(akvs);
                Ok(true)
            }
            // Deleted, or deleted and created again: the watch tells.
            Err(kube::Error::Api(error)) if error.is_not_found() || error.is_conflict() => Ok(false),
            Err(error) => {
                warn!(namespace = akvs_id.namespace, akvs = akvs_id.name, %error, "status could not be written");
                Err(Again::Soon)
            }
        }
    }
}

/// A sync that reached its end.
enum Done {
    Synced {
        request: Request,
        fetched: Arc<Fetched>,
        outputs: Vec<StatusOutput>,
        changes: Vec<(Target, Change)>,
    },
    Withdrawn,
}

fn finish(
    outputs: Vec<StatusOutput>,
    applied: Applied,
    refused: Option<Box<Diagnosis>>,
) -> Result<(Vec<StatusOutput>, Vec<(Target, Change)>), Failure> {
    if let Some(diagnosis) = refused {
        return Err(Failure {
            diagnosis,
            again: Again::Slowly,
            outputs: Some(outputs),
        });
    }
    if let Some(error) = applied.failed.into_iter().next() {
        return Err(Failure {
            outputs: Some(outputs),
            ..Failure::of_output(error)
        });
    }
    let changes = applied.written.into_iter().filter(|it| it.change != Change::Unchanged);
    Ok((outputs, changes.map(|it| (it.target, it.change)).collect()))
}

impl Failure {
    fn by_user(diagnosis: Box<Diagnosis>, again: Again) -> Self {
        Self {
            diagnosis,
            again,
            outputs: None,
        }
    }

    fn of_vault(error: &VaultError) -> Self {
        let again = match error.retry {
            Retry::After(wait) => Again::After(wait),
            Retry::Soon => Again::Soon,
            Retry::Slowly => Again::Slowly,
        };
        Self {
            diagnosis: Box::new(error.diagnosis.clone()),
            again,
            outputs: None,
        }
    }

    fn of_output(error: ApplyError) -> Self {
        let again = match error.retry {
            output::Retry::Observe | output::Retry::BackOff => Again::Soon,
            output::Retry::Changed => Again::Slowly,
        };
        Self {
            diagnosis: error.diagnosis,
            again,
            outputs: None,
        }
    }
}

const DELETE: Cause = Cause {
    operation: "delete",
    object: "AzureKeyVaultSecret",
};

fn cause(akvs: &AzureKeyVaultSecret, lane: Lane) -> Cause {
    let first = status_of(akvs).observed_generation.is_none();
    match lane {
        Lane::New if first => Cause {
            operation: "add",
            object: "AzureKeyVaultSecret",
        },
        Lane::New => Cause {
            operation: "update",
            object: "AzureKeyVaultSecret",
        },
        Lane::Refresh => Cause {
            operation: "sync",
            object: "AzureKeyVault",
        },
    }
}

fn adopts(akvs: &AzureKeyVaultSecret) -> bool {
    akvs.metadata
        .annotations
        .as_ref()
        .and_then(|it| it.get(api::ADOPT))
        .is_some_and(|value| value == "true")
}

/// The object for people, without its version: that stands beside it.
fn unversioned(request: &Request) -> String {
    let mut object = request.object.clone();
    object.version = None;
    object.to_string()
}
