//! What is known of an output without its values: owners, managers, the keys each of them owns.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::fields;
use super::owner::{AkvsId, is_akvs_manager, is_akvs_reference};

/// Sorted names.
pub type Names = Box<[Box<str>]>;

/// Labels or annotations in compact form: name → hash of the value (only ever compared within one process).
pub type Pairs = BTreeMap<Box<str>, u64>;

/// Compact metadata of a Secret or ConfigMap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputMeta {
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`.
    pub resource_version: Box<str>,
    /// Owner references that name an AKVS.
    pub owners: Box<[OwnerRef]>,
    /// Whether something that is not an AKVS is an owner, too.
    pub foreign_owner: bool,
    /// Every field manager that owns something we look at.
    pub managers: Box<[Manager]>,
    /// Labels that an AKVS's manager owns.
    pub labels: Pairs,
    /// Annotations that an AKVS's manager owns.
    pub annotations: Pairs,
}

/// An AKVS named in `ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerRef {
    /// Name of the AKVS.
    pub name: Box<str>,
    /// Its UID.
    pub uid: Box<str>,
}

/// One entry of `managedFields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manager {
    /// Name, e.g. `kubectl-edit`.
    pub name: Box<str>,
    /// How it wrote.
    pub operation: Operation,
    /// What it owns.
    pub claims: Claims,
}

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Server-side apply: it says what it wants, and keeps saying so.
    Apply,
    /// Create, update or patch: it wrote once.
    Update,
}

/// The part of `fieldsV1` that matters to outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Keys of `data` and `binaryData`.
    pub data: Names,
    /// Keys of `stringData`: written by a server-side apply, they change a value without moving its ownership.
    pub string_data: Names,
    /// Label names.
    pub labels: Names,
    /// Annotation names.
    pub annotations: Names,
    /// UIDs of owner references.
    pub owners: Names,
    /// `type`.
    pub secret_type: bool,
}

impl Claims {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl OutputMeta {
    /// Reads an object's metadata. `managedFields` of unknown shape count as owning nothing.
    pub fn of(meta: &ObjectMeta) -> Self {
        let managers: Box<[Manager]> = fields::managers(meta);
        let pairs = |values: Option<&BTreeMap<String, String>>, names: fn(&Claims) -> &Names| -> Pairs {
            let ours = |key: &str| {
                managers
                    .iter()
                    .filter(|m| m.is_akvs())
                    .any(|m| contains(names(&m.claims), key))
            };
            let all = values.into_iter().flatten();
            all.filter(|(key, _)| ours(key))
                .map(|(key, value)| (key.as_str().into(), digest(value)))
                .collect()
        };
        let references = meta.owner_references.as_deref().unwrap_or_default();
        let (akvs, foreign): (Vec<_>, Vec<_>) = references.iter().partition(|r| is_akvs_reference(r));
        Self {
            uid: meta.uid.as_deref().unwrap_or_default().into(),
            resource_version: meta.resource_version.as_deref().unwrap_or_default().into(),
            owners: akvs
                .iter()
                .map(|r| OwnerRef {
                    name: r.name.as_str().into(),
                    uid: r.uid.as_str().into(),
                })
                .collect(),
            foreign_owner: !foreign.is_empty(),
            labels: pairs(meta.labels.as_ref(), |claims| &claims.labels),
            annotations: pairs(meta.annotations.as_ref(), |claims| &claims.annotations),
            managers,
        }
    }

    /// What `manager` has applied; `None` when it never did, or has lost everything.
    pub fn applied(&self, manager: &str) -> Option<&Claims> {
        self.managers
            .iter()
            .find(|m| m.is_applied_by(manager))
            .map(|m| &m.claims)
    }

    /// How many data keys have a manager. An object that holds more was written by somebody whose traces in `managedFields` are
    /// gone.
    pub(super) fn managed_keys(&self) -> usize {
        let claims = self.managers.iter().map(|manager| &manager.claims);
        let keys: BTreeSet<_> = claims.flat_map(|it| it.data.iter().chain(&it.string_data)).collect();
        keys.len()
    }

    /// Whether an AKVS has to do with the object at all: only such objects are kept in the store.
    pub fn concerns_an_akvs(&self) -> bool {
        !self.owners.is_empty() || self.managers.iter().any(Manager::is_akvs)
    }

    /// Whether the object is the AKVS's own: it is named as an owner (also by upstream), or has applied to it before.
    pub fn belongs_to(&self, akvs: &AkvsId) -> bool {
        self.has_owner(akvs) || self.applied(&akvs.manager()).is_some()
    }

    /// Whether this very AKVS (by UID) is named as an owner.
    pub fn has_owner(&self, akvs: &AkvsId) -> bool {
        self.owners.iter().any(|owner| *owner.uid == *akvs.uid)
    }

    /// Names of the managers, other than `except`, of AKVS that have a part in this object.
    pub fn other_akvs_managers<'a>(&'a self, except: &'a str) -> impl Iterator<Item = &'a Manager> {
        self.managers.iter().filter(move |m| m.is_akvs() && &*m.name != except)
    }
}

/// Whether sorted `names` hold `name`.
pub(super) fn contains(names: &Names, name: &str) -> bool {
    names.binary_search_by(|n| (**n).cmp(name)).is_ok()
}

/// Hash of a label's or an annotation's value.
pub(super) fn digest(value: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Manager {
    /// Whether it is the manager of some AKVS.
    pub(super) fn is_akvs(&self) -> bool {
        is_akvs_manager(&self.name)
    }

    /// Whether this is what `manager` applied.
    pub(super) fn is_applied_by(&self, manager: &str) -> bool {
        self.operation == Operation::Apply && &*self.name == manager
    }

    /// Whether somebody who is no AKVS wrote this once, by a create, an update or a patch.
    pub(super) fn is_update_of_others(&self) -> bool {
        self.operation == Operation::Update && !self.is_akvs()
    }

    /// Whether its co-ownership of a key of ours must end: it wrote once and would keep the key from ever being pruned, or it
    /// is another AKVS, with which a key cannot be shared.
    pub(super) fn encroaches(&self) -> bool {
        self.is_update_of_others() || self.is_akvs()
    }

    /// Whether it is who wrote outputs before this controller: an update that owns one of our owner references.
    pub(super) fn wrote_reference(&self, owners: &Names) -> bool {
        self.is_update_of_others() && self.claims.owners.iter().any(|uid| contains(owners, uid))
    }
}
