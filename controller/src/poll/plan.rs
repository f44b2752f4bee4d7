//! Which objects a look at a vault concerns. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use akv2k8s_shared::api::{self, AzureKeyVaultSecret, StatusIdentity};
use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::IdentityInfo;
use akv2k8s_shared::keyvault::changes::{self, Change, ChangeDetection, Listings, Look, compare, watched};
use akv2k8s_shared::keyvault::model::Fingerprint;
use akv2k8s_shared::keyvault::{Collection, Listing};
use akv2k8s_shared::reference::{ObjectKind, ObjectRef};

use crate::objects::Key;
use crate::reconcile::{is_ready, status_identity, status_of};

/// After so many transient failures in a row, objects are asked one by one: their status must say what is wrong.
const PATIENCE: u32 = 3;

/// One AKVS in one vault.
pub(super) struct Member {
    pub(super) key: Key,
    pub(super) object: ObjectRef,
    /// The mark of what was last taken over.
    last: Option<Fingerprint>,
    /// Who read it last.
    reader: Option<StatusIdentity>,
    pub(super) ready: bool,
}

impl Member {
    /// `None`: nothing is synced for it, or nothing was ever tried (its first sync is on its way).
    pub(super) fn of(key: Key, akvs: &AzureKeyVaultSecret) -> Option<Self> {
        let status = status_of(akvs);
        let request = api::parse(akvs).ok()?;
        let concerns = request.has_output() && status.observed_generation.is_some();
        concerns.then(|| Self {
            key,
            object: request.object,
            ready: is_ready(&status),
            reader: status.identity,
            last: status.fingerprint.map(Fingerprint),
        })
    }

    /// Whether its Secret holds what somebody else than `identity` read.
    pub(super) fn was_read_by_another(&self, identity: &IdentityInfo) -> bool {
        self.ready && self.reader.as_ref() != Some(&status_identity(identity))
    }

    /// Pinned versions are immutable: their daily look is enough.
    fn is_pinned(&self) -> bool {
        self.object.version.is_some()
    }
}

/// The collections that tell of at least one member.
pub(super) fn collections(members: &[Member]) -> BTreeSet<Collection> {
    let unpinned = members.iter().filter(|member| !member.is_pinned());
    unpinned
        .flat_map(|member| watched(member.object.kind))
        .copied()
        .collect()
}

/// The lists of one look. `None`: to be looked at object by object. Absent: the list failed; look again next time.
#[derive(Default)]
pub(super) struct Listed(pub(super) BTreeMap<Collection, Option<Listing>>);

impl Listed {
    fn listings(&self) -> Listings<'_> {
        let of = |collection| self.0.get(&collection).and_then(Option::as_ref);
        Listings {
            secrets: of(Collection::Secrets),
            certificates: of(Collection::Certificates),
            keys: of(Collection::Keys),
        }
    }

    fn one_by_one(&self, kind: ObjectKind) -> bool {
        watched(kind)
            .iter()
            .any(|collection| matches!(self.0.get(collection), Some(None)))
    }

    /// What the lists say of an object now, whatever was read before.
    fn mark(&self, object: &ObjectRef) -> Option<Fingerprint> {
        let of = |collection: &Collection| self.0.get(collection)?.as_ref()?.items.get(&object.name);
        let marks: Option<Vec<_>> = watched(object.kind)
            .iter()
            .map(|it| of(it).map(|listed| &listed.fingerprint))
            .collect();
        marks.map(|marks| Fingerprint::combine(&marks))
    }
}

/// What a member gets to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Nothing,
    /// Read it: the list shows a change.
    Changed,
    /// It failed, and the list shows that somebody did something about it.
    FailureMayBeOver,
    /// Read it in its own slot of the period.
    Get,
}

/// What is remembered of a vault from one look of a reader to the next; a restart may forget it.
#[derive(Default)]
pub(super) struct Memory {
    looking: bool,
    /// Who the reader was.
    identity: Option<IdentityInfo>,
    /// Why the reader was nobody at the last look.
    refusal: Option<Code>,
    /// When the last look began, since the Unix epoch.
    pub(super) last_look: Option<Duration>,
    /// How many pages a LIST had, and when: a vault may shrink.
    pages: HashMap<Collection, (u32, Instant)>,
    forbidden: HashMap<Collection, Instant>,
    failures: HashMap<Collection, u32>,
    /// Marks of objects whose last sync failed.
    failed: HashMap<Key, Option<Fingerprint>>,
}

