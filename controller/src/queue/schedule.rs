//! Pure scheduling: two lanes per vault, one pending entry per object, back-off per object. Time is a parameter.
//!
//! Every vault (a *partition*) has room for a number of jobs of its own, so a slow vault fills its own room and nobody
//! else's; part of that room is kept free of refreshes, so that new work never waits for them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody waits: a new or edited object, an output changed by hand.
    New,
    /// Routine.
    Refresh,
}

/// Why an object is worked on; reasons of merged requests add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reasons {
    /// Read the vault, whatever status says: the vault's list shows a change, or it is this object's turn.
    pub(crate) look: bool,
    /// Write the outputs, even when nothing seems to have changed.
    pub(crate) reapply: bool,
}

impl Reasons {
    fn merge(&mut self, other: Self) {
        self.look |= other.look;
        self.reapply |= other.reapply;
    }
}

/// How often a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It is done until somebody asks again.
    Done,
    /// No failure, but there is more to do, once this time has passed.
    Later(Duration),
    /// Transient failure: with back-off.
    Soon,
    /// Not before this time has passed.
    After(Duration),
    /// Somebody must change something first: minutes.
    Slowly,
}

/// Bounds of a [`Schedule`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Jobs at once in one partition.
    pub(crate) per_partition: usize,
    /// How many of these are never used by refreshes.
    pub(crate) reserved_for_new: usize,
    /// First back-off.
    pub(crate) backoff_base: Duration,
    /// Longest back-off of [`Again::Soon`].
    pub(crate) backoff_cap: Duration,
    /// First wait of [`Again::Slowly`]; it doubles up to [`Limits::slow_cap`].
    pub(crate) slow: Duration,
    /// Longest wait of [`Again::Slowly`].
    pub(crate) slow_cap: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_partition: 48,
            reserved_for_new: 16,
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_mins(2),
            slow: Duration::from_mins(1),
            // A role that is granted works here within five minutes: ten seconds are left for the read itself.
            slow_cap: Duration::from_secs(290),
        }
    }
}

/// One object to work on. Whoever takes it calls [`Schedule::done`] in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Job<K> {
    /// The object.
    pub(crate) key: K,
    /// The lane it came from.
    pub(crate) lane: Lane,
    /// Why.
    pub(crate) reasons: Reasons,
    /// When it was last asked for: what is older than this is not good enough.
    pub(crate) since: Instant,
}

/// What waits in a lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// How many jobs.
    pub(crate) depth: usize,
    /// How long the one has waited that waits longest.
    pub(crate) oldest: Duration,
}

#[derive(Debug)]
enum State {
    /// Nothing to do; kept only for its count of failures.
    Idle,
    Queued(Lane),
    /// Waits for a time.
    Delayed(Instant),
    /// Being worked on; what was asked for meanwhile runs afterwards, or at its time.
    Running {
        again: Option<Lane>,
        later: Option<Instant>,
    },
}

#[derive(Debug)]
struct Entry {
    partition: String,
    state: State,
    reasons: Reasons,
    since: Instant,
    /// When it began to wait in the lane it waits in.
    queued: Instant,
    failures: u32,
}

#[derive(Debug)]
struct Partition<K> {
    new: VecDeque<K>,
    refresh: VecDeque<K>,
    running: usize,
}

impl<K> Default for Partition<K> {
    fn default() -> Self {
        Self {
            new: VecDeque::new(),
            refresh: VecDeque::new(),
            running: 0,
        }
    }
}

/// The queue as a value.
#[derive(Debug)]
pub(crate) struct Schedule<K> {
    limits: Limits,
    entries: HashMap<K, Entry>,
    partitions: HashMap<String, Partition<K>>,
    /// Partitions that may have work, in turn.
    turn: VecDeque<String>,
    delayed: BTreeSet<(Instant, K)>,
}

