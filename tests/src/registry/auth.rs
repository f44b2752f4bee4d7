//! Who may read: nobody is asked, or a password is, or a token that the registry's own token service gives for one.
//!
//! Tokens as in "Token Authentication Specification" of the distribution project: a 401 names realm, service and scope, the client
//! asks the realm (with its password, if it has one) and repeats its request with what it got.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::json;

use super::Shared;
use crate::emulator::crypto::random_token;
use crate::emulator::http::{Reply, Request};
use crate::emulator::jwt::Jwt;

/// Where tokens are given out.
pub(super) const TOKEN_PATH: &str = "/token";
/// Where a registry of Azure's takes a token of Entra's and gives one of its own, good for logins.
pub(super) const EXCHANGE_PATH: &str = "/oauth2/exchange";

/// The user whose passwords are such tokens.
const AZURE_USER: &str = "00000000-0000-0000-0000-000000000000";
/// What such tokens are kept with, in place of a scope.
const LOGIN: &str = "login";

/// How long a token is said to be good for, in seconds.
const LIFETIME: u32 = 300;

/// Who may read a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Anonymous,
    /// Whoever sends this user and password with each request.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// Whoever has a token for the repository.
    Bearer {
        /// User and password that the token service asks for; it gives tokens to everybody without.
        login: Option<(String, String)>,
    },
    /// As Azure Container Registry: tokens for whoever exchanged one of Entra's, and is known by the host that was asked.
    Azure {
        /// What Entra's token must be for: `https://management.azure.com`.
        audience: String,
    },
}

impl Access {
    /// As Azure Container Registry of the public cloud.
    pub fn azure() -> Self {
        let audience = "https://management.azure.com".to_owned();
        Self::Azure { audience }
    }

    /// A password with each request.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Tokens for a password.
    pub fn bearer(user: &str, password: &str) -> Self {
        let login = Some((user.to_owned(), password.to_owned()));
        Self::Bearer { login }
    }

    /// Tokens for everybody, as the public registries give them.
    pub fn public() -> Self {
        Self::Bearer { login: None }
    }
}

/// The tokens given out, each with its scope.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<String, String>);

impl Tokens {
    fn issue(&mut self, scope: &str) -> String {
        let token = random_token(24);
        self.0.insert(token.clone(), scope.to_owned());
        token
    }

    fn allows(&self, token: &str, scope: &str) -> bool {
        self.0.get(token).is_some_and(|given| given == scope)
    }

    pub(super) fn revoke(&mut self) {
        self.0.clear();
    }
}

/// What is wrong with a request for `repository` (for the registry's root without one): a 401 that says how to do better.
pub(super) fn refuse(shared: &Shared, request: &Request, repository: Option<&str>) -> Option<Reply> {
    let state = shared.state();
    let challenge = match &state.access {
        Access::Anonymous => return None,
        Access::Basic { user, password } => {
            if login(request).is_some_and(|it| it == (user.clone(), password.clone())) {
                return None;
            }
            "Basic realm=\"test registry\"".to_owned()
        }
        Access::Bearer { .. } | Access::Azure { .. } => {
            let scope = repository.map(|name| format!("repository:{name}:pull"));
            let given = request.bearer();
            if given.is_some_and(|token| scope.as_ref().is_none_or(|scope| state.tokens.allows(token, scope))) {
                return None;
            }
            let Shared { scheme, address, .. } = shared;
            let service = service(&state.access, shared, request);
            let scope = scope.map(|it| format!(",scope=\"{it}\"")).unwrap_or_default();
            format!("Bearer realm=\"{scheme}://{address}{TOKEN_PATH}\",service=\"{service}\"{scope}")
        }
    };
    let reply = super::serve::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    Some(reply.header("www-authenticate", challenge))
}

/// Answers a request to the token service.
pub(super) fn token(shared: &Shared, request: &Request) -> Reply {
    let mut state = shared.state();
    let service_is_ours = request.query("service") == Some(&shared.address);
    let allowed = match &state.access {
        Access::Bearer { login: None } => service_is_ours,
        Access::Bearer { login: Some(expected) } => service_is_ours && login(request).as_ref() == Some(expected),
        // The realm has another host than the registry, so the service cannot be checked here.
        Access::Azure { .. } => {
            login(request).is_some_and(|(user, token)| user == AZURE_USER && state.tokens.allows(&token, LOGIN))
        }
        Access::Anonymous | Access::Basic { .. } => false,
    };
    if !allowed {
        return super::serve::error(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "wrong user, password or service",
        );
    }
    let token = state.tokens.issue(request.query("scope").unwrap_or_default());
    Reply::ok(&json!({"token": token, "access_token": token, "expires_in": LIFETIME}))
}

/// Answers a request to exchange a token of Entra's. Its signature is not looked at: the tests' tokens come from the emulator.
pub(super) fn exchange(shared: &Shared, request: &Request) -> Reply {
    let mut state = shared.state();
    let form: HashMap<_, _> = request.form().into_iter().collect();
    let field = |name: &str| form.get(name).map(String::as_str);
    let Access::Azure { audience } = &state.access else {
        return super::serve::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", "this is no registry of Azure's");
    };
    let token = field("access_token").and_then(Jwt::parse);
    let entitled = token.is_some_and(|token| token.audiences().contains(&audience.as_str()));
    let service = service(&state.access, shared, request);
    if !entitled || field("grant_type") != Some("access_token") || field("service") != Some(&service) {
        return super::serve::error(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "wrong token, grant type or service",
        );
    }
    let token = state.tokens.issue(LOGIN);
    Reply::ok(&json!({"refresh_token": token}))
}

/// What a registry calls itself.
fn service(access: &Access, shared: &Shared, request: &Request) -> String {
    match access {
        Access::Azure { .. } => request.header("host").unwrap_or_default().to_owned(),
        Access::Anonymous | Access::Basic { .. } | Access::Bearer { .. } => shared.address.clone(),
    }
}

/// User and password of `Authorization: Basic`.
fn login(request: &Request) -> Option<(String, String)> {
    let (scheme, encoded) = request.header("authorization")?.split_once(' ')?;
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (user.to_owned(), password.to_owned()))
}
