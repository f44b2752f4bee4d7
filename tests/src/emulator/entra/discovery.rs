//! What clients look up before they ask for a token.

use hyper::StatusCode;
use serde_json::json;

use super::error::EntraError;
use crate::emulator::Shared;
use crate::emulator::http::{Reply, Request};

/// `OpenID` Connect discovery, MSAL's instance discovery and its user realm lookup.
pub(super) fn handle(shared: &Shared, request: &Request) -> Reply {
    let authority = shared.authority_url();
    match request.segments().as_slice() {
        ["common", "discovery", "instance"] => {
            let endpoint = request.query("authorization_endpoint").unwrap_or("");
            let tenant = endpoint.split('/').nth(3).unwrap_or("common");
            Reply::ok(&json!({
                "tenant_discovery_endpoint": format!("{authority}/{tenant}/v2.0/.well-known/openid-configuration"),
                "api-version": "1.1",
                "metadata": [{
                    "preferred_network": shared.login_host(), "preferred_cache": shared.login_host(),
                    "aliases": [shared.login_host()],
                }],
            }))
        }
        ["common", "userrealm", user] => Reply::ok(&json!({
            "ver": "1.0", "account_type": "Managed", "domain_name": user.split('@').nth(1).unwrap_or(""),
            "cloud_instance_name": shared.login_host(), "cloud_audience_urn": "urn:federation:MicrosoftOnline",
        })),
        [tenant, ".well-known", "openid-configuration"] => configuration(shared, tenant, ""),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => configuration(shared, tenant, "/v2.0"),
        _ => Reply::empty(StatusCode::NOT_FOUND),
    }
}

fn configuration(shared: &Shared, tenant: &str, version: &str) -> Reply {
    let known = shared
        .entra
        .directory()
        .tenants
        .contains_key(&tenant.to_ascii_lowercase());
    if !known && !matches!(tenant, "common" | "organizations") {
        // The same code as at the token endpoint, under another OAuth error.
        let error = EntraError {
            error: "invalid_tenant",
            ..super::token::unknown_tenant(tenant)
        };
        return error.reply(shared.clock.now(), None);
    }
    let authority = shared.authority_url();
    let issuer = if version.is_empty() {
        super::issuer_of(tenant)
    } else {
        format!("{authority}/{tenant}/v2.0")
    };
    Reply::ok(&json!({
        "issuer": issuer,
        "token_endpoint": format!("{authority}/{tenant}/oauth2{version}/token"),
        "authorization_endpoint": format!("{authority}/{tenant}/oauth2{version}/authorize"),
        "device_authorization_endpoint": format!("{authority}/{tenant}/oauth2{version}/devicecode"),
        "end_session_endpoint": format!("{authority}/{tenant}/oauth2{version}/logout"),
        "jwks_uri": format!("{authority}/{tenant}/discovery{version}/keys"),
        "userinfo_endpoint": format!("{authority}/{tenant}/openid/userinfo"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code", "id_token", "code id_token", "token id_token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid"],
        "tenant_region_scope": null,
        "cloud_instance_name": shared.login_host(),
    }))
}
