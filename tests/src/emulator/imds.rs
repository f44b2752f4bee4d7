//! Managed identities: the instance metadata endpoint and the App Service form of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::Shared;
use super::crypto::random_token;
use super::entra::Principal;
use super::http::{Reply, Request};
use super::operation::Operation;

const IMDS_PATH: [&str; 4] = ["metadata", "identity", "oauth2", "token"];
const APP_SERVICE_PATH: [&str; 2] = ["msi", "token"];
const NOT_FOUND: &str = "Identity not found";

/// A user-assigned identity.
#[derive(Debug, Clone)]
struct UserAssigned {
    principal: Principal,
    resource_id: String,
}

/// The identities of the machine the emulator plays.
pub(crate) struct Imds {
    state: Mutex<State>,
    /// What App Service puts into `IDENTITY_HEADER`.
    pub(crate) app_service_header: String,
}

#[derive(Debug, Default)]
struct State {
    system: Option<Principal>,
    users: Vec<UserAssigned>,
    /// aad-pod-identity stands in front, and answers in its own words.
    pod_identity: bool,
}

impl Imds {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            app_service_header: random_token(16),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request asks for.
pub(crate) fn operation(request: &Request) -> Operation {
    let segments = request.segments();
    let imds = segments == IMDS_PATH;
    match request.method {
        // SDKs ask without the header, to be refused at once, whether anything is there at all.
        Method::GET if imds && request.header("metadata").is_none() => Operation::Discovery,
        Method::GET if imds || segments == APP_SERVICE_PATH => Operation::Token,
        _ => Operation::Unknown,
    }
}

/// Answers a request to the plain HTTP listener.
pub(crate) fn handle(shared: &Shared, request: &Request) -> Reply {
    let segments = request.segments();
    let app_service = segments == APP_SERVICE_PATH;
    if request.method != Method::GET || !(app_service || segments == IMDS_PATH) {
        return Reply::text(StatusCode::NOT_FOUND, "IMDS offers nothing at this path\n");
    }
    let answer = if app_service {
        check_app_service(shared, request)
    } else {
        check_imds(request)
    }
    .and_then(|()| select(&shared.imds.state(), request))
    .and_then(|principal| token(shared, request, &principal, app_service));
    match answer {
        Ok(body) => Reply::ok(&body),
        Err(refused) if refused.description == NOT_FOUND && shared.imds.state().pod_identity => {
            let client = request.query("client_id").unwrap_or_default();
            let text = format!("no azure identity found for request clientID {client}\n");
            Reply::text(StatusCode::NOT_FOUND, text)
        }
        Err(refused) => Reply::json(
            refused.status,
            &json!({ "error": refused.error, "error_description": refused.description }),
        ),
    }
}

struct Refused {
    status: StatusCode,
    error: &'static str,
    description: String,
}

fn invalid(description: impl Into<String>) -> Refused {
    Refused {
        status: StatusCode::BAD_REQUEST,
        error: "invalid_request",
        description: description.into(),
    }
}

fn check_imds(request: &Request) -> Result<(), Refused> {
    if !request
        .header("metadata")
        .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Err(invalid("Required metadata header not specified"));
    }
    if request.header("x-forwarded-for").is_some() {
        return Err(invalid("Requests that passed a proxy (X-Forwarded-For) are refused"));
    }
    match request.query("api-version") {
        Some("2018-02-01" | "2019-08-01" | "2021-02-01") => Ok(()),
        Some(other) => Err(invalid(format!("Invalid api-version query parameter: {other}"))),
        None => Err(invalid("Required query variable 'api-version' is missing")),
    }
}

/// What App Service asked for before 2019, and still does where only `MSI_ENDPOINT` is used.
fn is_old(request: &Request) -> bool {
    request.query("api-version") == Some("2017-09-01")
}

fn check_app_service(shared: &Shared, request: &Request) -> Result<(), Refused> {
    let (name, variable) = if is_old(request) {
        ("secret", "MSI_SECRET")
    } else {
        ("x-identity-header", "IDENTITY_HEADER")
    };
    if request.header(name) == Some(&shared.imds.app_service_header) {
        return Ok(());
    }
    Err(Refused {
        status: StatusCode::FORBIDDEN,
        error: "invalid_request",
        description: format!("{name} is not the value of {variable}"),
    })
}

