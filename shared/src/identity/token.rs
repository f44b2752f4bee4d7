//! Tokens, and the one place that keeps them.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

use crate::diagnosis::{Code, Diagnosis, Retry};
use crate::secret::SecretBytes;
use crate::single_flight::{Flight, launch};

/// A failed exchange is not tried again within this time: a thousand objects must not ask Entra a thousand times.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Largest lead of a refresh over the end of the token.
const REFRESH_LEAD: Duration = Duration::from_mins(5);
/// Largest safety margin before the end: clocks differ, `expires_in` is in whole seconds, and a request takes its time.
const MARGIN: Duration = Duration::from_secs(30);

/// A rejection within this time after another one costs no token: the new one did not help either, as when a vault is of
/// another tenant. A thousand objects of such a vault must not ask Entra a thousand times, nor take the token from others.
const AFTER_REJECTION: Duration = Duration::from_mins(1);

/// A token could not be had.
#[derive(Debug, Clone, Error)]
#[error("{diagnosis}")]
pub struct TokenError {
    /// What happened, why, and how to fix it.
    pub diagnosis: Diagnosis,
    /// When to ask again.
    pub retry: Retry,
}

/// An access token. It cannot be printed.
pub struct Token {
    secret: SecretBytes,
    issued: Instant,
    expires: Instant,
}

impl Token {
    /// A token that was just issued and lasts for `lifetime`.
    pub(crate) fn new(secret: SecretBytes, lifetime: Duration) -> Self {
        let issued = Instant::now();
        Self {
            secret,
            issued,
            expires: issued + lifetime,
        }
    }

    /// The value of an `Authorization` header.
    pub(crate) fn bearer(&self) -> Option<String> {
        Some(format!("Bearer {}", self.secret.expose_str()?))
    }

    fn lifetime(&self) -> Duration {
        self.expires - self.issued
    }

    fn usable(&self, now: Instant) -> bool {
        now + MARGIN.min(self.lifetime() / 4) < self.expires
    }

