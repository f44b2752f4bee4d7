//! Leader election on a Lease: one replica works, the others stand by.
//!
//! As client-go does it: a holder that has not renewed for the lease's duration, *as seen by our own clock*, has lost it; so
//! clocks of different nodes are never compared. Writes carry the resource version that was read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use anyhow::{Context, bail};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tracing::{debug, info, warn};

use crate::health::{Health, LEASE};
use crate::term::Term;

/// How long a silent holder keeps the lease.
const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for so long stops working, before anybody else may start.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between renewals.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Time between looks of those that wait.
const RETRY_EVERY: Duration = Duration::from_secs(2);

/// One candidate.
pub(crate) struct Election {
    api: Api<Lease>,
    namespace: String,
    name: String,
    me: String,
    term: Term,
    health: Arc<Health>,
}

/// What to do about a lease.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Create,
    Take,
    Renew,
    Wait,
}

/// The lease as last seen changing, by our own clock.
struct Seen {
    version: Option<String>,
    since: Instant,
    /// When its holder last renewed it, by that holder's clock.
    renewed: Option<Timestamp>,
}

impl Election {
    /// A candidate called `me` for the lease `namespace/name`; `term` is extended with each renewal, and `health` learns why
    /// the lease cannot be had.
    pub(crate) fn new(
        client: kube::Client,
        namespace: &str,
        name: &str,
        me: String,
        term: Term,
        health: Arc<Health>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            me,
            term,
            health,
        }
    }

    /// A client that writes only while this candidate holds the lease.
    pub(crate) fn guard(&self, client: kube::Client) -> kube::Client {
        self.term.guard(client)
    }

    /// Waits until this candidate holds the lease. Gives when the holder before it last renewed it, by that one's clock: a sign
    /// of its work, give or take [`RENEW_EVERY`].
    pub(crate) async fn win(&self) -> Option<Timestamp> {
        let mut seen: Option<Seen> = None;
        let mut told = false;
        loop {
            let tried = match self.try_once(&mut seen).await {
                // Another candidate was quicker.
                Err(error) if is_conflict(&error) => Ok(false),
                tried => tried,
            };
            self.tell(tried.as_ref().err());
            match tried {
                Ok(true) => {
                    info!(lease = self.name, me = self.me, "this replica leads");
                    return seen?.renewed;
                }
                Ok(false) if !told => {
                    told = true;
                    info!(lease = self.name, me = self.me, "another replica leads; standing by");
                }
                Ok(false) | Err(_) => {}
            }
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Renews until the lease is lost, and says why it was.
    pub(crate) async fn hold(&self) -> anyhow::Error {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(if renewed.elapsed() > RENEW_EVERY {
                RETRY_EVERY
            } else {
                RENEW_EVERY
            })
            .await;
            let left = RENEW_DEADLINE.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(left, self.renew()).await {
                Ok(Ok(())) => {
                    renewed = Instant::now();
                    self.tell(None);
                }
                Ok(Err(error)) if error.is::<Lost>() => return error,
                Ok(Err(error)) => self.tell(Some(&error)),
                Err(_) => debug!(lease = self.name, "renewing the lease took too long"),
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return anyhow::anyhow!("the lease {} could not be renewed for {RENEW_DEADLINE:?}", self.name);
            }
        }
    }

    /// Says in `/readyz`, and once in the log, what is wrong with the lease.
    fn tell(&self, error: Option<&anyhow::Error>) {
        let problem = error.map(|error| trouble(&self.namespace, &self.name, error));
        if self.health.report(LEASE, problem.clone()) {
            if let Some(problem) = problem {
                warn!(lease = self.name, error = %problem, "the lease cannot be read or written; trying again");
            } else {
                info!(lease = self.name, "the lease can be read and written again");
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait. Nothing is written any more by whoever was guarded.
    pub(crate) async fn release(&self) -> anyhow::Result<()> {
        self.term.end();
        match self.give_up().await {
            // A renewal of ours that was under way came in between. It was the last.
            Err(error) if is_conflict(&error) => self.give_up().await,
            given => given,
        }
    }

    async fn give_up(&self) -> anyhow::Result<()> {
        let lease = self.api.get(&self.name).await?;
        if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(self.me.as_str()) {
            let mut lease = lease;
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
            }
            self.replace(lease).await?;
        }
        Ok(())
    }

    /// True when this candidate holds the lease now.
    async fn try_once(&self, seen: &mut Option<Seen>) -> anyhow::Result<bool> {
        let lease = self.api.get_opt(&self.name).await.context("cannot read the lease")?;
        let version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        if seen.as_ref().is_none_or(|seen| seen.version != version) {
            *seen = Some(Seen {
                version,
                since: Instant::now(),
                renewed: lease
                    .as_ref()
                    .and_then(|lease| Some(lease.spec.as_ref()?.renew_time.as_ref()?.0)),
            });
        }
        let silent = seen.as_ref().map_or(Duration::ZERO, |seen| seen.since.elapsed());
        match step(lease.as_ref(), &self.me, silent) {
            Step::Wait => return Ok(false),
            Step::Create | Step::Take | Step::Renew => self.claim(lease).await?,
        }
        Ok(true)
    }

    async fn renew(&self) -> anyhow::Result<()> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            bail!(Lost)
        };
        match step(Some(&lease), &self.me, Duration::ZERO) {
            Step::Renew => self.claim(Some(lease)).await,
            Step::Create | Step::Take | Step::Wait => bail!(Lost),
        }
    }

    /// Writes the lease as ours. Others count from when they see that, which is later than now.
    async fn claim(&self, lease: Option<Lease>) -> anyhow::Result<()> {
        let until = Instant::now() + RENEW_DEADLINE;
        match lease {
            None => {
                let new = self.claimed(Lease::default());
                self.api.create(&PostParams::default(), &new).await?;
            }
            Some(lease) => self.replace(self.claimed(lease)).await?,
        }
        self.term.extend(until);
        Ok(())
    }

    async fn replace(&self, lease: Lease) -> anyhow::Result<()> {
        self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        Ok(())
    }

    /// `lease` as ours, from now on.
    fn claimed(&self, lease: Lease) -> Lease {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.unwrap_or_default();
        let mine = before.holder_identity.as_deref() == Some(self.me.as_str());
        let spec = LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: if mine {
                before.acquire_time.clone()
            } else {
                Some(now.clone())
            },
            renew_time: Some(now),
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(!mine)),
            ..before
        };
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            ..lease.metadata
        };
        Lease {
            metadata,
            spec: Some(spec),
        }
    }
}

