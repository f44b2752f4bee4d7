//! The token endpoint, versions 1.0 (`resource`) and 2.0 (`scope`).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::Digest;

use super::error::EntraError;
use super::federation::check_validity;
use super::{Application, IssuedToken, Principal};
use crate::emulator::Shared;
use crate::emulator::crypto::hex;
use crate::emulator::http::{Reply, Request};
use crate::emulator::jwt::Jwt;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) async fn handle(shared: &Shared, request: &Request) -> Reply {
    let now = shared.clock.now();
    match grant(shared, request, now).await {
        Ok(reply) => reply,
        Err(error) => error.reply(now, request.header("client-request-id")),
    }
}

async fn grant(shared: &Shared, request: &Request, now: i64) -> Result<Reply, EntraError> {
    let tenant = request.segments.first().map_or("", String::as_str).to_ascii_lowercase();
    let form = Form(request.form());
    let client_id = form.required("client_id")?.to_ascii_lowercase();
    let application = find_application(shared, &tenant, &client_id)?;
    let endpoint = Endpoint {
        authority: shared.authority_url(),
        tenant: &tenant,
    };
    let principal = match form.required("grant_type")? {
        "client_credentials" => {
            authenticate(shared, &application, &form, &endpoint, now).await?;
            application.principal.clone()
        }
        "password" => find_user(shared, &tenant, &form)?,
        other => {
            return Err(EntraError::invalid_request(
                70_003,
                format!("The app requested an unsupported grant type '{other}'."),
            ));
        }
    };
    let version2 = request.segments.iter().any(|segment| segment == "v2.0");
    let resource = requested_resource(shared, &form, version2)?;
    let acting = Principal { client_id, ..principal };
    let issued = shared.entra.issue(&acting, &resource, now).map_err(internal)?;
    if !version2 {
        return Ok(version1_reply(&issued, &resource));
    }
    let mut reply = json!({
        "token_type": "Bearer", "expires_in": issued.lifetime, "ext_expires_in": issued.lifetime,
        "access_token": issued.token,
    });
    if form.get("grant_type") == Some("password") {
        add_user_claims(shared, &mut reply, &acting, &form, now)?;
    }
    Ok(Reply::ok(&reply))
}

/// Version 1.0 writes its numbers as strings.
fn version1_reply(issued: &IssuedToken, resource: &str) -> Reply {
    Reply::ok(&json!({
        "token_type": "Bearer", "expires_in": issued.lifetime.to_string(),
        "ext_expires_in": issued.lifetime.to_string(), "expires_on": issued.expires.to_string(),
        "not_before": issued.not_before.to_string(), "resource": resource, "access_token": issued.token,
    }))
}

/// What MSAL expects beside a user's access token: who the user is.
fn add_user_claims(
    shared: &Shared,
    reply: &mut Value,
    user: &Principal,
    form: &Form,
    now: i64,
) -> Result<(), EntraError> {
    let id_token = shared.entra.sign(&json!({
        "aud": user.client_id, "iss": format!("{}/{}/v2.0", shared.authority_url(), user.tenant_id), "iat": now,
        "nbf": now, "exp": now + 3600, "oid": user.object_id, "sub": user.object_id, "tid": user.tenant_id,
        "preferred_username": form.get("username"), "ver": "2.0",
    }));
    reply["id_token"] = id_token.map_err(internal)?.into();
    let client_info = json!({ "uid": user.object_id, "utid": user.tenant_id });
    reply["client_info"] = BASE64_URL_SAFE_NO_PAD.encode(client_info.to_string()).into();
    reply["scope"] = form.get("scope").into();
    Ok(())
}

fn internal(error: impl std::fmt::Display) -> EntraError {
    EntraError::invalid_request(90_000, format!("The emulator could not sign the token: {error}"))
}

pub(super) fn unknown_tenant(tenant: &str) -> EntraError {
    let guid = tenant.len() == 36 && tenant.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if guid || tenant.contains('.') {
        EntraError::invalid_request(
            90_002,
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into \
                 the correct cloud. Check with your subscription administrator, this may happen if there are no \
                 active subscriptions for the tenant."
            ),
        )
    } else {
        EntraError::invalid_request(
            900_023,
            format!("Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."),
        )
    }
}

