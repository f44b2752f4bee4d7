//! Requests to a vault: who asks, may they, and what is the answer.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::access::{Question, authenticate, forbidden_by_network};
use super::error::VaultError;
use super::objects::{Collection, Object, Version};
use super::route::Route;
use super::secrets::{self, SecretContent};
use super::{Ids, PAGE, Vault};
use crate::emulator::http::{Reply, Request};
use crate::emulator::operation::{Action, Kind};
use crate::emulator::{Shared, VAULT_AUDIENCE};

/// Versions of the data plane API whose forms this emulator speaks.
const API_VERSIONS: [&str; 12] = [
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6",
    "7.6-preview.2",
    "2016-10-01",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-04-01",
];

/// How an object's versions are shown.
pub(super) trait Content: Sized {
    /// One version, completely.
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value;
    /// A line of a listing, under the identifier `id`.
    fn item(id: String, version: &Version<Self>) -> Value;
    /// Whether reading a disabled version is refused.
    fn readable(version: &Version<Self>) -> bool {
        version.attributes.enabled
    }
}

impl Content for SecretContent {
    fn bundle(ids: &Ids<'_>, object: &Object<Self>, version: &Version<Self>) -> Value {
        secrets::bundle(ids, object, version)
    }

    fn item(id: String, version: &Version<Self>) -> Value {
        secrets::item(id, version)
    }
}

/// Answers a request to the vault `name`.
pub(crate) fn handle(shared: &Shared, name: &str, route: Option<&Route<'_>>, request: &Request) -> Reply {
    let mut vaults = shared.vaults.lock();
    let Some(vault) = vaults.get_mut(name) else {
        let text = format!("this emulator has no vault {name:?}: register it first\n");
        return Reply::text(StatusCode::MISDIRECTED_REQUEST, text);
    };
    match answer(shared, vault, route, request) {
        Ok(reply) => reply,
        Err(error) if error.status == StatusCode::UNAUTHORIZED => {
            let described = request.bearer().is_some().then_some(error.message.as_str());
            error
                .reply()
                .header("www-authenticate", challenge(shared, &vault.tenant_id, described))
        }
        Err(error) => error.reply(),
    }
}

/// The challenge of a vault: where a token comes from, and for what resource.
fn challenge(shared: &Shared, tenant_id: &str, error: Option<&str>) -> String {
    let described = error.map(|text| format!(", error=\"invalid_token\", error_description=\"{text}\""));
    format!(
        "Bearer authorization=\"{}/{tenant_id}\", resource=\"{VAULT_AUDIENCE}\"{}",
        shared.authority(),
        described.unwrap_or_default()
    )
}

fn answer(
    shared: &Shared,
    vault: &mut Vault,
    route: Option<&Route<'_>>,
    request: &Request,
) -> Result<Reply, VaultError> {
    let now = shared.clock.now();
    let caller = authenticate(&shared.entra, &vault.tenant_id, request.bearer(), now)?;
    check_api_version(request)?;
    if let Some(firewall) = vault.firewall {
        return Err(forbidden_by_network(firewall, &caller, &vault.name));
    }
    let route = route.ok_or_else(|| VaultError::unsupported(request.method.as_str(), &request.path))?;
    if let Some(name) = route.name {
        check_name(name)?;
    }
    let Route { kind, action, name, .. } = *route;
    vault.access.authorize(
        &caller,
        &Question {
            vault: &vault.name,
            kind,
            action,
            name,
        },
    )?;
    let base = shared.vault_url(&vault.name);
    let context = Context {
        ids: Ids { base: &base },
        route,
        request,
        now,
    };
    match kind {
        Kind::Secret => context.secret(vault),
        Kind::Key | Kind::Certificate => Err(VaultError::unsupported(request.method.as_str(), &request.path)),
    }
}

fn check_api_version(request: &Request) -> Result<(), VaultError> {
    match request.query("api-version") {
        None => Err(VaultError::bad_parameter(
            "The api-version query parameter must be specified.",
        )),
        Some(version) if API_VERSIONS.contains(&version) => Ok(()),
        Some(version) => Err(VaultError::bad_parameter(format!(
            "The specified version ({version}) is not recognized. Consider using the latest supported version (2026-04-01)."
        ))),
    }
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let valid = (1..=127).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if valid {
        Ok(())
    } else {
        Err(VaultError::bad_parameter(format!(
            "The request URI contains an invalid name: {name}"
        )))
    }
}

/// An authorised request.
struct Context<'a> {
    ids: Ids<'a>,
    route: &'a Route<'a>,
    request: &'a Request,
    now: i64,
}

