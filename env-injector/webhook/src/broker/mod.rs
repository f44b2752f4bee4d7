//! The broker: gives a prepared pod the values that its references name, and nothing else.
//!
//! ```text
//!  POST /v1/values ─▶ http ─▶ authenticate: bearer token → pod (TokenReview)
//!                              │
//!                              ▼
//!                    decide: pod, namespace, AKVS, grants → what is to be read   (pure)
//!                              │
//!                              ▼
//!                    values: shared/keyvault, coalesced ─▶ audit ─▶ answer
//! ```
//!
//! Who asks comes from the token alone. A token leads to one pod, the pod to its namespace, and only what an AKVS of that namespace
//! names is read.

mod authenticate;
mod decide;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod http;
mod limit;
mod metrics;
mod open;
mod refusal;
mod review;
mod token;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::grants::{Namespace, RuleFile};
use akv2k8s_shared::injection::reference::Query;
use akv2k8s_shared::injection::value::Read;
use akv2k8s_shared::injection::wire::{self, Ask};
use akv2k8s_shared::keyvault::KeyVault;
use akv2k8s_shared::readers::{Reader, Readers};
use akv2k8s_shared::reference::ObjectRef;
use akv2k8s_shared::secret::SecretBytes;
use futures::{StreamExt, stream};
use tracing::info;

use crate::cluster::{Cluster, Knowledge};
use crate::server::{Bodies, Peer};
use authenticate::{Authenticator, Caller};
use decide::{Facts, Release, decide};
pub use http::router;
use limit::{RateLimit, weight_of_bytes, weight_of_references};
pub use metrics::Metrics;
use refusal::Refused;
pub use refusal::gone;
use values::{Values, Wanted};

/// A ServiceAccount that no pod needed for so long loses its tokens.
const IDLE: Duration = Duration::from_mins(5);
/// Values of one request that are read at a time.
const AT_A_TIME: usize = 64;

/// How the broker works.
#[derive(Debug, Clone)]
pub struct Options {
    /// How old a value may be that is given: the poll period.
    pub max_age: Duration,
    /// How much older it may be while vault or Entra do not answer. Zero: not at all.
    pub max_stale: Duration,
}

/// Hands out values; one per process.
pub struct Broker {
    authenticator: Authenticator,
    cluster: Cluster,
    grants: Arc<RuleFile>,
    readers: Readers,
    values: Values,
    limit: RateLimit,
    bodies: Bodies,
    metrics: Metrics,
}

impl Broker {
    /// Nothing is asked yet. `vault` should keep answers for [`Options::max_age`].
    pub fn new(
        client: kube::Client,
        cluster: Cluster,
        vault: KeyVault,
        readers: Readers,
        grants: Arc<RuleFile>,
        metrics: Metrics,
        options: &Options,
    ) -> Self {
        Self {
            authenticator: Authenticator::new(client, cluster.clone()),
            cluster,
            grants,
            readers,
            values: Values::new(vault, options),
            limit: RateLimit::default(),
            bodies: Bodies::new(http::BODIES),
            metrics,
        }
    }

    /// Follows the vault grants, and gives up identities that no pod needs and vaults that no AKVS names any more; never ends.
    pub async fn follow(&self) {
        let mut turn = tokio::time::interval(IDLE / 5);
        let give_up = async {
            loop {
                turn.tick().await;
                self.readers.retain_used(IDLE);
                // Of a namespace that cannot be read any more, what was seen last counts; where nothing was ever seen, nobody was served.
                let named = self.cluster.vaults();
                self.values.retain(|vault| named.contains(vault.as_str()));
            }
        };
        tokio::select! {
            () = self.grants.follow() => {}
            () = give_up => {}
        }
    }

    /// What is asked for values, for metrics.
    pub(crate) fn vault(&self) -> KeyVault {
        self.values.vault().clone()
    }