fn find_application(shared: &Shared, tenant: &str, client_id: &str) -> Result<Application, EntraError> {
    let directory = shared.entra.directory();
    let found = directory.tenants.get(tenant).ok_or_else(|| unknown_tenant(tenant))?;
    found.applications.get(client_id).cloned().ok_or_else(|| EntraError {
        code: 700_016,
        error: "unauthorized_client",
        message: format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'. This can happen if \
             the application has not been installed by the administrator of the tenant or consented to by any user in \
             the tenant. You may have sent your authentication request to the wrong tenant."
        ),
    })
}

fn find_user(shared: &Shared, tenant: &str, form: &Form) -> Result<Principal, EntraError> {
    let (name, password) = (form.required("username")?, form.required("password")?);
    let directory = shared.entra.directory();
    let users = directory.tenants.get(tenant).map(|tenant| &tenant.users);
    let user = users.and_then(|users| users.get(&name.to_ascii_lowercase())).ok_or_else(|| {
        EntraError::invalid_grant(
            50_034,
            format!("The user account {name} does not exist in the {tenant} directory. To sign into this application, the account must be added to the directory."),
        )
    })?;
    if user.password == password {
        Ok(user.principal.clone())
    } else {
        Err(EntraError::invalid_grant(
            50_126,
            "Error validating credentials due to invalid username or password.",
        ))
    }
}

/// The resource a token is asked for; `…/.default` and a trailing slash belong to the request, not to the resource.
fn requested_resource(shared: &Shared, form: &Form, version2: bool) -> Result<String, EntraError> {
    let asked = if version2 {
        form.required("scope")?
    } else {
        form.required("resource")?
    };
    let standard = ["openid", "profile", "offline_access", "email"];
    let scope = asked
        .split(' ')
        .find(|scope| !scope.is_empty() && !standard.contains(scope))
        .unwrap_or("");
    if version2 && !scope.ends_with("/.default") && form.get("grant_type") == Some("client_credentials") {
        return Err(EntraError {
            code: 1_002_012,
            error: "invalid_scope",
            message: format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value \
                 with /.default suffixed to the resource identifier (application ID URI)."
            ),
        });
    }
    let resource = if version2 {
        scope.rsplit_once('/').map_or(scope, |(resource, _)| resource)
    } else {
        scope
    };
    let resource = resource.trim_end_matches('/');
    if resource == shared.vault_audience() || shared.entra.directory().resources.iter().any(|known| known == resource) {
        return Ok(resource.to_owned());
    }
    Err(EntraError {
        code: 500_011,
        error: "invalid_resource",
        message: format!(
            "The resource principal named {resource} was not found in the tenant. This can happen if the application \
             has not been installed by the administrator of the tenant or consented to by any user in the tenant. You \
             might have sent your authentication request to the wrong tenant."
        ),
    })
}

/// Proof that the caller is the application: an assertion, or a secret.
async fn authenticate(
    shared: &Shared,
    application: &Application,
    form: &Form,
    endpoint: &Endpoint<'_>,
    now: i64,
) -> Result<(), EntraError> {
    let client_id = &application.principal.client_id;
    if let Some(assertion) = form.get("client_assertion") {
        if form.required("client_assertion_type")? != JWT_BEARER {
            return Err(EntraError::invalid_request(
                90_014,
                format!("The value of 'client_assertion_type' must be '{JWT_BEARER}'."),
            ));
        }
        let jwt = Jwt::parse(assertion)
            .ok_or_else(|| EntraError::invalid_request(50_027, "JWT token is invalid or malformed."))?;
        return if jwt.claim("iss") == Some(client_id) {
            check_certificate(application, &jwt, endpoint, now)
        } else {
            shared.entra.federation.check(&application.federated, &jwt, now).await
        };
    }
    match form.get("client_secret") {
        Some(secret) => check_secret(application, secret, now),
        None => Err(EntraError::invalid_client(
            7_000_216,
            "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
        )),
    }
}

