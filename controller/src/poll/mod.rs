//! Looks at every vault once a period and asks for work where something changed.
//!
//! Each vault has its own turn, hashed from its name, and its own task while it is being looked at: one that hangs delays no
//! other. [`plan`] decides; nothing here reads a value.

mod daily;
mod plan;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::keyvault::changes::ChangeDetection;
use akv2k8s_shared::keyvault::{Collection, KeyVault, Listing, Priority, Retry};
use akv2k8s_shared::reference::VaultName;
use futures::FutureExt;
use plan::{Listed, Member, Memory, Turn};
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

use crate::grants::VaultGrants;
use crate::health::{Health, of_vault};
use crate::metrics::Metrics;
use crate::names::Names;
use crate::objects::{Key, Object, Objects};
use crate::phase;
use crate::queue::{Lane, Queue, Reasons};

/// How often the calendar is looked at.
const TICK: Duration = Duration::from_millis(500);

/// What a look needs.
pub(crate) struct Poller {
    /// All vaults.
    pub(crate) vault: KeyVault,
    /// Who reads them.
    pub(crate) identity: Identity,
    /// Who may have what read.
    pub(crate) grants: Arc<VaultGrants>,
    /// Who wants to know.
    pub(crate) objects: Arc<Objects>,
    /// Who is told what vaults hold.
    pub(crate) names: Arc<Names>,
    /// Where work is asked for.
    pub(crate) queue: Arc<Queue<Key>>,
    /// Counters.
    pub(crate) metrics: Arc<Metrics>,
    /// How vaults stand.
    pub(crate) health: Arc<Health>,
    /// When the last controller is known to have worked, since the Unix epoch.
    pub(crate) last_work: Option<Duration>,
    /// Time between two looks.
    pub(crate) period: Duration,
    /// `--change-detection`.
    pub(crate) mode: ChangeDetection,
    /// Write outputs again in the daily pass: nothing else would notice a change.
    pub(crate) reapply_daily: bool,
}

