//! Looks at every vault once a period and asks for work where something changed.
//!
//! Each vault has its own turn for each of its readers, hashed from the names, and its own task while it is being looked at:
//! one that hangs delays no other. What one reader sees decides about the objects of that reader alone. [`plan`] decides;
//! nothing here reads a value.

mod daily;
mod plan;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::identity::{Identity, TokenError};
use akv2k8s_shared::keyvault::changes::ChangeDetection;
use akv2k8s_shared::keyvault::{Collection, KeyVault, Listing, Priority, Retry};
use akv2k8s_shared::readers::{Reader, Readers};
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
use crate::sight::Sight;

/// How often the calendar is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Look at the vault; write only what changed.
const LOOK: Reasons = Reasons {
    look: true,
    reapply: false,
};

/// What a look needs.
pub(crate) struct Poller {
    /// All vaults.
    pub(crate) vault: KeyVault,
    /// Who reads them.
    pub(crate) readers: Arc<Readers>,
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

/// Who looks at what, once that is settled.
#[derive(Clone, Copy)]
struct Seen<'a> {
    sight: &'a Sight,
    vault: &'a VaultName,
    identity: &'a Identity,
}

impl Poller {
    /// Polls until dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut memories: HashMap<Sight, Memory> = HashMap::new();
        let mut looks = JoinSet::new();
        let started = now();
        self.make_up(started);
        let mut last = started;
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(Ok((sight, memory))) = looks.join_next() => {
                    memories.insert(sight, memory);
                    continue;
                }
            }
            let until = now();
            let vaults = self.objects.vaults();
            self.vault.retain(|vault| vaults.iter().any(|it| it == vault.as_str()));
            self.health.retain_vaults(&vaults);
            let sights = self.objects.sights();
            self.names.retain(|sight| sights.contains(sight));
            self.readers.retain(sights.iter().map(|sight| &sight.reader));
            memories.retain(|sight, memory| memory.is_looking() || sights.contains(sight));
            for sight in sights {
                if phase::falls_between(&sight.to_string(), self.period, last, until) {
                    let memory = memories.entry(sight.clone()).or_default();
                    // A vault's first turn comes within one period.
                    memory
                        .last_look
                        .get_or_insert(started.max(until.saturating_sub(self.period)));
                    if let Some(memory) = memory.begin() {
                        looks.spawn(guarded(sight.clone(), Arc::clone(&self).look(sight, memory)));
                    }
                }
            }
            last = until;
        }
    }

    /// One look at one vault by one reader.
    async fn look(self: Arc<Self>, sight: Sight, mut memory: Memory) -> (Sight, Memory) {
        let now = now();
        let members = self.members(&sight);
        if members.is_empty() {
            self.leave(&sight);
        } else if let Ok(vault) = VaultName::parse(&sight.vault) {
            match self.readers.identity(&sight.reader).await {
                Ok(identity) => {
                    let seen = Seen {
                        sight: &sight,
                        vault: &vault,
                        identity: &identity,
                    };
                    if memory.is_of_another(identity.info()) {
                        self.names.forget_all(&sight);
                    }
                    if memory.is_admitted_again() {
                        self.try_again(members.iter().filter(|member| !member.ready));
                    }
                    let nobody_may = || members.iter().all(|it| !self.is_granted(it)).then_some(());
                    // The last grant may end while a token or a turn at the vault is waited for.
                    let listed = tokio::select! {
                        biased;
                        () = self.grants.until(nobody_may) => None,
                        listed = self.list(&seen, &members, &mut memory) => Some(listed),
                    };
                    match listed {
                        Some(listed) => self.act(&seen, &members, &listed, &mut memory),
                        None => self.leave(&sight),
                    }
                }
                Err(error) => {
                    // Whoever comes next may not be told what this one saw.
                    self.names.forget_all(&sight);
                    self.turn_away(&members, &error, &mut memory);
                }
            }
        }
        let since = memory.last_look.unwrap_or(now);
        self.daily(&members, &sight.vault, since, now);
        memory.last_look = Some(now);
        (sight, memory)
    }

    /// Who may have the vault looked at.
    fn members(&self, sight: &Sight) -> Vec<Member> {
        let all = self.objects.in_sight(sight).into_iter();
        all.filter_map(|(key, akvs)| Member::of(key, &akvs))
            .filter(|member| self.is_granted(member))
            .collect()
    }

    fn is_granted(&self, member: &Member) -> bool {
        self.grants.check(&member.key.namespace, &member.object).is_ok()
    }

    /// There is no identity to look with: the status of whoever was read with one before has to say so, and that of the others
    /// when it is for another reason than at the last look.
    fn turn_away(&self, members: &[Member], error: &TokenError, memory: &mut Memory) {
        if error.retry != Retry::Slowly {
            return;
        }
        let news = memory.is_refused_anew(error.diagnosis.code);
        self.try_again(members.iter().filter(|member| news || member.ready));
    }

    /// Has members read at once, however often they failed.
    fn try_again<'m>(&self, members: impl Iterator<Item = &'m Member>) {
        for member in members {
            let partition = member.object.vault.as_str();
            self.queue.add(member.key.clone(), partition, Lane::New, LOOK);
        }
    }

    async fn list(&self, seen: &Seen<'_>, members: &[Member], memory: &mut Memory) -> Listed {
        let Seen { sight, vault, identity } = *seen;
        let mut listed = Listed::default();
        for collection in plan::collections(members) {
            if !memory.lists(self.mode, collection, members, Instant::now()) {
                listed.insert(collection, None);
                continue;
            }
            match self.vault.list(identity, vault, collection, Priority::Refresh).await {
                Ok(listing) => {
                    debug!(%sight, ?collection, items = listing.items.len(), pages = listing.pages, "listed");
                    self.tell(seen, collection, None);
                    memory.listed(collection, listing.pages, Instant::now());
                    self.names.listed(sight, collection, &listing);
                    listed.insert(collection, Some(listing));
                }
                Err(error) => {
                    let forbidden = matches!(
                        error.diagnosis.code,
                        Code::ForbiddenByRbac | Code::ForbiddenByPolicy | Code::Forbidden
                    );
                    if forbidden {
                        self.names.forget(sight, collection);
                    }
                    self.tell(seen, collection, Some(error.diagnosis));
                    if memory.failed(collection, forbidden, error.retry == Retry::Slowly, Instant::now()) {
                        listed.insert(collection, None);
                    }
                }
            }
        }
        listed
    }

    /// Nobody may have this reader read the vault, or needs it: what was known of it says nothing any more.
    fn leave(&self, sight: &Sight) {
        self.names.forget_all(sight);
        if sight.reader == Reader::Program {
            self.health.forget_vault(&sight.vault);
            return;
        }
        let mut others = self.objects.sights().into_iter().filter(|it| it.reader == sight.reader);
        if others.all(|it| self.members(&it).is_empty()) {
            self.readers.release(&sight.reader);
        }
    }

    /// Metric, `/readyz` and, when it is news, one log line. What a ServiceAccount may not list is not the process's
    /// trouble: the status of its AKVS says what there is to say.
    fn tell(&self, seen: &Seen<'_>, collection: Collection, problem: Option<Diagnosis>) {
        let Seen { sight, vault, .. } = *seen;
        self.metrics
            .polled(problem.as_ref().map(|problem| problem.code.as_str()));
        if sight.reader != Reader::Program {
            if let Some(it) = problem {
                debug!(%sight, ?collection, code = it.code.as_str(), error = %it, "a vault cannot be listed");
            }
            return;
        }
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

    fn act(&self, seen: &Seen<'_>, members: &[Member], listed: &Listed, memory: &mut Memory) {
        let start = Instant::now();
        for member in members {
            let partition = member.object.vault.as_str();
            // What another identity read, this one may not be allowed to.
            if seen.sight.reader != Reader::Program && member.was_read_by_another(seen.identity.info()) {
                self.queue.add(member.key.clone(), partition, Lane::Refresh, LOOK);
                continue;
            }
            match plan::turn(member, listed, memory) {
                Turn::Nothing => {}
                Turn::Changed => self.queue.add(member.key.clone(), partition, Lane::Refresh, LOOK),
                Turn::FailureMayBeOver => self.queue.add(member.key.clone(), partition, Lane::New, LOOK),
                Turn::Get => {
                    let at = start + phase::slot(&member.key.to_string(), self.period);
                    self.queue.add_at(member.key.clone(), partition, LOOK, at);
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
async fn guarded(sight: Sight, look: impl Future<Output = (Sight, Memory)>) -> (Sight, Memory) {
    AssertUnwindSafe(look).catch_unwind().await.unwrap_or_else(|_| {
        error!(vault = %sight, "looking at this vault panicked, which is a bug; it is tried again");
        (sight, Memory::default())
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
        let sight = Sight {
            vault: "kv1".to_owned(),
            reader: Reader::Program,
        };
        let (again, mut memory) = guarded(sight.clone(), async { panic!("a bug") }).await;
        assert_eq!(again, sight);
        assert!(memory.begin().is_some());
    }
}
