//! A registry's 401: what it wants to see.
//!
//! Formats: RFC 9110 §11.6.1, and <https://distribution.github.io/distribution/spec/auth/token/>.

use hyper::HeaderMap;
use hyper::header::WWW_AUTHENTICATE;
use url::Url;

/// What a registry wants to see with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password.
    Basic,
    /// A token of its token service.
    Bearer {
        /// Where the token service is: always https.
        realm: Url,
        /// The name the registry has there.
        service: Option<String>,
    },
}

/// Reads the challenges of an answer; a token is taken before a password.
///
/// # Errors
/// What is wrong with them, a clause.
pub(super) fn parse(headers: &HeaderMap) -> Result<Challenge, &'static str> {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let offers: Vec<_> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(offers)
        .collect();
    let of = |scheme: &str| offers.iter().find(|offer| offer.scheme.eq_ignore_ascii_case(scheme));
    if let Some(bearer) = of("bearer") {
        let realm = bearer
            .parameter("realm")
            .ok_or("it asks for a token and does not say whose")?;
        let realm = Url::parse(realm)
            .ok()
            .filter(|url| url.scheme() == "https" && url.username().is_empty() && url.password().is_none())
            .ok_or("its token service has no https address")?;
        let service = bearer.parameter("service").map(str::to_owned);
        return Ok(Challenge::Bearer { realm, service });
    }
    of("basic")
        .map(|_| Challenge::Basic)
        .ok_or("it asks for neither a password (Basic) nor a token (Bearer)")
}

#[derive(Debug)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// The challenges in one header; what comes after something unreadable is left out.
fn offers(header: &str) -> Vec<Offer> {
    let mut offers: Vec<Offer> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return offers;
        }
        // A word before `=` names a parameter, any other begins a challenge.
        match (after.trim_start().strip_prefix('='), offers.last_mut()) {
            (Some(value), Some(offer)) => {
                let Some((value, next)) = value_of(value.trim_start()) else {
                    return offers;
                };
                offer.parameters.push((word.to_owned(), value));
                rest = next;
            }
            (Some(_), None) => return offers,
            (None, _) => {
                offers.push(Offer {
                    scheme: word.to_owned(),
                    parameters: Vec::new(),
                });
                rest = after;
            }
        }
    }
}

/// A value, quoted or not, and what follows it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(headers: &[&str]) -> Result<Challenge, &'static str> {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, header.parse().unwrap());
        }
        parse(&map)
    }

    fn bearer(realm: &str, service: Option<&str>) -> Challenge {
        let realm = realm.parse().unwrap();
        let service = service.map(str::to_owned);
        Challenge::Bearer { realm, service }
    }

    #[test]
    fn registries_in_use_are_understood() {
        for (header, realm, service) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull""#,
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
            ),
            (
                r#"Bearer realm="https://my.azurecr.io/oauth2/token",service="my.azurecr.io""#,
                "https://my.azurecr.io/oauth2/token",
                Some("my.azurecr.io"),
            ),
            (
                r#"bearer Realm = "https://a.example/t?x=y""#,
                "https://a.example/t?x=y",
                None,
            ),
            (
                r"Bearer realm=https://a.example/t,service=a\b",
                "https://a.example/t",
                Some(r"a\b"),
            ),
            (
                r#"Negotiate, Basic realm="x, Bearer y=\"z\"", Bearer service=s, realm="https://a.example/""#,
                "https://a.example/",
                Some("s"),
            ),
        ] {
            assert_eq!(read(&[header]), Ok(bearer(realm, service)), "{header}");
        }
        assert_eq!(read(&["Basic realm=\"r\""]), Ok(Challenge::Basic));
        assert_eq!(read(&["basic"]), Ok(Challenge::Basic));
        let both = read(&["Basic realm=r", "Bearer realm=\"https://a.example/\""]);
        assert_eq!(both, Ok(bearer("https://a.example/", None)));
    }

    #[test]
    fn a_token_service_without_tls_is_refused_and_so_is_nonsense() {
        for header in [
            r#"Bearer realm="http://auth.example/token""#,
            r#"Bearer realm="ftp://auth.example/token""#,
            r#"Bearer realm="https://user@auth.example/token""#,
            r#"Bearer realm="/token""#,
            r#"Bearer realm="https://auth.example/token"#,
            "Bearer",
            "Bearer service=s",
            "Negotiate",
            "realm=x",
            "=",
            "",
        ] {
            assert!(read(&[header]).is_err(), "{header}");
        }
        assert!(read(&[]).is_err());
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic_or_gives_a_realm_without_tls(header in "[ -~]{0,80}", value in "[ -~]{0,20}") {
            for text in [header, format!("Bearer realm=\"{value}\", service={value}")] {
                if let Ok(Challenge::Bearer { realm, .. }) = read(&[&text]) {
                    prop_assert_eq!(realm.scheme(), "https");
                }
            }
        }
    }
}