impl Poller {
    /// Polls until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut memories: HashMap<String, Memory> = HashMap::new();
        let mut looks = JoinSet::new();
        let started = now();
        self.make_up(started);
        let mut last = started;
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(Ok((vault, memory))) = looks.join_next() => {
                    memories.insert(vault, memory);
                    continue;
                }
            }
            let until = now();
            let vaults = self.objects.vaults();
            self.vault.retain(|vault| vaults.iter().any(|it| it == vault.as_str()));
            self.names.retain(&vaults);
            self.health.retain_vaults(&vaults);
            memories.retain(|vault, memory| memory.is_looking() || vaults.contains(vault));
            for vault in vaults {
                if phase::falls_between(&vault, self.period, last, until) {
                    let memory = memories.entry(vault.clone()).or_default();
                    // A vault's first turn comes within one period.
                    memory
                        .last_look
                        .get_or_insert(started.max(until.saturating_sub(self.period)));
                    if let Some(memory) = memory.begin() {
                        looks.spawn(guarded(vault.clone(), Arc::clone(&self).look(vault, memory)));
                    }
                }
            }
            last = until;
        }
    }

    /// One look at one vault.
    async fn look(self: Arc<Self>, vault: String, mut memory: Memory) -> (String, Memory) {
        let now = now();
        let members: Vec<Member> = self
            .objects
            .of_vault(&vault)
            .into_iter()
            .filter_map(|(key, akvs)| Member::of(key, &akvs))
            .filter(|member| self.grants.check(&member.key.namespace, &member.object).is_ok())
            .collect();
        if members.is_empty() {
            self.leave(&vault);
        } else if let Ok(name) = VaultName::parse(&vault) {
            let listed = self.list(&name, &members, &mut memory).await;
            self.act(&members, &listed, &mut memory);
        }
        let since = memory.last_look.unwrap_or(now);
        self.daily(&members, &vault, since, now);
        memory.last_look = Some(now);
        (vault, memory)
    }

    async fn list(&self, vault: &VaultName, members: &[Member], memory: &mut Memory) -> Listed {
        let mut listed = Listed::default();
        for collection in plan::collections(members) {
            if !memory.lists(self.mode, collection, members, Instant::now()) {
                listed.insert(collection, None);
                continue;
            }
            match self
                .vault
                .list(&self.identity, vault, collection, Priority::Refresh)
                .await
            {
                Ok(listing) => {
                    debug!(%vault, ?collection, items = listing.items.len(), pages = listing.pages, "listed");
                    self.tell(vault, collection, None);
                    memory.listed(collection, listing.pages, Instant::now());
                    self.names.listed(vault, collection, &listing);
                    listed.insert(collection, Some(listing));
                }
                Err(error) => {
                    let forbidden = matches!(
                        error.diagnosis.code,
                        Code::ForbiddenByRbac | Code::ForbiddenByPolicy | Code::Forbidden
                    );
                    if forbidden {
                        self.names.forget(vault, collection);
                    }
                    self.tell(vault, collection, Some(error.diagnosis));
                    if memory.failed(collection, forbidden, error.retry == Retry::Slowly, Instant::now()) {
                        listed.insert(collection, None);
                    }
                }
            }
        }
        listed
    }

    /// Nobody may have this vault read, or needs it: what was known of it says nothing any more.
    fn leave(&self, vault: &str) {
        self.health.forget_vault(vault);
        if let Ok(vault) = VaultName::parse(vault) {
            for collection in [Collection::Secrets, Collection::Certificates, Collection::Keys] {
                self.names.forget(&vault, collection);
            }
        }
    }

    /// Metric, `/readyz` and, when it is news, one log line.
    fn tell(&self, vault: &VaultName, collection: Collection, problem: Option<Diagnosis>) {
        self.metrics
            .polled(problem.as_ref().map(|problem| problem.code.as_str()));
        let subject = of_vault(&format!("list of {collection:?}"), vault.as_str());
        if !self.health.report(&subject, problem.clone()) {
            return;
        }
        if let Some(it) = problem {
            warn!(%vault, ?collection, code = it.code.as_str(), error = %it, "a vault cannot be listed");
        } else {
            info!(%vault, ?collection, "a vault can be listed again");
        }
    }

    fn act(&self, members: &[Member], listed: &Listed, memory: &mut Memory) {
        let look = Reasons {
            look: true,
            reapply: false,
        };
        let start = Instant::now();
        for member in members {
            let partition = member.object.vault.as_str();
            match plan::turn(member, listed, memory) {
                Turn::Nothing => {}
                Turn::Changed => self.queue.add(member.key.clone(), partition, Lane::Refresh, look),
                Turn::FailureMayBeOver => self.queue.add(member.key.clone(), partition, Lane::New, look),
                Turn::Get => {
                    let at = start + phase::slot(&member.key.to_string(), self.period);
                    self.queue.add_at(member.key.clone(), partition, look, at);
                }
            }
        }
        memory.forget_others(members);
    }

    /// Once a day everything is read, pinned versions too: each object at its own time of day.
    fn daily(&self, members: &[Member], vault: &str, since: Duration, until: Duration) {
        for member in members {
            if daily::is_due(&member.key.to_string(), since, until) {
                self.queue
                    .add(member.key.clone(), vault, Lane::Refresh, self.daily_reasons());
            }
        }
    }

    /// Objects whose time came while no controller worked.
    fn make_up(&self, started: Duration) {
        let Some(ended) = self.last_work else { return };
        for key in self.objects.keys() {
            let Some(Object::Valid(akvs)) = self.objects.get(&key) else {
                continue;
            };
            let delay = daily::made_up(&key.to_string(), ended, started, self.period);
            if let Some(delay) = delay.filter(|_| Member::of(key.clone(), &akvs).is_some()) {
                let vault = akvs.spec.vault.name.to_ascii_lowercase();
                self.queue
                    .add_at(key, &vault, self.daily_reasons(), Instant::now() + delay);
            }
        }
    }

    fn daily_reasons(&self) -> Reasons {
        Reasons {
            look: true,
            reapply: self.reapply_daily,
        }
    }
}

/// A look that panicked is forgotten: the vault is looked at again in the next period.
async fn guarded(vault: String, look: impl Future<Output = (String, Memory)>) -> (String, Memory) {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| {
        error!(
            vault,
            "looking at this vault panicked, which is a bug; it is tried again"
        );
        (vault, Memory::default())
    })
}

/// Time since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The lists of one look; a collection that is `None` here is looked at object by object.
impl Listed {
    fn insert(&mut self, collection: Collection, listing: Option<Listing>) {
        self.0.insert(collection, listing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_vault_whose_look_panicked_is_looked_at_again() {
        let (vault, mut memory) = guarded("kv1".to_owned(), async { panic!("a bug") }).await;
        assert_eq!(vault, "kv1");
        assert!(memory.begin().is_some());
    }
}