impl Context<'_> {
    fn secret(&self, vault: &mut Vault) -> Result<Reply, VaultError> {
        let secrets = &mut vault.secrets;
        let name = self.route.name.unwrap_or("");
        let version = match self.route.action {
            Action::Set => secrets::set(secrets, name, self.body()?, self.now)?,
            Action::Update => secrets::update(secrets, name, self.route.version, self.body()?, self.now)?,
            _ => return self.common(secrets),
        };
        self.bundle(secrets, Some(&version))
    }

    /// What is the same for secrets, keys and certificates.
    fn common<V: Content>(&self, objects: &mut Collection<V>) -> Result<Reply, VaultError> {
        let (kind, name) = (self.route.kind, self.route.name.unwrap_or(""));
        match self.route.action {
            Action::Get => {
                let (_, version) = objects.version(name, self.route.version)?;
                if !V::readable(version) {
                    return Err(VaultError::disabled(kind));
                }
                self.bundle(objects, self.route.version)
            }
            Action::List => self.list(objects, false),
            Action::ListDeleted => self.list(objects, true),
            Action::ListVersions => self.list_versions(objects.object(name)?),
            Action::Delete => {
                objects.delete(name, self.now)?;
                self.deleted_bundle(objects)
            }
            Action::GetDeleted => self.deleted_bundle(objects),
            Action::Recover => {
                objects.recover(name)?;
                self.bundle(objects, None)
            }
            Action::Purge => objects.purge(name).map(|()| Reply::empty(StatusCode::NO_CONTENT)),
            _ => Err(VaultError::unsupported(
                self.request.method.as_str(),
                &self.request.path,
            )),
        }
    }

    fn body<T: DeserializeOwned>(&self) -> Result<T, VaultError> {
        self.request
            .json()
            .map_err(|error| VaultError::bad_parameter(format!("The request body is invalid: {error}")))
    }

    fn bundle<V: Content>(&self, objects: &Collection<V>, version: Option<&str>) -> Result<Reply, VaultError> {
        let (object, version) = objects.version(self.route.name.unwrap_or(""), version)?;
        Ok(Reply::ok(&V::bundle(&self.ids, object, version)))
    }

    /// A deleted object: as in a listing, with the way back.
    fn deleted_bundle<V: Content>(&self, objects: &Collection<V>) -> Result<Reply, VaultError> {
        let (object, deletion) = objects.deleted(self.route.name.unwrap_or(""))?;
        let current = object.current();
        let mut json = V::item(self.ids.version(self.route.kind, &object.name, &current.id), current);
        self.add_deletion(&mut json, object, deletion);
        Ok(Reply::ok(&json))
    }

    fn add_deletion<V>(&self, json: &mut Value, object: &Object<V>, deletion: super::objects::Deletion) {
        json["recoveryId"] = self.ids.deleted(self.route.kind, &object.name).into();
        json["deletedDate"] = deletion.at.into();
        json["scheduledPurgeDate"] = deletion.purge_at().into();
    }

    fn list<V: Content>(&self, objects: &Collection<V>, deleted: bool) -> Result<Reply, VaultError> {
        let from = self.skip_token()?;
        let page = objects.page(deleted, from.as_deref(), self.page_size()?);
        let items = page.items.into_iter().map(|object| {
            let mut item = V::item(self.ids.object(self.route.kind, &object.name), object.current());
            if let Some(deletion) = object.deleted {
                self.add_deletion(&mut item, object, deletion);
            }
            item
        });
        Ok(self.page(items.collect(), page.next))
    }

    /// Versions in the order of their ids: the service promises no order, and clients must not rely on one.
    fn list_versions<V: Content>(&self, object: &Object<V>) -> Result<Reply, VaultError> {
        let from = self.skip_token()?.unwrap_or_default();
        let mut versions: Vec<_> = object.versions.iter().filter(|version| version.id >= from).collect();
        versions.sort_by(|a, b| a.id.cmp(&b.id));
        let size = self.page_size()?;
        let next = versions.get(size).map(|version| version.id.clone());
        let items = versions
            .into_iter()
            .take(size)
            .map(|version| V::item(self.ids.version(self.route.kind, &object.name, &version.id), version));
        Ok(self.page(items.collect(), next))
    }

    fn page(&self, items: Vec<Value>, next: Option<String>) -> Reply {
        let link = next.map(|next| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("api-version", self.request.query("api-version").unwrap_or(""))
                .append_pair("$skiptoken", &BASE64_URL_SAFE_NO_PAD.encode(next))
                .append_pair("maxresults", self.request.query("maxresults").unwrap_or("25"))
                .finish();
            format!("{}{}?{query}", self.ids.base, self.request.path)
        });
        Reply::ok(&json!({ "value": items, "nextLink": link }))
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
