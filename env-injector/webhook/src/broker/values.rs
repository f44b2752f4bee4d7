//! Values, as old as they may be.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akv2k8s_shared::diagnosis::Retry;
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::injection::reference::Query;
use akv2k8s_shared::injection::source::Source;
use akv2k8s_shared::injection::value::{self, Read};
use akv2k8s_shared::keyvault::{KeyVault, VaultError};
use akv2k8s_shared::reference::VaultName;
use tokio::time::Instant;

use super::Options;

/// [`KeyVault::get_since`] takes answers that are older by this.
const TOLERANCE: Duration = Duration::from_secs(1);

/// What is wanted, and as whom it is read.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Wanted {
    pub(super) identity: Identity,
    pub(super) source: Source,
    pub(super) query: Option<Query>,
}

/// Reads values; equal ones share a request for as long as an answer may be old.
pub(super) struct Values {
    vault: KeyVault,
    max_age: Duration,
    max_stale: Duration,
    /// What was read last, and when; empty unless something stale may be given.
    last: Mutex<HashMap<Wanted, (Instant, Arc<Read>)>>,
}

impl Values {
    pub(super) fn new(vault: KeyVault, options: &Options) -> Self {
        Self {
            vault,
            max_age: options.max_age,
            max_stale: options.max_stale,
            last: Mutex::default(),
        }
    }

    /// What is asked for them.
    pub(super) fn vault(&self) -> &KeyVault {
        &self.vault
    }

    /// The value, and how much older it is than it should be, if it is: only when vault or Entra do not answer. Their refusals always
    /// count.
    pub(super) async fn read(&self, wanted: Wanted) -> Result<(Arc<Read>, Option<Duration>), VaultError> {
        let now = Instant::now();
        let since = (now + TOLERANCE).checked_sub(self.max_age).unwrap_or(now);
        let Wanted {
            identity,
            source,
            query,
        } = &wanted;
        match value::read(&self.vault, identity, source, query.as_ref(), since).await {
            Ok(read) => {
                let read = Arc::new(read);
                self.keep(wanted, now, &read);
                Ok((read, None))
            }
            Err(error) if error.retry == Retry::Slowly => {
                self.last().remove(&wanted);
                Err(error)
            }
            Err(error) => self.stale(&wanted, now).ok_or(error),
        }
    }

    /// Forgets vaults that are not `named` any more.
    pub(super) fn retain(&self, named: impl Fn(&VaultName) -> bool) {
        self.vault.retain(named);
    }

    fn keep(&self, wanted: Wanted, now: Instant, read: &Arc<Read>) {
        if self.max_stale.is_zero() {
            return;
        }
        let longest = self.max_age + self.max_stale;
        let mut last = self.last();
        last.retain(|_, (at, _)| now.duration_since(*at) <= longest);
        last.insert(wanted, (now, Arc::clone(read)));
    }

    fn stale(&self, wanted: &Wanted, now: Instant) -> Option<(Arc<Read>, Option<Duration>)> {
        let last = self.last();
        let (at, read) = last.get(wanted)?;
        let over = now.duration_since(*at).saturating_sub(self.max_age);
        (over <= self.max_stale).then(|| (Arc::clone(read), Some(over)))
    }

    fn last(&self) -> MutexGuard<'_, HashMap<Wanted, (Instant, Arc<Read>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