    /// Who sends `token` from `peer`. Counts against that pod's share.
    async fn admit(&self, token: &str, peer: Peer) -> Result<Arc<Caller>, Refused> {
        // While nobody can be served, nobody is asked about.
        if !self.cluster.is_current_somewhere() {
            return Err(Refused::of_watches());
        }
        let caller = self.authenticator.authenticate(token, peer).await?;
        self.limit.take(&caller.uid, 1, Instant::now())?;
        match self.cluster.knowledge(&caller.namespace) {
            Knowledge::Current => Ok(caller),
            // Whoever is not served did not come so far.
            Knowledge::Outdated | Knowledge::NotServed => Err(Refused::of_watches()),
        }
    }

    /// The values that `caller` asks for: all, or none.
    async fn release(&self, caller: &Caller, ask: Ask) -> Result<wire::Values, Refused> {
        self.limit
            .take(&caller.uid, weight_of_references(&ask.references), Instant::now())?;
        let releases = self.decide(caller, ask)?;
        let reading: Vec<_> = releases.iter().map(|release| self.read(caller, release)).collect();
        let mut reading = stream::iter(reading).buffered(AT_A_TIME);
        let (mut reads, mut bytes) = (Vec::new(), 0);
        while let Some(read) = reading.next().await {
            bytes += read.as_ref().map_or(0, |(read, _)| read.value.len());
            reads.push(read);
            if bytes > wire::MAX_ANSWER {
                break;
            }
        }
        self.limit.debit(&caller.uid, weight_of_bytes(bytes), Instant::now());
        if bytes > wire::MAX_ANSWER {
            return Err(Refused::too_much());
        }
        // What somebody has to repair comes first: waiting for the rest would be in vain.
        let failures = || reads.iter().filter_map(|read| read.as_ref().err());
        if let Some(failure) = failures().find(|it| !it.refusal.retry).or_else(|| failures().next()) {
            return Err(failure.clone());
        }
        let mut values = wire::Values::default();
        for (release, (read, stale)) in releases.iter().zip(reads.into_iter().flatten()) {
            audit(caller, release, &read, stale);
            values
                .0
                .insert(release.reference.clone(), SecretBytes::clone(&read.value));
        }
        self.metrics.released(values.0.len());
        Ok(values)
    }

    fn decide(&self, caller: &Caller, ask: Ask) -> Result<Vec<Release>, Refused> {
        let labels = self.cluster.labels(&caller.namespace);
        let namespace = Namespace {
            name: &caller.namespace,
            labels: labels.as_ref().ok_or("the namespace has not been seen yet"),
        };
        let facts = Facts {
            label: self.cluster.label(),
            labels: labels.as_ref(),
            specs: &self.cluster.specs(&caller.namespace),
            grants: &|object: &ObjectRef| self.grants.check(&namespace, object),
        };
        decide(caller, ask, &facts)
    }

    async fn read(&self, caller: &Caller, release: &Release) -> Result<(Arc<Read>, Option<Duration>), Refused> {
        let about = |refused: Refused| refused.about(&release.reference);
        let reader = Reader::new(&caller.namespace, release.source.service_account());
        let identity = self.readers.identity(&reader).await;
        let identity = identity.map_err(|error| about(Refused::of_vault(&error.diagnosis, error.retry)))?;
        let wanted = Wanted {
            identity,
            source: release.source.clone(),
            query: release.query.clone(),
        };
        let read = self.values.read(wanted).await;
        read.map_err(|error| about(Refused::of_vault(&error.diagnosis, error.retry)))
    }
}

/// The line that tells who was given what. It never holds a value. Its target begins as the crate does: else the log would leave it out.
fn audit(caller: &Caller, release: &Release, read: &Read, stale: Option<Duration>) {
    info!(
        target: "akv2k8s_envinjector::audit",
        namespace = caller.namespace,
        pod = caller.pod,
        pod_uid = caller.uid,
        service_account = caller.service_account,
        akvs = release.akvs,
        query = release.query.as_ref().map(Query::as_str),
        object = %release.source.object(release.query.as_ref()),
        version = read.version.as_str(),
        stale_seconds = stale.map(|it| it.as_secs()),
        "value released"
    );
}

#[cfg(test)]
mod tests;
