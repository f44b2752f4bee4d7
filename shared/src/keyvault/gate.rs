//! The door in front of one vault: budget, requests in flight, and who goes first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::Priority;
use super::budget::{Budget, Verdict};

/// Lets requests through by priority, at the budget's pace, so many at a time. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// A permit came back, or the queue changed.
    changed: Notify,
}

struct State {
    budget: Budget,
    free: usize,
    new: VecDeque<oneshot::Sender<Permit>>,
    refresh: VecDeque<oneshot::Sender<Permit>>,
    dispatching: bool,
}

/// The right to have one request in flight; given back when dropped.
pub(super) struct Permit(Gate);

/// A moment's view, for metrics.
pub(super) struct GateState {
    pub(super) per_10s: f64,
    pub(super) available: f64,
    pub(super) waiting: usize,
    pub(super) paused: Duration,
    pub(super) throttled: u64,
}

impl Gate {
    pub(super) fn new(per_10s: u32, in_flight: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                budget: Budget::new(per_10s, Instant::now()),
                free: in_flight.max(1),
                new: VecDeque::new(),
                refresh: VecDeque::new(),
                dispatching: false,
            }),
            changed: Notify::new(),
        }))
    }

    /// Waits for the turn of one request. Whoever stops waiting costs nothing. `Err`: the vault is left alone after a 429
    /// for longer than `patience`; the rest of the pause.
    pub(super) async fn enter(&self, priority: Priority, patience: Duration) -> Result<Permit, Duration> {
        let (sender, turn) = oneshot::channel();
        {
            let mut state = self.lock();
            if let Some(pause) = state.budget.pause(Instant::now()).filter(|pause| *pause > patience) {
                return Err(pause);
            }
            match priority {
                Priority::New => state.new.push_back(sender),
                Priority::Refresh => state.refresh.push_back(sender),
            }
            if !state.dispatching {
                state.dispatching = true;
                tokio::spawn(self.clone().dispatch());
            }
        }
        self.0.changed.notify_one();
        // The dispatcher ends only when nobody waits; when it is torn down with the runtime, so is the caller.
        turn.await.map_err(|_| Duration::from_secs(1))
    }

    /// The vault answered 429.
    pub(super) fn throttle(&self, retry_after: Option<Duration>) -> Duration {
        self.lock().budget.throttle(retry_after, Instant::now())
    }

    /// The vault answered anything else.
    pub(super) fn answered(&self) {
        self.lock().budget.answered(Instant::now());
    }

    pub(super) fn state(&self) -> GateState {
        let mut state = self.lock();
        let now = Instant::now();
        let (per_10s, available, throttled) = state.budget.state(now);
        GateState {
            per_10s,
            available,
            waiting: state.new.len() + state.refresh.len(),
            paused: state.budget.pause(now).unwrap_or_default(),
            throttled,
        }
    }

    async fn dispatch(self) {
        loop {
            let wait = match self.release_all_that_may_go() {
                Next::Idle => return,
                Next::Budget(wait) => wait,
                // A permit that comes back says so.
                Next::InFlight => Duration::from_hours(1),
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    fn release_all_that_may_go(&self) -> Next {
        let mut state = self.lock();
        loop {
            state.forget_those_who_left();
            if state.new.is_empty() && state.refresh.is_empty() {
                state.dispatching = false;
                return Next::Idle;
            }
            if state.free == 0 {
                return Next::InFlight;
            }
            if let Verdict::Wait(wait) = state.budget.take(Instant::now()) {
                return Next::Budget(wait);
            }
            let turn = state.new.pop_front().or_else(|| state.refresh.pop_front());
            state.free -= 1;
            let permit = Permit(self.clone());
            // Whoever left in this very moment drops the permit, which takes the lock.
            if let Some(Err(unwanted)) = turn.map(|turn| turn.send(permit)) {
                drop(state);
                drop(unwanted);
                state = self.lock();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Idle,
    Budget(Duration),
    InFlight,
}

impl State {
    fn forget_those_who_left(&mut self) {
        for queue in [&mut self.new, &mut self.refresh] {
            while queue.front().is_some_and(oneshot::Sender::is_closed) {
                queue.pop_front();
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.lock().free += 1;
        self.0.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    async fn pass(gate: Gate, priority: Priority) -> Instant {
        let _permit = gate.enter(priority, LONG).await.ok().unwrap();
        Instant::now()
    }

    #[tokio::test(start_paused = true)]
    async fn new_work_overtakes_ten_thousand_refreshes() {
        let gate = Gate::new(100, 8);
        let start = Instant::now();
        let refreshes: Vec<_> = (0..10_000)
            .map(|_| tokio::spawn(pass(gate.clone(), Priority::Refresh)))
            .collect();
        tokio::time::sleep(Duration::from_secs(30)).await;
        let asked = Instant::now();
        let served = pass(gate.clone(), Priority::New).await;
        assert!(served - asked <= Duration::from_millis(200), "{:?}", served - asked);
        let last = futures::future::join_all(refreshes)
            .await
            .into_iter()
            .map(Result::unwrap)
            .max()
            .unwrap();
        let seconds = (last - start).as_secs();
        assert!(
            (985..=1000).contains(&seconds),
            "10,000 at 10/s with 100 at once: {seconds} s"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_requests_are_in_flight_than_allowed() {
        let gate = Gate::new(1000, 2);
        let first = gate.enter(Priority::New, LONG).await.ok().unwrap();
        let _second = gate.enter(Priority::New, LONG).await.ok().unwrap();
        let third = tokio::spawn(pass(gate.clone(), Priority::New));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!third.is_finished());
        drop(first);
        third.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waiting_costs_nothing() {
        let gate = Gate::new(10, 100);
        for _ in 0..10 {
            pass(gate.clone(), Priority::New).await;
        }
        for _ in 0..50 {
            let waiting = gate.enter(Priority::New, LONG);
            assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
        }
        let start = Instant::now();
        let served = pass(gate.clone(), Priority::New).await;
        assert!(served - start <= Duration::from_millis(1010), "{:?}", served - start);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_pause_is_told_a_short_one_is_waited_for() {
        let gate = Gate::new(1000, 4);
        gate.throttle(Some(Duration::from_mins(1)));
        let refused = gate.enter(Priority::New, Duration::from_secs(30)).await.err();
        assert_eq!(refused, Some(Duration::from_mins(1)));
        let start = Instant::now();
        assert!(gate.enter(Priority::New, LONG).await.is_ok());
        assert!(start.elapsed() >= Duration::from_mins(1));
    }
}
