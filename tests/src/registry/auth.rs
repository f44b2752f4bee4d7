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

/// Where tokens are given out.
pub(super) const TOKEN_PATH: &str = "/token";

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
}

impl Access {
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
        Access::Bearer { .. } => {
            let scope = repository.map(|name| format!("repository:{name}:pull"));
            let given = request.bearer();
            if given.is_some_and(|token| scope.as_ref().is_none_or(|scope| state.tokens.allows(token, scope))) {
                return None;
            }
            let Shared { scheme, address, .. } = shared;
            let scope = scope.map(|it| format!(",scope=\"{it}\"")).unwrap_or_default();
            format!("Bearer realm=\"{scheme}://{address}{TOKEN_PATH}\",service=\"{address}\"{scope}")
        }
    };
    let reply = super::serve::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    Some(reply.header("www-authenticate", challenge))
}

/// Answers a request to the token service.
pub(super) fn token(shared: &Shared, request: &Request) -> Reply {
    let mut state = shared.state();
    let allowed = match &state.access {
        Access::Bearer { login: None } => true,
        Access::Bearer { login: Some(expected) } => login(request).as_ref() == Some(expected),
        Access::Anonymous | Access::Basic { .. } => false,
    };
    if !allowed || request.query("service") != Some(&shared.address) {
        return super::serve::error(
            StatusCode::UNAUTHORIZED,
            "UNAUTHORIZED",
            "wrong user, password or service",
        );
    }
    let token = state.tokens.issue(request.query("scope").unwrap_or_default());
    Reply::ok(&json!({"token": token, "access_token": token, "expires_in": LIFETIME}))
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
