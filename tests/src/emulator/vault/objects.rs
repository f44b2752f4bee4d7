//! What the three collections of a vault have in common: names, versions, attributes, soft delete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::VaultError;
use crate::emulator::crypto::random_hex;
use crate::emulator::operation::Kind;

/// Days a deleted object can be recovered.
pub(crate) const RECOVERABLE_DAYS: i64 = 90;

/// Tags of an object.
pub type Tags = BTreeMap<String, String>;

/// Attributes of one version; times in Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) enabled: bool,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires: Option<i64>,
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

impl Attributes {
    pub(crate) fn new(now: i64) -> Self {
        Self {
            enabled: true,
            not_before: None,
            expires: None,
            created: now,
            updated: now,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let mut json = json!({
            "enabled": self.enabled, "created": self.created, "updated": self.updated,
            "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": RECOVERABLE_DAYS,
        });
        for (name, time) in [("nbf", self.not_before), ("exp", self.expires)] {
            if let Some(time) = time {
                json[name] = time.into();
            }
        }
        json
    }
}

/// The part of a request that sets attributes; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Whether the version can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Not before, Unix seconds.
    #[serde(default, rename = "nbf", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Expires, Unix seconds.
    #[serde(default, rename = "exp", skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

impl AttributeChange {
    pub(crate) fn apply(&self, attributes: &mut Attributes) {
        attributes.enabled = self.enabled.unwrap_or(attributes.enabled);
        attributes.not_before = self.not_before.or(attributes.not_before);
        attributes.expires = self.expires.or(attributes.expires);
    }
}

/// One version of an object.
#[derive(Debug, Clone)]
pub(crate) struct Version<V> {
    /// 32 hexadecimal digits.
    pub(crate) id: String,
    pub(crate) attributes: Attributes,
    pub(crate) tags: Tags,
    /// Belongs to a certificate.
    pub(crate) managed: bool,
    pub(crate) content: V,
}

impl<V> Version<V> {
    pub(crate) fn new(content: V, attributes: Attributes, tags: Tags) -> Self {
        Self {
            id: random_hex(16),
            attributes,
            tags,
            managed: false,
            content,
        }
    }

    /// Changes attributes and tags in place.
    pub(crate) fn change(&mut self, change: &AttributeChange, tags: Option<Tags>, now: i64) {
        change.apply(&mut self.attributes);
        if let Some(tags) = tags {
            self.tags = tags;
        }
        self.attributes.updated = now;
    }
}

/// When an object was deleted, Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deletion {
    pub(crate) at: i64,
}

impl Deletion {
    pub(crate) fn purge_at(self) -> i64 {
        self.at + RECOVERABLE_DAYS * 86_400
    }
}

/// An object with all its versions.
#[derive(Debug, Clone)]
pub(crate) struct Object<V> {
    /// As first written.
    pub(crate) name: String,
    /// Never empty; the last one is the current one.
    pub(crate) versions: Vec<Version<V>>,
    pub(crate) deleted: Option<Deletion>,
}

impl<V> Object<V> {
    pub(crate) fn current(&self) -> &Version<V> {
        self.versions.last().expect("an object is made with its first version")
    }
}

/// All objects of one kind in one vault. Names are compared without regard to case.
#[derive(Debug, Clone)]
pub(crate) struct Collection<V> {
    kind: Kind,
    objects: BTreeMap<String, Object<V>>,
}

/// One page of a listing, and the name the next one begins with.
pub(crate) struct Page<'a, T> {
    pub(crate) items: Vec<&'a T>,
    pub(crate) next: Option<String>,
}

