//! What happens to every request between Microsoft's client and the wire: host check, challenge, token, budget,
//! deadline, retries, and the diagnosis of what fails.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, RawResponse, Request};
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use url::Url;

use super::challenge::{self, Challenge};
use super::coalesce::Askers;
use super::error;
use super::gate::Gate;
use super::{Collection, Priority, RequestCount, Settings, VaultError, VaultState};
use crate::diagnosis::{Diagnosis, Retry, VaultRefusal};
use crate::identity::{self, Cloud, Identity, Token};
use crate::span;

/// The status class of answers that give what was asked for.
const SUCCESS: &str = "2xx";

type Next<'n> = &'n [Arc<dyn Policy>];

/// Who asks for what; travels in the request's context.
pub(super) struct Call {
    pub(super) identity: Identity,
    pub(super) priority: Priority,
    pub(super) collection: Collection,
    /// Whether this is a LIST.
    pub(super) list: bool,
    /// Whether this is the secret behind a certificate.
    pub(super) behind_certificate: bool,
    /// How messages call what is read.
    pub(super) object: String,
    /// Who waits for it, where that may be several.
    pub(super) askers: Option<Askers>,
    /// When the question was last sent.
    pub(super) asked: Mutex<Option<Instant>>,
}

/// The door of one vault of one cloud.
pub(super) struct VaultPolicy {
    vault: String,
    origin: Url,
    cloud: Cloud,
    settings: Settings,
    gate: Gate,
    /// The challenge that was accepted last; whoever asks for it holds the lock.
    challenge: AsyncMutex<Option<Challenge>>,
    counts: Mutex<Counts>,
}

/// What metrics tell of a vault's answers.
#[derive(Default)]
struct Counts {
    /// By operation and status.
    requests: HashMap<(&'static str, &'static str), u64>,
    last_success: Option<SystemTime>,
}

impl VaultPolicy {
    pub(super) fn new(vault: String, origin: Url, cloud: Cloud, settings: Settings) -> Self {
        Self {
            gate: Gate::new(settings.requests_per_10s, settings.max_connections_per_vault),
            vault,
            origin,
            cloud,
            settings,
            challenge: AsyncMutex::default(),
            counts: Mutex::default(),
        }
    }

