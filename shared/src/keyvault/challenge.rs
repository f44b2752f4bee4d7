//! The vault's 401: which tenant and audience it wants tokens for, and whether it may have them.
//!
//! Format: <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses>.

use url::Url;

use crate::diagnosis::{Diagnosis, case};
use crate::identity::Cloud;

/// What an accepted challenge told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// The tenant that the vault belongs to.
    pub(super) tenant: Option<String>,
}

/// Reads a `WWW-Authenticate` header of `vault_host` and decides whether a token is asked for: only where the resource it names
/// is that of the cloud's own vaults. That the host is one of them is not checked here: it is made of the cloud's own suffix
/// ([`Cloud::vault_url`]), and no request goes anywhere else.
pub(super) fn accept(header: &str, vault_host: &str, cloud: &Cloud) -> Result<Challenge, Diagnosis> {
    let what = || format!("{vault_host} asked for a token that it must not have; none was sent.");
    let wanted = parameter(header, "resource")
        .or_else(|| parameter(header, "scope"))
        .ok_or_else(|| Diagnosis::case(case::ChallengeWithoutResource, what()))?;
    let wanted_host = host(wanted.trim_end_matches("/.default"));
    let own_host = host(&cloud.vault_audience);
    if wanted_host.is_none() || wanted_host != own_host {
        let wanted: String = wanted.chars().filter(|c| !c.is_control()).take(100).collect();
        let for_others = case::ChallengeForOthers {
            wanted: &wanted,
            cloud: &cloud.name,
            audience: &cloud.vault_audience,
        };
        return Err(Diagnosis::case(for_others, what()));
    }
    let tenant = parameter(header, "authorization")
        .and_then(|url| Url::parse(url).ok())
        .and_then(|url| url.path_segments()?.find(|part| !part.is_empty()).map(str::to_owned))
        .filter(|tenant| {
            tenant
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        });
    Ok(Challenge { tenant })
}

fn host(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|url| url.scheme() == "https")?;
    url.host_str().map(str::to_owned)
}

/// The value of `name="value"` (or `name=value`) in a challenge, names without regard to case (RFC 9110 §11.2).
fn parameter<'h>(header: &'h str, name: &str) -> Option<&'h str> {
    let mut rest = header.trim_start();
    rest = rest
        .split_once(char::is_whitespace)
        .map_or(rest, |(_scheme, rest)| rest);
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.find([',', ' ']).map_or((after, ""), |end| after.split_at(end)),
        };
        let key = key.trim_start_matches([',', ' ', '\t']).trim_end();
        if key.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn public() -> Cloud {
        Cloud::named("AzurePublicCloud").unwrap()
    }

    fn accepted(header: &str) -> Option<Challenge> {
        accept(header, "kv1.vault.azure.net", &public()).ok()
    }

    #[test]
    fn both_spellings_of_the_service_are_read() {
        for header in [
            r#"Bearer authorization="https://login.windows.net/t-1", resource="https://vault.azure.net""#,
            r#"Bearer authorization="https://login.windows.net/t-1/", scope="https://vault.azure.net/.default""#,
            r#"bearer  Authorization = "https://login.windows.net/t-1",Resource="https://VAULT.azure.net/""#,
            "Bearer authorization=https://login.windows.net/t-1, resource=https://vault.azure.net",
        ] {
            assert_eq!(
                accepted(header).and_then(|challenge| challenge.tenant).as_deref(),
                Some("t-1"),
                "{header}"
            );
        }
    }

    #[test]
    fn a_token_for_anything_but_the_clouds_vaults_is_refused() {
        for resource in [
            "https://management.azure.com",
            "https://vault.azure.net.evil.com",
            "https://evil.com/vault.azure.net",
            "https://vault.azure.net@evil.com",
            "https://azure.net",
            "http://vault.azure.net",
            "https://vault.usgovcloudapi.net",
            "vault.azure.net",
            "",
        ] {
            let header = format!(r#"Bearer authorization="https://login.windows.net/t-1", resource="{resource}""#);
            assert_eq!(accepted(&header), None, "{resource}");
        }
        for header in [
            "",
            "Bearer",
            "Bearer resource",
            r#"Bearer resource="https://vault.azure.net"#,
            "Basic realm=x",
        ] {
            assert_eq!(accepted(header), None, "{header}");
        }
    }

    #[test]
    fn a_name_that_only_ends_alike_is_not_the_parameter() {
        let header = r#"Bearer xresource="https://vault.azure.net", resource="https://evil.com""#;
        assert_eq!(accepted(header), None);
    }

    proptest! {
        #[test]
        fn no_header_is_accepted_without_the_clouds_resource_in_it(header in "(Bearer )?[ -~]{0,80}") {
            if accepted(&header).is_some() {
                prop_assert!(header.to_ascii_lowercase().contains("vault.azure.net"));
            }
        }
    }
}