    fn due(&self, now: Instant) -> bool {
        now + REFRESH_LEAD.min(self.lifetime() / 3) >= self.expires
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

type Outcome = Result<Arc<Token>, TokenError>;

/// The token for one audience: one exchange per lifetime, one exchange at a time, the old token while it lasts.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    failed: Option<(Instant, TokenError)>,
    rejected: Option<Instant>,
    flight: Option<Flight<Outcome>>,
}

impl Slot {
    /// The current token, or a new one by `exchange` (run at most once at a time, as a task of its own).
    pub(super) async fn get<F>(&self, exchange: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Result<Token, TokenError>> + Send + 'static,
    {
        let flight = {
            let mut state = self.lock();
            let now = Instant::now();
            let current = state.current.clone().filter(|token| token.usable(now));
            match (&current, &state.failed) {
                (Some(token), _) if !token.due(now) => return Ok(token.clone()),
                (Some(token), Some((at, _))) if now < *at + AFTER_FAILURE => return Ok(token.clone()),
                (None, Some((at, error))) if now < *at + AFTER_FAILURE => return Err(error.clone()),
                _ => {}
            }
            let flight = state
                .flight
                .get_or_insert_with(|| launch(self.clone().renew(exchange())))
                .clone();
            if let Some(token) = current {
                return Ok(token);
            }
            flight
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
    pub(super) fn reject(&self, rejected: &Arc<Token>) {
        let mut state = self.lock();
        let again = state.rejected.is_some_and(|at| at.elapsed() < AFTER_REJECTION);
        if !again && state.current.as_ref().is_some_and(|token| Arc::ptr_eq(token, rejected)) {
            state.current = None;
            state.rejected = Some(Instant::now());
        }
    }

    async fn renew(self, exchange: impl Future<Output = Result<Token, TokenError>>) -> Outcome {
        let outcome = exchange.await.map(Arc::new);
        let mut state = self.lock();
        state.flight = None;
        match &outcome {
            Ok(token) => {
                state.current = Some(token.clone());
                state.failed = None;
            }
            Err(error) => {
                tracing::warn!(code = %error.diagnosis.code, "no new token: {}", error.diagnosis);
                state.failed = Some((Instant::now(), error.clone()));
            }
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn broken() -> TokenError {
    TokenError {
        diagnosis: Diagnosis::new(
            Code::TokenRequestFailed,
            "A token request ended without an answer.",
            "This program was stopped, or it has a bug.",
            "It is tried again; if it stays, please report it.",
        ),
        retry: Retry::Soon,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// Counts exchanges; each takes a second and gives `lifetime`, or fails while `broken`.
    struct Entra {
        asked: Arc<AtomicUsize>,
        slot: Slot,
    }

    impl Entra {
        fn new() -> Self {
            Self {
                asked: Arc::default(),
                slot: Slot::default(),
            }
        }

        async fn get(&self, answer: Result<Duration, ()>) -> Outcome {
            let asked = self.asked.clone();
            let exchange = || async move {
                let number = asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                let value = format!("token-{number}");
                answer
                    .map(|lifetime| Token::new(value.into(), lifetime))
                    .map_err(|()| broken())
            };
            self.slot.get(exchange).await
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_askers_cost_one_exchange() {
        let entra = Entra::new();
        let tokens = futures::future::join_all((0..100).map(|_| entra.get(Ok(HOUR)))).await;
        assert!(tokens.iter().all(Result::is_ok));
        assert_eq!(entra.asked(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_due_token_is_refreshed_behind_the_askers_back() {
        let entra = Entra::new();
        let first = entra.get(Ok(HOUR)).await.unwrap();
        tokio::time::advance(HOUR.checked_sub(Duration::from_secs(200)).unwrap()).await;
        let before = Instant::now();
        let same = entra.get(Ok(HOUR)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &same));
        assert_eq!(before, Instant::now(), "nobody waits for a refresh ahead of time");
        tokio::time::sleep(Duration::from_secs(2)).await;
        let second = entra.get(Ok(HOUR)).await.unwrap();
        assert_eq!(second.bearer().unwrap(), "Bearer token-1");
        assert_eq!(entra.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_old_token_serves_while_refreshing_fails_and_not_a_moment_longer() {
        let entra = Entra::new();
        let first = entra.get(Ok(HOUR)).await.unwrap();
        tokio::time::advance(HOUR.checked_sub(Duration::from_secs(200)).unwrap()).await;
        for _ in 0..10 {
            assert!(Arc::ptr_eq(&first, &entra.get(Err(())).await.unwrap()));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(entra.asked() <= 4, "failures are spaced: {}", entra.asked());
        tokio::time::advance(Duration::from_secs(170)).await;
        assert!(entra.get(Err(())).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_for_a_while_then_heals() {
        let entra = Entra::new();
        for _ in 0..50 {
            assert!(entra.get(Err(())).await.is_err());
        }
        assert_eq!(entra.asked(), 1);
        tokio::time::advance(AFTER_FAILURE).await;
        assert!(entra.get(Ok(HOUR)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_replaced_once() {
        let entra = Entra::new();
        let first = entra.get(Ok(HOUR)).await.unwrap();
        entra.slot.reject(&first);
        let second = entra.get(Ok(HOUR)).await.unwrap();
        entra.slot.reject(&first);
        let third = entra.get(Ok(HOUR)).await.unwrap();
        assert!(
            Arc::ptr_eq(&second, &third),
            "a late rejection does not cost the new token"
        );
        assert_eq!(entra.asked(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_takes_no_token_costs_one_a_minute() {
        let entra = Entra::new();
        for _ in 0..120 {
            let token = entra.get(Ok(HOUR)).await.unwrap();
            entra.slot.reject(&token);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!((2..=4).contains(&entra.asked()), "{}", entra.asked());
    }

    #[tokio::test(start_paused = true)]
    async fn an_exchange_that_panicked_does_not_stand_in_the_way_of_the_next() {
        let entra = Entra::new();
        assert!(entra.slot.get(|| async { panic!("a bug") }).await.is_err());
        assert!(entra.get(Ok(HOUR)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_that_gives_up_does_not_take_the_token_from_the_others() {
        let entra = Entra::new();
        assert!(
            tokio::time::timeout(Duration::from_millis(10), entra.get(Ok(HOUR)))
                .await
                .is_err()
        );
        assert!(entra.get(Ok(HOUR)).await.is_ok());
        assert_eq!(entra.asked(), 1);
    }
}