impl<K: Clone + Eq + Hash + Ord> Schedule<K> {
    /// An empty schedule.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            partitions: HashMap::new(),
            turn: VecDeque::new(),
            delayed: BTreeSet::new(),
        }
    }

    /// Asks for work on `key` now. New work overtakes back-off and its own waiting refresh; a refresh of an object that
    /// backs off waits with it.
    pub(crate) fn add(&mut self, key: K, partition: &str, lane: Lane, reasons: Reasons, now: Instant) {
        let entry = self.entry(&key, partition, now);
        entry.reasons.merge(reasons);
        entry.since = now;
        match &mut entry.state {
            State::Running { again, .. } => {
                *again = Some(if *again == Some(Lane::New) { Lane::New } else { lane });
            }
            State::Queued(Lane::New) => {}
            State::Queued(Lane::Refresh) if lane == Lane::Refresh => {}
            State::Delayed(_) if lane == Lane::Refresh && entry.failures > 0 => {}
            State::Queued(Lane::Refresh) | State::Delayed(_) | State::Idle => {
                if lane == Lane::New {
                    entry.failures = 0;
                }
                self.enqueue(key, lane, now);
            }
        }
    }

    /// Asks for a refresh of `key` at `at`. An earlier date stands, and so does work that is due already; of an object that is
    /// being worked on, it is the next work.
    pub(crate) fn add_at(&mut self, key: K, partition: &str, reasons: Reasons, at: Instant, now: Instant) {
        if at <= now {
            return self.add(key, partition, Lane::Refresh, reasons, now);
        }
        let entry = self.entry(&key, partition, now);
        entry.reasons.merge(reasons);
        match &mut entry.state {
            State::Idle => {
                entry.state = State::Delayed(at);
                self.delayed.insert((at, key));
            }
            State::Running { later, .. } => *later = Some(later.map_or(at, |earlier| earlier.min(at))),
            State::Queued(_) | State::Delayed(_) => {}
        }
    }

    /// The next job that has room, partitions in turn, new work before refreshes.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Job<K>> {
        self.wake(now);
        for _ in 0..self.turn.len() {
            let name = self.turn.pop_front()?;
            let Some(partition) = self.partitions.get_mut(&name) else {
                continue;
            };
            let Some((key, lane)) = take(partition, self.limits) else {
                self.retire_or_keep(name);
                continue;
            };
            partition.running += 1;
            self.turn.push_back(name);
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            entry.state = State::Running {
                again: None,
                later: None,
            };
            return Some(Job {
                key,
                lane,
                reasons: std::mem::take(&mut entry.reasons),
                since: entry.since,
            });
        }
        None
    }

    /// When [`Schedule::pop`] can have something new without anybody calling.
    pub(crate) fn next_wakeup(&self) -> Option<Instant> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Ends a job. `jitter` in 0..1 spreads the retries of objects that failed together.
    pub(crate) fn done(&mut self, key: &K, again: Again, jitter: f64, now: Instant) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let State::Running { again: asked, later } = entry.state else {
            return;
        };
        if let Some(partition) = self.partitions.get_mut(&entry.partition) {
            partition.running -= 1;
            if partition.running == 0 && partition.new.is_empty() && partition.refresh.is_empty() {
                self.partitions.remove(&entry.partition);
            }
        }
        entry.failures = match again {
            Again::Done | Again::Later(_) => 0,
            Again::Soon | Again::After(_) | Again::Slowly => entry.failures.saturating_add(1),
        };
        let wait = self.limits.wait(again, entry.failures, jitter);
        let at = match (asked, wait, later) {
            (Some(Lane::New), _, _) => {
                entry.failures = 0;
                return self.enqueue(key.clone(), Lane::New, now);
            }
            (Some(Lane::Refresh), None, _) => return self.enqueue(key.clone(), Lane::Refresh, now),
            (_, Some(wait), _) => {
                // What failed must look again, whatever status says by then.
                entry.reasons.look = true;
                now + wait
            }
            (None, None, Some(at)) => at,
            (None, None, None) => {
                self.entries.remove(key);
                return;
            }
        };
        entry.state = State::Delayed(at);
        self.delayed.insert((at, key.clone()));
    }

    /// What waits in `lane`.
    pub(crate) fn waiting(&self, lane: Lane, now: Instant) -> Waiting {
        let is_waiting = |entry: &&Entry| matches!(entry.state, State::Queued(its) if its == lane);
        let ages = self.entries.values().filter(is_waiting);
        let ages = ages.map(|entry| now.saturating_duration_since(entry.queued));
        ages.fold(Waiting::default(), |so_far, age| Waiting {
            depth: so_far.depth + 1,
            oldest: so_far.oldest.max(age),
        })
    }

    /// The entry of `key`. An object whose vault was edited moves to its new partition once it is not being worked on.
    fn entry(&mut self, key: &K, partition: &str, now: Instant) -> &mut Entry {
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry {
            partition: partition.to_owned(),
            state: State::Idle,
            reasons: Reasons::default(),
            since: now,
            queued: now,
            failures: 0,
        });
        if matches!(entry.state, State::Idle | State::Delayed(_)) && entry.partition != partition {
            partition.clone_into(&mut entry.partition);
        }
        entry
    }

    fn enqueue(&mut self, key: K, lane: Lane, now: Instant) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let partition = self.partitions.entry(entry.partition.clone()).or_default();
        match entry.state {
            State::Delayed(at) => {
                self.delayed.remove(&(at, key.clone()));
            }
            State::Queued(Lane::Refresh) => partition.refresh.retain(|queued| *queued != key),
            State::Queued(Lane::New) | State::Idle | State::Running { .. } => {}
        }
        entry.state = State::Queued(lane);
        entry.queued = now;
        match lane {
            Lane::New => partition.new.push_back(key),
            Lane::Refresh => partition.refresh.push_back(key),
        }
        if !self.turn.contains(&entry.partition) {
            self.turn.push_back(entry.partition.clone());
        }
    }

    /// Moves what is due into its lane.
    fn wake(&mut self, now: Instant) {
        while let Some((at, _)) = self.delayed.first()
            && *at <= now
        {
            if let Some((at, key)) = self.delayed.pop_first() {
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.since = at;
                }
                self.enqueue(key, Lane::Refresh, at);
            }
        }
    }

    /// A partition without room keeps its turn; one without anything waiting loses it.
    fn retire_or_keep(&mut self, name: String) {
        let waiting = |it: &Partition<K>| !it.new.is_empty() || !it.refresh.is_empty();
        if self.partitions.get(&name).is_some_and(waiting) {
            self.turn.push_back(name);
        }
    }
}

