//! The place of one token: one exchange per lifetime, one exchange at a time, the old token while it lasts.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{Token, TokenError};
use crate::diagnosis::{Diagnosis, Retry, case};
use crate::single_flight::{Flight, launch};

/// A rejection within this time after another one costs no token: the new one did not help either, as when a vault is of
/// another tenant. A thousand objects of such a vault must not ask Entra a thousand times, nor take the token from others.
const AFTER_REJECTION: Duration = Duration::from_mins(1);

/// A transient failure is worked on in the background for so long, whether or not anybody asks again: an identity that
/// was just assigned is known within two minutes, a metadata service that is being updated is back within 70 s.
const KEEP_TRYING: Duration = Duration::from_mins(2);

type Outcome = Result<Arc<Token>, TokenError>;

/// The token for one audience.
///
/// Whoever asks gets the token that is kept. It is renewed ahead of its end in the background, provided that somebody asked
/// for it since it was issued: what nobody uses lapses.
#[derive(Clone)]
pub(crate) struct Slot(Arc<Inner>);

struct Inner {
    exchange: Box<dyn Fn() -> BoxFuture<'static, Result<Token, TokenError>> + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    /// Whether somebody asked since the current token was issued.
    used: bool,
    failed: Option<Failed>,
    rejected: Option<Instant>,
    flight: Option<Flight<Outcome>>,
    is_closed: bool,
}

/// Failures in a row.
struct Failed {
    error: TokenError,
    since: Instant,
    /// Nobody asks before this: a thousand objects must not ask Entra a thousand times.
    next: Instant,
    times: u32,
}

impl Failed {
    /// The last failure, as whoever asks at `now` is told of it: of a wait no more than what is left.
    fn told(&self, now: Instant) -> TokenError {
        let retry = match self.error.retry {
            Retry::After(_) => Retry::After(self.next.saturating_duration_since(now)),
            retry @ (Retry::Soon | Retry::Slowly) => retry,
        };
        TokenError {
            retry,
            ..self.error.clone()
        }
    }
}