impl<V> Collection<V> {
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            kind,
            objects: BTreeMap::new(),
        }
    }

    /// A live object.
    pub(crate) fn object(&self, name: &str) -> Result<&Object<V>, VaultError> {
        let found = self
            .objects
            .get(&name.to_ascii_lowercase())
            .filter(|object| object.deleted.is_none());
        found.ok_or_else(|| VaultError::not_found(self.kind, name))
    }

    fn object_mut(&mut self, name: &str) -> Result<&mut Object<V>, VaultError> {
        let found = self
            .objects
            .get_mut(&name.to_ascii_lowercase())
            .filter(|object| object.deleted.is_none());
        found.ok_or_else(|| VaultError::not_found(self.kind, name))
    }

    /// A version of a live object; without `version` the current one.
    pub(crate) fn version(&self, name: &str, version: Option<&str>) -> Result<(&Object<V>, &Version<V>), VaultError> {
        let object = self.object(name)?;
        let found = match version {
            None => Some(object.current()),
            Some(id) => object
                .versions
                .iter()
                .find(|version| version.id.eq_ignore_ascii_case(id)),
        };
        let missing = || VaultError::not_found(self.kind, &format!("{name}/{}", version.unwrap_or("")));
        found.map(|found| (object, found)).ok_or_else(missing)
    }

    /// As [`Self::version`], for changing it.
    pub(crate) fn version_mut(&mut self, name: &str, version: Option<&str>) -> Result<&mut Version<V>, VaultError> {
        let missing = VaultError::not_found(self.kind, &format!("{name}/{}", version.unwrap_or("")));
        let object = self.object_mut(name)?;
        let found = match version {
            None => object.versions.last_mut(),
            Some(id) => object
                .versions
                .iter_mut()
                .find(|version| version.id.eq_ignore_ascii_case(id)),
        };
        found.ok_or(missing)
    }

    /// Whether a name, live or deleted, belongs to a certificate.
    pub(crate) fn managed(&self, name: &str) -> bool {
        self.objects
            .get(&name.to_ascii_lowercase())
            .is_some_and(|object| object.current().managed)
    }

    /// Whether a name may be written: not while its object is deleted but recoverable.
    pub(crate) fn writable(&self, name: &str) -> Result<(), VaultError> {
        match self.objects.get(&name.to_ascii_lowercase()) {
            Some(object) if object.deleted.is_some() => Err(VaultError::deleted_but_recoverable(self.kind, name)),
            _ => Ok(()),
        }
    }

    /// Adds a version, which becomes the current one, and returns its id.
    pub(crate) fn add(&mut self, name: &str, version: Version<V>) -> Result<String, VaultError> {
        self.writable(name)?;
        let id = version.id.clone();
        self.objects
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Object {
                name: name.to_owned(),
                versions: Vec::new(),
                deleted: None,
            })
            .versions
            .push(version);
        Ok(id)
    }

    /// Soft-deletes an object.
    pub(crate) fn delete(&mut self, name: &str, now: i64) -> Result<&Object<V>, VaultError> {
        let object = self.object_mut(name)?;
        object.deleted = Some(Deletion { at: now });
        Ok(object)
    }

    /// A deleted object.
    pub(crate) fn deleted(&self, name: &str) -> Result<(&Object<V>, Deletion), VaultError> {
        let object = self.objects.get(&name.to_ascii_lowercase());
        let deleted = object.and_then(|object| object.deleted.map(|deletion| (object, deletion)));
        deleted.ok_or_else(|| VaultError::not_found(self.kind, name))
    }

    /// Brings a deleted object back with all its versions.
    pub(crate) fn recover(&mut self, name: &str) -> Result<&Object<V>, VaultError> {
        self.deleted(name)?;
        let object = self
            .objects
            .get_mut(&name.to_ascii_lowercase())
            .expect("deleted() found it");
        object.deleted = None;
        Ok(object)
    }

    /// Forgets a deleted object.
    pub(crate) fn purge(&mut self, name: &str) -> Result<(), VaultError> {
        self.deleted(name)?;
        self.objects.remove(&name.to_ascii_lowercase());
        Ok(())
    }

    /// Up to `size` live (or deleted) objects in the order of their names, from the name `from` on.
    pub(crate) fn page(&self, deleted: bool, from: Option<&str>, size: usize) -> Page<'_, Object<V>> {
        let start = from.unwrap_or("").to_ascii_lowercase();
        let mut objects = self
            .objects
            .range(start..)
            .filter(|(_, object)| object.deleted.is_some() == deleted);
        let items = objects.by_ref().take(size).map(|(_, object)| object).collect();
        Page {
            items,
            next: objects.next().map(|(name, _)| name.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collection(names: &[&str]) -> Collection<()> {
        let mut collection = Collection::new(Kind::Secret);
        for name in names {
            collection
                .add(name, Version::new((), Attributes::new(1), Tags::new()))
                .unwrap();
        }
        collection
    }

    #[test]
    fn names_are_the_same_whatever_their_case() {
        let mut names = collection(&["Db", "dB"]);
        assert_eq!(names.object("DB").unwrap().versions.len(), 2);
        assert_eq!(names.object("db").unwrap().name, "Db");
        names.delete("DB", 5).unwrap();
        assert!(names.object("db").is_err());
    }

    #[test]
    fn a_deleted_name_is_taken_until_it_is_recovered_or_purged() {
        let mut names = collection(&["a"]);
        names.delete("a", 5).unwrap();
        let again = names.add("a", Version::new((), Attributes::new(1), Tags::new()));
        assert_eq!(
            again.unwrap_err().inner.as_deref(),
            Some("ObjectIsDeletedButRecoverable")
        );
        names.recover("a").unwrap();
        assert_eq!(names.object("a").unwrap().versions.len(), 1);
        assert!(names.purge("a").is_err(), "only deleted objects are purged");
        names.delete("a", 6).unwrap();
        names.purge("a").unwrap();
        assert!(names.recover("a").is_err());
    }

    #[test]
    fn pages_show_every_object_once() {
        let names: Vec<String> = (0..60).map(|i| format!("n{i:02}")).collect();
        let mut objects = collection(&names.iter().map(String::as_str).collect::<Vec<_>>());
        objects.delete("n30", 1).unwrap();
        let (mut seen, mut from) = (Vec::new(), None);
        loop {
            let page = objects.page(false, from.as_deref(), 25);
            seen.push(page.items.len());
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(seen, [25, 25, 9]);
        assert_eq!(objects.page(true, None, 25).items.len(), 1);
    }
}
