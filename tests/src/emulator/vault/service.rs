//! Requests to a vault: who asks, may they, and what is done.

use hyper::StatusCode;
use serde::de::DeserializeOwned;

use super::access::{Believed, Question, authenticate, forbidden_by_network};
use super::certificates::{self, CertificateBody, Made};
use super::error::VaultError;
use super::keys::{self, KeyBody};
use super::route::Route;
use super::secrets;
use super::view::View;
use super::{Ids, Vault, issuers};
use crate::emulator::Shared;
use crate::emulator::crypto::{PrivateKey, random_uuid};
use crate::emulator::http::{Reply, Request};
use crate::emulator::operation::{Action, Kind};

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

/// Answers a request to the vault `name`.
pub(crate) async fn handle(shared: &Shared, name: &str, route: Option<&Route<'_>>, request: &Request) -> Reply {
    let reply = match answer(shared, name, route, request).await {
        Ok(reply) => reply,
        Err(error) if error.status == StatusCode::UNAUTHORIZED => {
            let tenant = shared
                .vaults
                .lock()
                .get(name)
                .map(|vault| vault.tenant_id.clone())
                .unwrap_or_default();
            let described = request.bearer().is_some().then_some(error.message.as_str());
            error
                .reply()
                .header("www-authenticate", challenge(shared, &tenant, described))
        }
        Err(error) => error.reply(),
    };
    reply.header("x-ms-request-id", random_uuid())
}

/// The challenge of a vault: where a token comes from, and for what resource.
fn challenge(shared: &Shared, tenant_id: &str, error: Option<&str>) -> String {
    let described = error.map(|text| format!(", error=\"invalid_token\", error_description=\"{text}\""));
    format!(
        "Bearer authorization=\"{}/{tenant_id}\", resource=\"{}\"{}",
        shared.authority_url(),
        shared.vault_audience(),
        described.unwrap_or_default()
    )
}

/// Checks the request, then does what takes time, then changes or reads the vault: it is held only for moments.
async fn answer(
    shared: &Shared,
    name: &str,
    route: Option<&Route<'_>>,
    request: &Request,
) -> Result<Reply, VaultError> {
    let now = shared.clock.now();
    let base = shared.vault_url(name);
    let unregistered = || VaultError::bad_parameter(format!("This emulator has no vault {name:?}: register it first."));
    let (context, work) = {
        let vaults = shared.vaults.lock();
        let vault = vaults.get(name).ok_or_else(unregistered)?;
        let route = authorize(shared, vault, route, request, now)?;
        let context = Context {
            ids: Ids { base: &base },
            route,
            request,
            now,
        };
        let work = context.work(shared, vault)?;
        (context, work)
    };
    let product = match work {
        Work::None => Product::None,
        Work::Key(make) => Product::Key(off_thread(make).await?),
        Work::Certificate(make) => Product::Certificate(Box::new(off_thread(make).await?)),
    };
    let mut vaults = shared.vaults.lock();
    context.apply(vaults.get_mut(name).ok_or_else(unregistered)?, product)
}

/// Key generation and PFX decryption would keep other connections waiting.
async fn off_thread<T: Send + 'static>(make: Make<T>) -> Result<T, VaultError> {
    tokio::task::spawn_blocking(make)
        .await
        .unwrap_or_else(|error| Err(VaultError::bad_parameter(format!("The emulator failed: {error}"))))
}

fn authorize<'a>(
    shared: &Shared,
    vault: &Vault,
    route: Option<&'a Route<'a>>,
    request: &Request,
    now: i64,
) -> Result<&'a Route<'a>, VaultError> {
    let audience = shared.vault_audience();
    let believed = Believed {
        tenant_id: &vault.tenant_id,
        audience: &audience,
    };
    let caller = authenticate(&shared.entra, &believed, request.bearer(), now)?;
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
    Ok(route)
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

type Make<T> = Box<dyn FnOnce() -> Result<T, VaultError> + Send>;

/// What must be made before the vault can be changed.
enum Work {
    None,
    Key(Make<PrivateKey>),
    Certificate(Make<Made>),
}

/// What was made.
enum Product {
    None,
    Key(PrivateKey),
    Certificate(Box<Made>),
}

/// An authorised request.
pub(super) struct Context<'a> {
    pub(super) ids: Ids<'a>,
    pub(super) route: &'a Route<'a>,
    pub(super) request: &'a Request,
    pub(super) now: i64,
}