impl Slot {
    /// A place for what `exchange` gives; nothing is asked yet.
    pub(crate) fn new<F>(exchange: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Token, TokenError>> + Send + 'static,
    {
        Self(Arc::new(Inner {
            exchange: Box::new(move || exchange().boxed()),
            state: Mutex::default(),
        }))
    }

    /// The current token, or a new one.
    pub(crate) async fn get(&self) -> Outcome {
        let flight = {
            let mut state = self.lock();
            if state.is_closed {
                return Err(closed());
            }
            let now = Instant::now();
            state.used = true;
            let ready = state.failed.as_ref().is_none_or(|failed| now >= failed.next);
            match (state.usable(now), &state.failed) {
                (Some(token), _) => {
                    if ready && now >= token.due() {
                        let _behind_the_askers_back = self.renew(&mut state);
                    }
                    return Ok(token);
                }
                (None, Some(failed)) if !ready && state.flight.is_none() => return Err(failed.told(now)),
                _ => self.renew(&mut state),
            }
        };
        if let Some(outcome) = flight.clone().await {
            return outcome;
        }
        // What panicked once may not stand in the way of the next attempt.
        let mut state = self.lock();
        if state.flight.as_ref().is_some_and(|it| it.ptr_eq(&flight)) {
            state.flight = None;
        }
        Err(broken())
    }

    /// Forgets `rejected`, so that the next call gets a new one; a newer token is kept, and so is one that was had less
    /// than [`AFTER_REJECTION`] after the last rejection.
    pub(crate) fn reject(&self, rejected: &Arc<Token>) {
        let mut state = self.lock();
        let again = state.rejected.is_some_and(|at| at.elapsed() < AFTER_REJECTION);
        if !again && state.current.as_ref().is_some_and(|token| Arc::ptr_eq(token, rejected)) {
            state.current = None;
            state.rejected = Some(Instant::now());
        }
    }

    /// Forgets the token, and neither gives nor asks for any other. The token of an exchange that is under way is dropped.
    pub(crate) fn close(&self) {
        *self.lock() = State {
            is_closed: true,
            ..State::default()
        };
    }

    /// Whether dropping it would lose nothing: no token that is still good, no failure that spares Entra a question.
    pub(crate) fn is_spent(&self) -> bool {
        let state = self.lock();
        let now = Instant::now();
        let silent = state.failed.as_ref().is_none_or(|failed| now >= failed.next);
        state.usable(now).is_none() && state.flight.is_none() && silent
    }

    /// Joins the exchange in flight, or starts one, as a task of its own.
    fn renew(&self, state: &mut State) -> Flight<Outcome> {
        let flight = || launch(self.clone().exchange());
        state.flight.get_or_insert_with(flight).clone()
    }

    async fn exchange(self) -> Outcome {
        let outcome = (self.0.exchange)().await.map(Arc::new);
        let mut state = self.lock();
        if state.is_closed {
            return Err(closed());
        }
        state.flight = None;
        state.record(&outcome, Instant::now());
        if let Some(wake) = state.wake() {
            tokio::spawn(tend(Arc::downgrade(&self.0), wake));
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renews at `wake` what still wants it then; whatever happened in between decided for itself.
async fn tend(slot: Weak<Inner>, wake: Instant) {
    tokio::time::sleep_until(wake).await;
    let Some(slot) = slot.upgrade().map(Slot) else {
        return;
    };
    let mut state = slot.lock();
    if state.wants_renewal(Instant::now()) {
        let _in_the_background = slot.renew(&mut state);
    }
}

impl State {
    fn usable(&self, now: Instant) -> Option<Arc<Token>> {
        self.current.clone().filter(|token| token.usable(now))
    }

    fn record(&mut self, outcome: &Outcome, now: Instant) {
        match outcome {
            Ok(token) => {
                self.current = Some(token.clone());
                self.used = false;
                self.failed = None;
            }
            Err(error) => {
                tracing::warn!(code = %error.diagnosis.code, "no new token: {}", error.diagnosis);
                let (since, times) = match &self.failed {
                    Some(failed) => (failed.since, failed.times.saturating_add(1)),
                    None => (now, 1),
                };
                self.failed = Some(Failed {
                    error: error.clone(),
                    since,
                    next: now + pause(times, error.retry),
                    times,
                });
            }
        }
    }

    /// When to look again without being asked.
    fn wake(&self) -> Option<Instant> {
        match (&self.failed, &self.current) {
            (Some(failed), _) => Some(failed.next),
            (None, Some(token)) => Some(token.due()),
            (None, None) => None,
        }
    }

    fn wants_renewal(&self, now: Instant) -> bool {
        let running_out = self.used && self.usable(now).is_some_and(|token| now >= token.due());
        match &self.failed {
            None => running_out,
            Some(failed) if now < failed.next => false,
            Some(failed) => {
                let passes = failed.error.retry != Retry::Slowly && now < failed.since + KEEP_TRYING;
                running_out || (passes && self.usable(now).is_none())
            }
        }
    }
}

/// How long nobody asks after so many failures in a row: quickly at first where it may pass by itself, and never so long
/// that a fix would go unnoticed.
pub(super) fn pause(times: u32, retry: Retry) -> Duration {
    let (first, longest) = match retry {
        Retry::Slowly => (5, 30),
        Retry::Soon | Retry::After(_) => (1, 10),
    };
    let grown = Duration::from_secs(first << times.saturating_sub(1).min(5)).min(Duration::from_secs(longest));
    match retry {
        Retry::After(at_least) => grown.max(at_least),
        Retry::Soon | Retry::Slowly => grown,
    }
}

pub(crate) fn broken() -> TokenError {
    TokenError {
        diagnosis: Diagnosis::case(case::TokenRequestLost, "A token request ended without an answer."),
        retry: Retry::Soon,
    }
}

/// The answer to whoever still asks for a token of an identity that was closed.
pub(crate) fn closed() -> TokenError {
    TokenError {
        diagnosis: Diagnosis::case(
            case::IdentityGivenUp,
            "The identity was given up while it was being used.",
        ),
        retry: Retry::Soon,
    }
}