/// The next key of a partition, when there is room for its lane.
fn take<K>(partition: &mut Partition<K>, limits: Limits) -> Option<(K, Lane)> {
    if partition.running >= limits.per_partition {
        return None;
    }
    if let Some(key) = partition.new.pop_front() {
        return Some((key, Lane::New));
    }
    if partition.running + limits.reserved_for_new >= limits.per_partition {
        return None;
    }
    partition.refresh.pop_front().map(|key| (key, Lane::Refresh))
}

impl Limits {
    fn wait(self, again: Again, failures: u32, jitter: f64) -> Option<Duration> {
        let doubled = |first: Duration, cap: Duration| {
            first
                .saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX))
                .min(cap)
        };
        let jitter = jitter.clamp(0.0, 1.0);
        // Our own waits are spread below their bound; one that was asked for is never undercut, and up to half as long again.
        match again {
            Again::Done => None,
            Again::Later(wait) => Some(wait),
            Again::Soon => Some(doubled(self.backoff_base, self.backoff_cap).mul_f64(1.0 - jitter / 3.0)),
            Again::Slowly => Some(doubled(self.slow, self.slow_cap).mul_f64(1.0 - jitter / 3.0)),
            Again::After(wait) => Some(wait.max(self.backoff_base).mul_f64(1.0 + jitter / 2.0)),
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