fn check_secret(application: &Application, presented: &str, now: i64) -> Result<(), EntraError> {
    let client_id = &application.principal.client_id;
    let known: Vec<_> = application
        .secrets
        .iter()
        .filter(|secret| secret.value == presented)
        .collect();
    if known.is_empty() {
        return Err(EntraError::invalid_client(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client_id}'."
            ),
        ));
    }
    if known
        .iter()
        .all(|secret| secret.expires.is_some_and(|expires| expires <= now))
    {
        return Err(EntraError::invalid_client(
            7_000_222,
            format!(
                "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create \
                 new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for \
                 added security: https://aka.ms/certCreds."
            ),
        ));
    }
    Ok(())
}

/// Where the caller sent its request: what a certificate assertion must be addressed to.
struct Endpoint<'a> {
    authority: String,
    tenant: &'a str,
}

impl Endpoint<'_> {
    fn accepts(&self, audience: &str) -> bool {
        let Some(path) = audience.strip_prefix(&format!("{}/{}", self.authority, self.tenant)) else {
            return false;
        };
        matches!(
            path.trim_end_matches('/'),
            "" | "/v2.0" | "/oauth2/token" | "/oauth2/v2.0/token"
        )
    }
}

/// An assertion the application signed itself, with a certificate registered for it.
fn check_certificate(
    application: &Application,
    jwt: &Jwt,
    endpoint: &Endpoint<'_>,
    now: i64,
) -> Result<(), EntraError> {
    let client_id = &application.principal.client_id;
    if jwt.claim("sub") != Some(client_id) {
        return Err(EntraError::invalid_client(
            700_021,
            "Client assertion application identifier doesn't match 'client_id' parameter.",
        ));
    }
    // MSAL for Python pads what RFC 7515 leaves unpadded; the service takes both.
    let thumbprint = jwt
        .header("x5t#S256")
        .or(jwt.header("x5t"))
        .unwrap_or("")
        .trim_end_matches('=');
    let certificate = application
        .certificates
        .iter()
        .find(|der| thumbprints(der).iter().any(|t| t == thumbprint));
    let verified = certificate
        .and_then(|der| certificate_jwk(der))
        .is_some_and(|jwk| jwt.verify(&jwk));
    if !verified {
        let reason = if certificate.is_some() {
            "The signature is invalid"
        } else {
            "The key was not found"
        };
        let hex = hex(&BASE64_URL_SAFE_NO_PAD.decode(thumbprint).unwrap_or_default()).to_ascii_uppercase();
        return Err(EntraError::invalid_client(
            700_027,
            format!(
                "The certificate with identifier used to sign the client assertion is not registered on application. \
                 [Reason - {reason}., Thumbprint of key used by client: '{hex}', Please visit the Azure Portal, Graph \
                 Explorer or directly use MS Graph to see configured keys for app Id '{client_id}'.]"
            ),
        ));
    }
    check_validity(jwt, now)?;
    if !jwt.audiences().iter().any(|audience| endpoint.accepts(audience)) {
        return Err(EntraError::invalid_client(
            700_023,
            "Client assertion audience claim does not match Realm issuer.",
        ));
    }
    Ok(())
}

/// `x5t` (SHA-1) and `x5t#S256` of a certificate (RFC 7515 §4.1.7, §4.1.8).
fn thumbprints(der: &[u8]) -> [String; 2] {
    let sha1 = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, der);
    [
        BASE64_URL_SAFE_NO_PAD.encode(sha1),
        BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(der)),
    ]
}

/// The RSA public key of a certificate; Entra takes no other for applications.
fn certificate_jwk(der: &[u8]) -> Option<Map<String, Value>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    let x509_parser::public_key::PublicKey::RSA(key) = certificate.public_key().parsed().ok()? else {
        return None;
    };
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        BASE64_URL_SAFE_NO_PAD.encode(&bytes[zeros..])
    };
    let jwk = json!({ "kty": "RSA", "n": number(key.modulus), "e": number(key.exponent) });
    jwk.as_object().cloned()
}

/// The fields of a token request.
struct Form(Vec<(String, String)>);

impl Form {
    fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, EntraError> {
        self.get(name).ok_or_else(|| EntraError::missing_parameter(name))
    }
}