impl Context<'_> {
    /// The object's name; operations without one never ask.
    pub(super) fn name(&self) -> &str {
        self.route.name.unwrap_or("")
    }

    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, VaultError> {
        self.request
            .json()
            .map_err(|error| VaultError::bad_parameter(format!("The request body is invalid: {error}")))
    }

    pub(super) fn unsupported(&self) -> VaultError {
        VaultError::unsupported(self.request.method.as_str(), &self.request.path)
    }

    fn work(&self, shared: &Shared, vault: &Vault) -> Result<Work, VaultError> {
        let now = self.now;
        Ok(match (self.route.kind, self.route.action) {
            (Kind::Key, Action::Create) => {
                vault.keys.writable(self.name())?;
                let kind = self.body::<KeyBody>()?.key_type()?;
                Work::Key(Box::new(move || Ok(PrivateKey::generate(kind)?)))
            }
            (Kind::Certificate, Action::Create) => {
                vault.certificates.writable(self.name())?;
                let policy = self.body::<CertificateBody>()?.policy.unwrap_or_default();
                issuers::check(vault, &policy.issuer.name)?;
                let previous = vault
                    .keys
                    .object(self.name())
                    .ok()
                    .filter(|_| policy.key_props.reuse_key);
                let reused = previous.map(|object| object.current().content.key.clone());
                let authority = shared.authority.clone();
                Work::Certificate(Box::new(move || certificates::make(policy, reused, &authority, now)))
            }
            (Kind::Certificate, Action::Import) => {
                let body = self.body::<CertificateBody>()?;
                Work::Certificate(Box::new(move || certificates::read(&body)))
            }
            _ => Work::None,
        })
    }

    fn apply(&self, vault: &mut Vault, product: Product) -> Result<Reply, VaultError> {
        let (name, version, now) = (self.name(), self.route.version, self.now);
        let written = match (self.route.kind, self.route.action, product) {
            (Kind::Secret, Action::Set, _) => secrets::set(&mut vault.secrets, name, self.body()?, now)?,
            (Kind::Secret, Action::Update, _) => secrets::update(&mut vault.secrets, name, version, self.body()?, now)?,
            (Kind::Key, Action::Create, Product::Key(key)) => {
                keys::create(&mut vault.keys, name, self.body()?, key, now)?
            }
            (Kind::Key, Action::Update, _) => keys::update(&mut vault.keys, name, version, self.body()?, now)?,
            (Kind::Certificate, Action::Create | Action::Import, Product::Certificate(made)) => {
                let id = certificates::store(vault, &self.ids, name, *made, self.body()?, now)?;
                if self.route.action == Action::Create {
                    let operation = self.operation(vault)?.json(&self.ids, name, "inProgress");
                    return Ok(Reply::json(StatusCode::ACCEPTED, &operation));
                }
                id
            }
            (Kind::Certificate, Action::Update, _) => certificates::update(vault, name, version, self.body()?, now)?,
            _ => return self.other(vault),
        };
        self.show(vault, &View::Written(Some(&written)))
    }

    fn other(&self, vault: &mut Vault) -> Result<Reply, VaultError> {
        let (kind, name) = (self.route.kind, self.name());
        match self.route.action {
            Action::Get => self.show(vault, &View::Get(self.route.version)),
            Action::List => self.show(vault, &View::List { deleted: false }),
            Action::ListDeleted => self.show(vault, &View::List { deleted: true }),
            Action::ListVersions => self.show(vault, &View::Versions),
            Action::GetDeleted => self.show(vault, &View::Deleted),
            Action::Delete => {
                vault.delete(kind, name, self.now)?;
                self.show(vault, &View::Deleted)
            }
            Action::Recover => {
                vault.recover(kind, name)?;
                self.show(vault, &View::Written(None))
            }
            Action::Purge => {
                vault.purge(kind, name)?;
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            }
            Action::IssuerGet | Action::IssuerList | Action::IssuerSet | Action::IssuerDelete => {
                issuers::handle(self, vault)
            }
            _ if kind == Kind::Certificate => self.certificate_part(vault),
            _ => Err(self.unsupported()),
        }
    }

    /// A certificate's policy and its pending operation.
    fn certificate_part(&self, vault: &mut Vault) -> Result<Reply, VaultError> {
        let name = self.name();
        match self.route.action {
            Action::PolicyUpdate => {
                certificates::update_policy(vault, name, &self.body()?, self.now)?;
            }
            Action::PolicyGet => {}
            Action::PendingGet => {
                return Ok(Reply::ok(&self.operation(vault)?.json(&self.ids, name, "completed")));
            }
            Action::PendingDelete => {
                let operation = self.operation(vault)?.json(&self.ids, name, "completed");
                vault.operations.remove(&name.to_ascii_lowercase());
                return Ok(Reply::ok(&operation));
            }
            _ => return Err(self.unsupported()),
        }
        let object = vault.certificates.object(name)?;
        Ok(Reply::ok(&certificates::policy(&self.ids, object, object.current())))
    }

    fn operation<'v>(&self, vault: &'v Vault) -> Result<&'v certificates::Operation, VaultError> {
        let operation = vault.operations.get(&self.name().to_ascii_lowercase());
        operation.ok_or_else(|| VaultError::pending_not_found(self.name()))
    }
}