/// Somebody else holds the lease, or it was deleted.
#[derive(Debug, thiserror::Error)]
#[error("the lease was lost to another replica")]
struct Lost;

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<kube::Error>(), Some(kube::Error::Api(status)) if status.code == 409)
}

/// What `error` says about the lease. A refusal of the API server names the verb and the user.
fn trouble(namespace: &str, name: &str, error: &anyhow::Error) -> Diagnosis {
    let what = format!("The Lease {namespace}/{name} cannot be read or written.");
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) if status.is_forbidden() => {
            let message = &status.message;
            let namespace = &namespace;
            Diagnosis::case(case::LeaseForbidden { message, namespace }, what)
        }
        Some(kube::Error::Api(status)) if status.is_not_found() => {
            let message = &status.message;
            Diagnosis::case(case::LeaseNamespaceMissing { message }, what)
        }
        _ => Diagnosis::case(case::LeaseOutOfReach { error }, what),
    }
}

/// Decides; `silent`: for how long the lease has not changed.
fn step(lease: Option<&Lease>, me: &str, silent: Duration) -> Step {
    let Some(lease) = lease else { return Step::Create };
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    let seconds = spec
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    match holder {
        None => Step::Take,
        Some(holder) if holder == me => Step::Renew,
        Some(_) if silent >= seconds.map_or(DURATION, Duration::from_secs) => Step::Take,
        Some(_) => Step::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::http::{Method, Request, Response};

    use super::*;

    fn lease(holder: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        Lease {
            spec: Some(spec),
            ..Lease::default()
        }
    }

    #[test]
    fn a_lease_changes_hands_only_when_it_is_free_or_its_holder_is_silent() {
        assert_eq!(step(None, "a", Duration::ZERO), Step::Create);
        assert_eq!(step(Some(&lease("")), "a", Duration::ZERO), Step::Take);
        assert_eq!(step(Some(&Lease::default()), "a", Duration::ZERO), Step::Take);
        assert_eq!(step(Some(&lease("a")), "a", Duration::ZERO), Step::Renew);
        assert_eq!(step(Some(&lease("b")), "a", Duration::from_secs(14)), Step::Wait);
        assert_eq!(step(Some(&lease("b")), "a", Duration::from_secs(15)), Step::Take);
    }

    /// The lease in an API server's answers, with a renewal that comes in before the first write.
    #[derive(Default)]
    struct Server {
        renewed: AtomicBool,
        written: Mutex<Option<Lease>>,
    }

    impl Server {
        fn answer(&self, method: &Method, body: &[u8]) -> anyhow::Result<Response<kube::client::Body>> {
            let (status, text) = if *method == Method::PUT && !self.renewed.swap(true, Ordering::SeqCst) {
                (
                    409,
                    r#"{"status":"Failure","message":"changed","reason":"Conflict","code":409}"#.to_owned(),
                )
            } else if *method == Method::PUT {
                let lease: Lease = serde_json::from_slice(body)?;
                *self.written.lock().expect("nobody panicked") = Some(lease);
                (200, String::from_utf8(body.to_vec())?)
            } else {
                (200, serde_json::to_string(&lease("me"))?)
            };
            Ok(Response::builder().status(status).body(text.into_bytes().into())?)
        }
    }

    #[tokio::test]
    async fn a_lease_is_given_back_though_a_renewal_of_ours_came_in_between() {
        let server = Arc::new(Server::default());
        let answering = Arc::clone(&server);
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let server = Arc::clone(&answering);
            async move {
                let method = request.method().clone();
                let body = request.into_body().collect_bytes().await?;
                server.answer(&method, &body).map_err(tower::BoxError::from)
            }
        });
        let client = kube::Client::new(service, "default");
        let election = Election::new(
            client,
            "akv2k8s",
            "lease",
            "me".to_owned(),
            Term::default(),
            Arc::default(),
        );
        election.release().await.unwrap();
        let written = server.written.lock().expect("nobody panicked").take();
        let spec = written.expect("it was written").spec.expect("it has one");
        assert_eq!((spec.holder_identity, spec.lease_duration_seconds), (None, Some(1)));
    }

    #[test]
    fn a_holder_stops_before_another_may_start() {
        assert!(RENEW_DEADLINE < DURATION);
        assert!(RENEW_EVERY < RENEW_DEADLINE);
    }
}