/// The identity the request names, or the only one there is.
fn select(state: &State, request: &Request) -> Result<Principal, Refused> {
    let (client, object) = (
        request.query("client_id").or(request.query("clientid")),
        request.query("object_id"),
    );
    let resource = request.query("msi_res_id").or(request.query("mi_res_id"));
    let named = [client, object.or(request.query("principal_id")), resource];
    if named.iter().any(Option::is_some) {
        let matches = |user: &&UserAssigned| {
            let own = [&user.principal.client_id, &user.principal.object_id, &user.resource_id];
            named
                .iter()
                .zip(own)
                .all(|(asked, own)| asked.is_none_or(|asked| asked.eq_ignore_ascii_case(own)))
        };
        let system = state.system.iter().find(|system| {
            resource.is_none()
                && client.is_none_or(|id| id.eq_ignore_ascii_case(&system.client_id))
                && object.is_none_or(|id| id.eq_ignore_ascii_case(&system.object_id))
        });
        let found = state.users.iter().find(matches).map(|user| &user.principal).or(system);
        return found.cloned().ok_or_else(|| invalid(NOT_FOUND));
    }
    match (&state.system, state.users.as_slice()) {
        (Some(system), _) => Ok(system.clone()),
        (None, [only]) => Ok(only.principal.clone()),
        (None, []) => Err(invalid(NOT_FOUND)),
        (None, _) => Err(invalid(
            "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the \
             token request",
        )),
    }
}

fn token(shared: &Shared, request: &Request, principal: &Principal, app_service: bool) -> Result<Value, Refused> {
    let resource = request.query("resource").filter(|resource| !resource.is_empty());
    let resource = resource.ok_or_else(|| invalid("Required query variable 'resource' is missing"))?;
    let issued = shared
        .entra
        .issue(principal, resource.trim_end_matches('/'), shared.clock.now())
        .map_err(|error| invalid(error.to_string()))?;
    let mut body = json!({
        "access_token": issued.token, "client_id": principal.client_id, "expires_on": issued.expires.to_string(),
        "not_before": issued.not_before.to_string(), "resource": resource, "token_type": "Bearer",
    });
    if app_service && is_old(request) {
        body["expires_on"] = old_date(issued.expires).into();
    }
    if !app_service {
        body["expires_in"] = issued.lifetime.to_string().into();
        body["ext_expires_in"] = issued.lifetime.to_string().into();
    }
    Ok(body)
}

/// As App Service on Windows wrote the end of a token before 2019: `9/14/2017 5:15:42 PM +00:00`.
fn old_date(unix: i64) -> String {
    jiff::Timestamp::from_second(unix)
        .map(|time| time.strftime("%-m/%-d/%Y %-I:%M:%S %p +00:00").to_string())
        .unwrap_or_default()
}

/// The machine's identities, for tests and tools in the emulator's own process.
#[derive(Clone)]
pub struct ImdsHandle(pub(crate) Arc<Shared>);

impl ImdsHandle {
    /// Gives the machine a system-assigned identity (a new one each time) and returns it.
    pub fn assign_system_identity(&self) -> Principal {
        let principal = Principal::random(&self.0.entra.default_tenant);
        self.set_system_identity(principal.clone());
        principal
    }

    /// Makes this the machine's system-assigned identity.
    pub fn set_system_identity(&self, principal: Principal) {
        self.0.imds.state().system = Some(principal);
    }

    /// Gives the machine a new user-assigned identity and returns it.
    pub fn assign_user_identity(&self) -> Principal {
        let principal = Principal::random(&self.0.entra.default_tenant);
        self.assign(principal.clone());
        principal
    }

    /// Gives the machine this user-assigned identity.
    pub fn assign(&self, principal: Principal) {
        let resource_id = Self::resource_id(&principal);
        self.0.imds.state().users.push(UserAssigned { principal, resource_id });
    }

    /// The Azure resource id of a user-assigned identity.
    pub fn resource_id(principal: &Principal) -> String {
        format!(
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator/providers/\
             Microsoft.ManagedIdentity/userAssignedIdentities/{}",
            principal.client_id
        )
    }

    /// Puts aad-pod-identity in front: an identity that is not there is answered 404, in plain text.
    pub fn use_pod_identity(&self) {
        self.0.imds.state().pod_identity = true;
    }

    /// Takes every identity away.
    pub fn clear(&self) {
        let mut state = self.0.imds.state();
        state.system = None;
        state.users.clear();
    }

    /// `http://127.0.0.1:PORT`: what stands for `http://169.254.169.254`.
    pub fn endpoint(&self) -> String {
        self.0.imds_url()
    }

    /// `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` of App Service.
    pub fn app_service(&self) -> (String, String) {
        (
            format!("{}/msi/token", self.0.imds_url()),
            self.0.imds.app_service_header.clone(),
        )
    }
}