    /// One request with its retries, within one deadline; waiting for the budget does not count.
    async fn run(
        &self,
        call: &Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: Next<'_>,
    ) -> Result<AsyncRawResponse, VaultError> {
        if request.url().origin() != self.origin.origin() {
            return Err(error::foreign_host(&call.object, request.url()));
        }
        let mut left = self.settings.call_deadline;
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(5))
            .with_max_times(self.settings.retries)
            .with_jitter()
            .build();
        loop {
            let error = match self.attempt(call, ctx, request, next, &mut left).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match (error::worth_another_try(&error), pauses.next()) {
                (Some(at_least), Some(pause)) => pause.max(at_least),
                _ => return Err(error),
            };
            if pause >= left {
                return Err(error);
            }
            tracing::debug!(vault = self.vault, code = %error.diagnosis.code, ?pause, "another try");
            tokio::time::sleep(pause).await;
            left -= pause;
        }
    }

    async fn attempt(
        &self,
        call: &Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: Next<'_>,
        left: &mut Duration,
    ) -> Result<AsyncRawResponse, VaultError> {
        let mut challenge = self.challenge(call, ctx, request, next, left).await?;
        let mut token = self.authorize(call, &challenge, request).await?;
        let mut answer = self.exchange(call, ctx, request, next, left).await?;
        if u16::from(answer.status()) == 401 {
            if let Some(now) = self.moved(&challenge, &answer) {
                challenge = self.keep(now).await;
            } else {
                // Revoked, or of a tenant or cloud that the vault does not take: one new token tells.
                self.reject(call, &challenge, &token);
            }
            let rejected = std::mem::replace(&mut token, self.authorize(call, &challenge, request).await?);
            if !Arc::ptr_eq(&rejected, &token) {
                answer = self.exchange(call, ctx, request, next, left).await?;
            }
        }
        let answer = self.judge(call, &challenge, answer).await;
        if answer.as_ref().is_err_and(error::is_rejected_token) {
            self.reject(call, &challenge, &token);
        }
        answer
    }

    /// The vault's challenge: asked for once, by the first request, without its token.
    async fn challenge(
        &self,
        call: &Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: Next<'_>,
        left: &mut Duration,
    ) -> Result<Challenge, VaultError> {
        let known = async {
            let mut kept = self.challenge.lock().await;
            if let Some(known) = &*kept {
                return Ok(known.clone());
            }
            let asked = self.ask_for_challenge(call, ctx, request, next, left).await?;
            Ok(kept.insert(asked).clone())
        };
        // One asks at a time, and whoever waits for that has the deadline, too: a vault that does not answer would else
        // keep its askers for as long as all of them together take.
        let deadline = self.settings.call_deadline;
        let Ok(outcome) = tokio::time::timeout(deadline, known).await else {
            *left = Duration::ZERO;
            return Err(error::too_slow(&call.object, deadline));
        };
        outcome
    }

    async fn ask_for_challenge(
        &self,
        call: &Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: Next<'_>,
        left: &mut Duration,
    ) -> Result<Challenge, VaultError> {
        request.headers_mut().remove(AUTHORIZATION);
        let answer = self.exchange(call, ctx, request, next, left).await?;
        match (u16::from(answer.status()), self.accept(&answer)) {
            (401, Some(accepted)) => accepted.map_err(|diagnosis| VaultError {
                diagnosis,
                retry: Retry::Slowly,
            }),
            (401 | 200..=299, _) => Err(error::not_a_vault(&call.object)),
            _ => match self.judge(call, &Challenge { tenant: None }, answer).await {
                Ok(_) => Err(error::not_a_vault(&call.object)),
                Err(error) => Err(error),
            },
        }
    }

    /// The challenge of a refusal, if it is another one than `known`: the vault's subscription has moved to another tenant since
    /// that was kept.
    fn moved(&self, known: &Challenge, refusal: &AsyncRawResponse) -> Option<Challenge> {
        self.accept(refusal)?.ok().filter(|now| now != known)
    }

    /// From now on the vault is known by `challenge`.
    async fn keep(&self, challenge: Challenge) -> Challenge {
        let mut kept = self.challenge.lock().await;
        if kept.as_ref() != Some(&challenge) {
            let tenant_id = challenge.tenant.as_deref();
            tracing::info!(vault = self.vault, tenant_id, "the vault belongs to another tenant now");
        }
        kept.insert(challenge).clone()
    }

    /// The challenge that comes with `answer`, if it is one that may be followed; `None` when there is none.
    fn accept(&self, answer: &AsyncRawResponse) -> Option<Result<Challenge, Diagnosis>> {
        let header = answer.headers().get_optional_str(&WWW_AUTHENTICATE)?;
        let host = self.origin.host_str().unwrap_or_default();
        Some(challenge::accept(header, host, &self.cloud))
    }

    async fn authorize(
        &self,
        call: &Call,
        challenge: &Challenge,
        request: &mut Request,
    ) -> Result<Arc<Token>, VaultError> {
        let (tenant, audience) = (challenge.tenant.as_deref(), &self.cloud.vault_audience);
        let token = call.identity.token_in(tenant, audience).await?;
        request.insert_header(AUTHORIZATION, token.bearer().unwrap_or_default());
        Ok(token)
    }

    /// The vault took no `token` of the tenant that its challenge names.
    fn reject(&self, call: &Call, challenge: &Challenge, token: &Arc<Token>) {
        let (tenant, audience) = (challenge.tenant.as_deref(), &self.cloud.vault_audience);
        call.identity.reject(tenant, audience, token);
    }

    /// One HTTP request: waits for its turn, is counted, and takes from the deadline.
    async fn exchange(
        &self,
        call: &Call,
        ctx: &Context<'_>,
        request: &mut Request,
        next: Next<'_>,
        left: &mut Duration,
    ) -> Result<AsyncRawResponse, VaultError> {
        let [transport, rest @ ..] = next else {
            return Err(error::not_a_vault(&call.object));
        };
        let permit = self
            .gate
            .enter(call.priority, self.settings.call_deadline)
            .await
            .map_err(|pause| error::left_alone(&call.object, pause))?;
        // Much may have ended while this waited for its turn: the right to be this identity, or the grant of whoever asked.
        if call.identity.is_closed() {
            return Err(identity::closed().into());
        }
        if call.askers.as_ref().is_some_and(Askers::are_gone) {
            return Err(error::unwanted(&call.object));
        }
        let asked = Instant::now();
        *call.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        let outcome = tokio::time::timeout(*left, transport.send(ctx, request, rest)).await;
        drop(permit);
        *left = left.saturating_sub(asked.elapsed());
        self.count(call, outcome.as_ref().ok().and_then(|outcome| outcome.as_ref().ok()));
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(failure)) => Err(error::of_transport(&failure, &call.object, &self.origin)),
            Err(_) => Err(error::too_slow(&call.object, self.settings.call_deadline)),
        }
    }

    /// Lets success through, and names every refusal.
    async fn judge(
        &self,
        call: &Call,
        challenge: &Challenge,
        answer: AsyncRawResponse,
    ) -> Result<AsyncRawResponse, VaultError> {
        let status = u16::from(answer.status());
        if status != 429 {
            self.gate.answered();
        }
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let retry_after = error::retry_after(answer.headers(), self.settings.retry_after_cap);
        let pause = if status == 429 {
            Some(self.gate.throttle(retry_after))
        } else {
            retry_after.filter(|_| status == 503)
        };
        let trace = error::trace(answer.headers());
        let raw = answer.try_into_raw_response().await;
        let body = raw.as_ref().map_or(&[][..], |raw: &RawResponse| raw.body().as_ref());
        let info = call.identity.info();
        let refusal = VaultRefusal {
            status,
            body,
            vault: &self.vault,
            object: &call.object,
            collection: call.collection,
            list: call.list,
            behind_certificate: call.behind_certificate,
            client_id: info.client_id.as_deref(),
            tenant_id: info.tenant_id.as_deref(),
            vault_tenant: challenge.tenant.as_deref(),
        };
        Err(error::of_refusal(&refusal, pause, trace))
    }

    fn count(&self, call: &Call, answer: Option<&AsyncRawResponse>) {
        let status = answer.map_or("failed", |answer| status_class(u16::from(answer.status())));
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((operation(call), status)).or_default() += 1;
        if status == SUCCESS {
            counts.last_success = Some(SystemTime::now());
        }
    }

    /// Adds this vault's counters to `requests`, and gives its state.
    pub(super) fn stats(&self, requests: &mut Vec<RequestCount>) -> VaultState {
        let vault = self.origin.host_str().unwrap_or_default();
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        requests.extend(counts.requests.iter().map(|((operation, status), count)| RequestCount {
            vault: vault.to_owned(),
            operation,
            status,
            count: *count,
        }));
        let gate = self.gate.state();
        VaultState {
            vault: vault.to_owned(),
            per_10s: gate.per_10s,
            available: gate.available,
            waiting: gate.waiting,
            paused: gate.paused,
            throttled: gate.throttled,
            last_success: counts.last_success,
        }
    }
}

