//! How a vault's objects are shown: bundles, listings page by page, deleted objects.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::certificates::{self, CertificateContent};
use super::error::VaultError;
use super::keys::{self, KeyContent};
use super::objects::{Collection, Deletion, Object, Version};
use super::secrets::{self, SecretContent};
use super::service::Context;
use super::{Ids, Vault};
use crate::emulator::http::Reply;
use crate::emulator::operation::Kind;

/// The service's page size, and the most a client may ask for.
const PAGE: usize = 25;

/// What of an object, or of its collection, is shown.
pub(super) enum View<'a> {
    /// A version as a reader gets it: not when it is disabled.
    Get(Option<&'a str>),
    /// A version as its writer gets it.
    Written(Option<&'a str>),
    /// A deleted object.
    Deleted,
    /// One page of the collection.
    List {
        /// Of the deleted objects.
        deleted: bool,
    },
    /// One page of an object's versions.
    Versions,
}

/// How a kind of object is written as JSON.
trait Content: Sized {
    /// One version, completely.
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value;
    /// A line of a listing, under the identifier `id`.
    fn item(id: &str, version: &Version<Self>) -> Value;
}

impl Content for SecretContent {
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value {
        secrets::bundle(ids, object, version)
    }

    fn item(id: &str, version: &Version<Self>) -> Value {
        secrets::item(id, version)
    }
}

impl Content for KeyContent {
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value {
        keys::bundle(ids, object, version)
    }

    fn item(id: &str, version: &Version<Self>) -> Value {
        keys::item(id, version)
    }
}

impl Content for CertificateContent {
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value {
        certificates::bundle(ids, object, version)
    }

    fn item(id: &str, version: &Version<Self>) -> Value {
        certificates::item(id, version)
    }
}

impl Context<'_> {
    pub(super) fn show(&self, vault: &Vault, view: &View<'_>) -> Result<Reply, VaultError> {
        let json = match self.route.kind {
            Kind::Secret => self.show_of(&vault.secrets, view),
            Kind::Key => self.show_of(&vault.keys, view),
            Kind::Certificate => self.show_of(&vault.certificates, view),
        };
        json.map(|json| Reply::ok(&json))
    }

    fn show_of<V: Content>(&self, objects: &Collection<V>, view: &View<'_>) -> Result<Value, VaultError> {
        match view {
            View::Get(version) => {
                let (object, version) = objects.version(self.name(), *version)?;
                if !version.attributes.enabled {
                    return Err(VaultError::disabled(self.route.kind));
                }
                Ok(V::bundle(&self.ids, object, version))
            }
            View::Written(version) => {
                let (object, version) = objects.version(self.name(), *version)?;
                Ok(V::bundle(&self.ids, object, version))
            }
            View::Deleted => {
                let (object, deletion) = objects.deleted(self.name())?;
                let mut json = V::bundle(&self.ids, object, object.current());
                // A deleted secret's value is gone until it is recovered.
                json.as_object_mut().and_then(|members| members.remove("value"));
                self.add_deletion(&mut json, object, deletion);
                Ok(json)
            }
            View::List { deleted } => self.list(objects, *deleted),
            View::Versions => self.versions(objects.object(self.name())?),
        }
    }

    fn add_deletion<V>(&self, json: &mut Value, object: &Object<V>, deletion: Deletion) {
        json["recoveryId"] = self.ids.deleted(self.route.kind, &object.name).into();
        json["deletedDate"] = deletion.at.into();
        json["scheduledPurgeDate"] = deletion.purge_at().into();
    }

    fn list<V: Content>(&self, objects: &Collection<V>, deleted: bool) -> Result<Value, VaultError> {
        let from = self.skip_token()?;
        let page = objects.page(deleted, from.as_deref(), self.page_size()?);
        let items = page.items.into_iter().map(|object| {
            let mut item = V::item(&self.ids.object(self.route.kind, &object.name), object.current());
            if let Some(deletion) = object.deleted {
                self.add_deletion(&mut item, object, deletion);
            }
            item
        });
        Ok(self.page(&items.collect::<Vec<_>>(), page.next))
    }

    /// Versions in the order of their ids: the service promises no order, and clients must not rely on one.
    fn versions<V: Content>(&self, object: &Object<V>) -> Result<Value, VaultError> {
        let from = self.skip_token()?.unwrap_or_default();
        let mut versions: Vec<_> = object.versions.iter().filter(|version| version.id >= from).collect();
        versions.sort_by(|a, b| a.id.cmp(&b.id));
        let size = self.page_size()?;
        let next = versions.get(size).map(|version| version.id.clone());
        let items = versions
            .into_iter()
            .take(size)
            .map(|version| V::item(&self.ids.version(self.route.kind, &object.name, &version.id), version));
        Ok(self.page(&items.collect::<Vec<_>>(), next))
    }

    fn page(&self, items: &[Value], next: Option<String>) -> Value {
        let link = next.map(|next| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("api-version", self.request.query("api-version").unwrap_or(""))
                .append_pair("$skiptoken", &BASE64_URL_SAFE_NO_PAD.encode(next))
                .append_pair("maxresults", self.request.query("maxresults").unwrap_or("25"))
                .finish();
            format!("{}{}?{query}", self.ids.base, self.request.path)
        });
        json!({ "value": items, "nextLink": link })
    }

    fn skip_token(&self) -> Result<Option<String>, VaultError> {
        let invalid = || VaultError::bad_parameter("The skiptoken is not valid.");
        let decode = |token| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok();
        self.request
            .query("$skiptoken")
            .map(|token| decode(token).ok_or_else(invalid))
            .transpose()
    }

    fn page_size(&self) -> Result<usize, VaultError> {
        match self.request.query("maxresults").map(str::parse) {
            None => Ok(PAGE),
            Some(Ok(size @ 1..=PAGE)) => Ok(size),
            Some(_) => Err(VaultError::bad_parameter(format!(
                "Property maxresults must be between 1 and {PAGE}."
            ))),
        }
    }
}
