//! Azure Container Registry, read as the identity of this program.
//!
//! ```text
//!  Entra ──token for Azure's management──▶ REGISTRY/oauth2/exchange ──refresh token──▶ password of a login like any other
//! ```
//!
//! Protocol: <https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md>.

use akv2k8s_shared::identity::{ContainerRegistries, Provider};
use akv2k8s_shared::secret::SecretBytes;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use serde::Deserialize;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::client::{AGENT, Client};
use super::credentials::Login;
use super::name::Repository;

/// The user whose password is a refresh token.
const USER: &str = "00000000-0000-0000-0000-000000000000";

/// What an identity is good for at a registry.
pub(super) enum Outcome {
    /// It is no registry of the identity's cloud: nothing was sent.
    NotOurs,
    /// A login.
    Login(Login),
    /// The registry is one, and there is no login; why, a sentence.
    Nothing(String),
}

/// A login at the registry of `repository`, if that is one of the cloud's: nobody else ever sees a token.
pub(super) async fn login(client: &Client, provider: &Provider, repository: &Repository) -> Outcome {
    let registry = repository.registry();
    let identity = match provider.identity().await {
        Ok(identity) => identity,
        // Which cloud it would be is not known, so this is told about any registry with Azure's names alone.
        Err(diagnosis) if registry.contains(".azurecr.") => {
            return Outcome::Nothing(format!(
                "The injector has no identity of its own to read it with: {}",
                diagnosis.what
            ));
        }
        Err(_) => return Outcome::NotOurs,
    };
    let Some(registries) = identity.cloud().registries.as_ref().filter(|it| is_of(registry, it)) else {
        return Outcome::NotOurs;
    };
    let token = match identity.token(&registries.audience).await {
        Ok(token) => token,
        Err(error) => {
            return Outcome::Nothing(format!(
                "The injector's own identity got no token: {}",
                error.diagnosis.what
            ));
        }
    };
    match exchange(client, registry, token.secret()).await {
        Ok(password) => Outcome::Login(Login {
            user: USER.to_owned(),
            password,
        }),
        Err(why) => Outcome::Nothing(format!(
            "The injector's own identity was not admitted ({why}); to read images it needs the role AcrPull."
        )),
    }
}

/// Whether a registry is one of the cloud's: a name, a dot, the suffix.
fn is_of(registry: &str, registries: &ContainerRegistries) -> bool {
    let registry = registry.to_ascii_lowercase();
    let name = registry
        .strip_suffix(&registries.suffix)
        .and_then(|rest| rest.strip_suffix('.'));
    name.is_some_and(|name| !name.is_empty())
}

/// The refresh token for a token of Entra's, or what came instead, a clause.
async fn exchange(client: &Client, registry: &str, token: &SecretBytes) -> Result<SecretBytes, String> {
    #[derive(Deserialize)]
    struct Body<'b> {
        #[serde(borrow)]
        refresh_token: &'b str,
    }
    let token = token.expose_str().ok_or("Entra's token is no text")?;
    let form = form(registry, token);
    let url = Url::parse(&format!("https://{registry}/oauth2/exchange")).map_err(|error| error.to_string())?;
    let request = Request::post(url.as_str())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from_owner(form)))
        .map_err(|error| error.to_string())?;
    let answer = client
        .exchange(&url, request)
        .await
        .map_err(|failure| failure.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("{registry} answers with status {}", answer.status.as_u16()));
    }
    let body = SecretBytes::new(answer.body.into());
    let read: Body<'_> =
        serde_json::from_slice(body.expose()).map_err(|_| format!("{registry} answers without a token"))?;
    Ok(SecretBytes::from(read.refresh_token))
}

/// The fields of the request; overwritten when it has been sent.
fn form(registry: &str, token: &str) -> Zeroizing<Vec<u8>> {
    // Three bytes for each that is escaped: the buffer must not grow, which would leave copies behind.
    let mut fields = form_urlencoded::Serializer::new(String::with_capacity(100 + 3 * (registry.len() + token.len())));
    fields
        .append_pair("grant_type", "access_token")
        .append_pair("service", registry)
        .append_pair("access_token", token);
    Zeroizing::new(fields.finish().into_bytes())
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::identity::Cloud;

    use super::*;

    #[test]
    fn whatever_the_token_is_its_buffer_never_grows() {
        let form = form("my.azurecr.io:443", &"&=ß".repeat(100));
        assert_eq!(form.capacity(), 100 + 3 * (17 + 400));
        assert!(form.starts_with(b"grant_type=access_token&service=my.azurecr.io%3A443&access_token=%26%3D%C3%9F"));
    }

    #[test]
    fn only_registries_of_the_cloud_see_a_token() {
        let public = Cloud::named("AzurePublicCloud").unwrap().registries.unwrap();
        for registry in ["my.azurecr.io", "MY.azurecr.io", "my-hash.azurecr.io"] {
            assert!(is_of(registry, &public), "{registry}");
        }
        for registry in [
            "azurecr.io",
            ".azurecr.io",
            "evilazurecr.io",
            "my.azurecr.io.evil.com",
            "my.azurecr.io:5000",
            "my.azurecr.cn",
            "docker.io",
        ] {
            assert!(!is_of(registry, &public), "{registry}");
        }
    }
}