fn operation(call: &Call) -> &'static str {
    match (call.list, call.collection) {
        (false, Collection::Secrets) => "getSecret",
        (false, Collection::Certificates) => "getCertificate",
        (false, Collection::Keys) => "getKey",
        (true, Collection::Secrets) => "listSecrets",
        (true, Collection::Certificates) => "listCertificates",
        (true, Collection::Keys) => "listKeys",
    }
}

fn status_class(status: u16) -> &'static str {
    match status {
        200..=299 => SUCCESS,
        300..=399 => "3xx",
        401 => "401",
        403 => "403",
        404 => "404",
        429 => "429",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

/// The policy as Microsoft's pipeline wants it.
#[derive(Clone)]
pub(super) struct Shared(pub(super) Arc<VaultPolicy>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultPolicy({})", self.0.vault)
    }
}

#[async_trait::async_trait]
impl Policy for Shared {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let Some(call) = ctx.value::<Arc<Call>>() else {
            return Err(azure_core::Error::with_message(
                ErrorKind::Other,
                "a request without its call is not sent",
            ));
        };
        let span = span!("vault", vault = self.0.vault, operation = operation(call));
        let run = self.0.run(call, ctx, request, next);
        let outcome = span::within(span, |error: &VaultError| error.diagnosis.code, run).await;
        outcome.map_err(|error| azure_core::Error::with_error(ErrorKind::Other, error, "the vault call failed"))
    }
}