impl Memory {
    /// Hands the memory to a look, unless one is under way.
    pub(super) fn begin(&mut self) -> Option<Self> {
        (!self.looking).then(|| {
            std::mem::replace(
                self,
                Self {
                    looking: true,
                    ..Self::default()
                },
            )
        })
    }

    /// Forgets what the reader saw.
    pub(super) fn forget(&mut self) {
        *self = Self {
            last_look: self.last_look,
            ..Self::default()
        };
    }

    /// Notes that the reader is nobody, for the reason `code`, and forgets what it saw; true when the reason is new.
    pub(super) fn is_refused_anew(&mut self, code: Code) -> bool {
        let before = self.refusal;
        self.forget();
        self.refusal = Some(code);
        before != Some(code)
    }

    /// Whether the reader was nobody at the last look; it is somebody now.
    pub(super) fn is_admitted_again(&mut self) -> bool {
        self.refusal.take().is_some()
    }

    /// Whether the reader has become somebody else; then all the other one saw is forgotten.
    pub(super) fn is_of_another(&mut self, identity: &IdentityInfo) -> bool {
        let another = self.identity.as_ref().is_some_and(|before| before != identity);
        if another {
            let refusal = self.refusal;
            self.forget();
            self.refusal = refusal;
        }
        self.identity = Some(identity.clone());
        another
    }

    pub(super) fn is_looking(&self) -> bool {
        self.looking
    }

    /// Whether to LIST `collection` this time. A LIST that was forbidden is not tried again for long, as long as an object can be
    /// read without it; when none can, it is the cheapest way to learn that somebody granted the right.
    pub(super) fn lists(
        &self,
        mode: ChangeDetection,
        collection: Collection,
        members: &[Member],
        now: Instant,
    ) -> bool {
        let concerned = || {
            members
                .iter()
                .filter(|it| !it.is_pinned() && watched(it.object.kind).contains(&collection))
        };
        let referenced: HashSet<_> = concerned().map(|it| &it.object.name).collect();
        let forbidden_for = self
            .forbidden
            .get(&collection)
            .filter(|_| concerned().any(|it| it.ready))
            .map(|since| now.saturating_duration_since(*since));
        let fresh = |at: Instant| now.saturating_duration_since(at) < changes::LIST_AGAIN_AFTER;
        let counted = self.pages.get(&collection).filter(|(_, at)| fresh(*at));
        let pages = counted.map(|(pages, _)| *pages);
        changes::choose(mode, referenced.len(), pages, forbidden_for) == Look::List
    }

    pub(super) fn listed(&mut self, collection: Collection, pages: u32, now: Instant) {
        self.pages.insert(collection, (pages, now));
        self.failures.remove(&collection);
        self.forbidden.remove(&collection);
    }

    /// Notes a failed LIST; true when the objects are to be asked one by one.
    pub(super) fn failed(&mut self, collection: Collection, forbidden: bool, lasting: bool, now: Instant) -> bool {
        if forbidden {
            self.forbidden.insert(collection, now);
        }
        let failures = self.failures.entry(collection).or_default();
        *failures = failures.saturating_add(1);
        forbidden || lasting || *failures >= PATIENCE
    }

    pub(super) fn forget_others(&mut self, members: &[Member]) {
        let failing: HashSet<_> = members
            .iter()
            .filter(|member| !member.ready)
            .map(|member| &member.key)
            .collect();
        self.failed.retain(|key, _| failing.contains(key));
    }
}

/// Decides for one member.
pub(super) fn turn(member: &Member, listed: &Listed, memory: &mut Memory) -> Turn {
    if member.is_pinned() {
        return Turn::Nothing;
    }
    if listed.one_by_one(member.object.kind) {
        return Turn::Get;
    }
    if watched(member.object.kind).iter().any(|it| !listed.0.contains_key(it)) {
        return Turn::Nothing;
    }
    if !member.ready {
        // What the list showed when the object failed is not known: the first look gives it another chance, too.
        let mark = listed.mark(&member.object);
        let before = memory.failed.insert(member.key.clone(), mark.clone());
        return if before.is_none_or(|before| before != mark) {
            Turn::FailureMayBeOver
        } else {
            Turn::Nothing
        };
    }
    match compare(
        member.object.kind,
        &member.object.name,
        member.last.as_ref(),
        listed.listings(),
    ) {
        Change::Changed | Change::Missing => Turn::Changed,
        Change::Unchanged | Change::Unsettled => Turn::Nothing,
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
