//! The journal: every request, counted by service, operation and status, so that tests assert exact numbers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::operation::{Operation, Service};

/// How many single requests are remembered; the counts are exact beyond it.
const REMEMBERED: usize = 100_000;

/// One request.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Unix seconds of the emulator's clock.
    pub time: i64,
    /// Who answered.
    pub service: Service,
    /// What was asked for.
    pub operation: Operation,
    /// Status of the reply; 0 when there was none: a fault reset the connection, or the client left.
    pub status: u16,
    /// Method and path as received, without the query.
    pub request: String,
    /// Whether the request carried a token.
    pub authorized: bool,
}

/// Exact counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(Service, Operation, u16), u64>);

impl Counts {
    /// Requests of `operation`, whatever the service and status.
    pub fn of(&self, operation: Operation) -> u64 {
        self.sum(|_, o, _| o == operation)
    }

    /// Requests of `operation` that were answered with `status`.
    pub fn with_status(&self, operation: Operation, status: u16) -> u64 {
        self.sum(|_, o, s| o == operation && s == status)
    }

    /// Requests answered with `status`, whatever they asked for.
    pub fn status(&self, status: u16) -> u64 {
        self.sum(|_, _, s| s == status)
    }

    /// Every request.
    pub fn total(&self) -> u64 {
        self.sum(|_, _, _| true)
    }

    /// The part of the counts that belongs to the vault `name`.
    #[must_use]
    pub fn vault(&self, name: &str) -> Self {
        self.service(&Service::Vault(name.to_ascii_lowercase()))
    }

    /// The part of the counts that belongs to `service`.
    #[must_use]
    pub fn service(&self, service: &Service) -> Self {
        Self(
            self.0
                .iter()
                .filter(|((s, ..), _)| s == service)
                .map(|(k, v)| (k.clone(), *v))
                .collect(),
        )
    }

    /// Each combination that occurred, with its count.
    pub fn rows(&self) -> impl Iterator<Item = (&Service, Operation, u16, u64)> {
        self.0
            .iter()
            .map(|((service, operation, status), count)| (service, *operation, *status, *count))
    }

    fn sum(&self, select: impl Fn(&Service, Operation, u16) -> bool) -> u64 {
        self.0
            .iter()
            .filter(|((service, o, s), _)| select(service, *o, *s))
            .map(|(_, count)| count)
            .sum()
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (service, operation, status, count) in self.rows() {
            writeln!(f, "{count:>8}  {service}  {operation}  {status}")?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Inner {
    counts: Counts,
    entries: VecDeque<Entry>,
    connections: u64,
}

/// The emulator's record of what it was asked.
pub struct Journal {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

impl Default for Journal {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            changed: watch::channel(()).0,
        }
    }
}

impl Journal {
    /// The counts as they stand.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// The last requests one by one (at most 100,000), oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.iter().cloned().collect()
    }

    /// TLS and IMDS connections accepted.
    pub fn connections(&self) -> u64 {
        self.lock().connections
    }

    /// Forgets everything and returns the counts up to now, in one step: no request is lost between the two.
    pub fn reset(&self) -> Counts {
        std::mem::take(&mut *self.lock()).counts
    }

    /// Waits until `condition` holds of the counts; `None` when it does not within `limit`.
    pub async fn wait_for(&self, limit: Duration, condition: impl Fn(&Counts) -> bool) -> Option<Counts> {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                changes.mark_unchanged();
                let counts = self.counts();
                if condition(&counts) {
                    return Some(counts);
                }
                changes.changed().await.ok()?;
            }
        };
        tokio::time::timeout(limit, wait).await.ok().flatten()
    }

    pub(crate) fn record(&self, entry: Entry) {
        let mut inner = self.lock();
        *inner
            .counts
            .0
            .entry((entry.service.clone(), entry.operation, entry.status))
            .or_default() += 1;
        if inner.entries.len() == REMEMBERED {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry);
        drop(inner);
        self.changed.send_replace(());
    }

    pub(crate) fn record_connection(&self) {
        self.lock().connections += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(vault: &str, operation: Operation, status: u16) -> Entry {
        Entry {
            time: 0,
            service: Service::Vault(vault.into()),
            operation,
            status,
            request: "GET /".into(),
            authorized: true,
        }
    }

    #[tokio::test]
    async fn requests_are_counted_by_vault_operation_and_status() {
        let journal = Journal::default();
        journal.record(entry("a", Operation::SECRET_GET, 200));
        journal.record(entry("a", Operation::SECRET_GET, 401));
        journal.record(entry("b", Operation::SECRET_LIST, 200));
        let counts = journal.counts();
        assert_eq!(
            (counts.total(), counts.of(Operation::SECRET_GET), counts.status(200)),
            (3, 2, 2)
        );
        assert_eq!(counts.vault("A").with_status(Operation::SECRET_GET, 401), 1);
        assert_eq!(journal.reset(), counts);
        assert_eq!(journal.counts().total(), 0);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_condition_or_the_limit() {
        let journal = std::sync::Arc::new(Journal::default());
        assert!(
            journal
                .wait_for(Duration::from_millis(10), |counts| counts.total() > 0)
                .await
                .is_none()
        );
        let writer = journal.clone();
        let waiting = journal.wait_for(Duration::from_secs(10), |counts| counts.total() == 2);
        let records = async move {
            for _ in 0..2 {
                tokio::task::yield_now().await;
                writer.record(entry("a", Operation::SECRET_GET, 200));
            }
        };
        let (counts, ()) = tokio::join!(waiting, records);
        assert_eq!(counts.map(|counts| counts.total()), Some(2));
    }
}
