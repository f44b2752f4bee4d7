//! User names and passwords for registries, as Kubernetes keeps them, and which of them an image may be read with.
//!
//! Formats: <https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets>. Which entry is for which image is decided
//! as kubelets do: <https://kubernetes.io/docs/concepts/containers/images/#config-json>.

use std::collections::BTreeMap;

use akv2k8s_shared::grants::fits;
use akv2k8s_shared::secret::SecretBytes;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::name::Repository;

/// Key of Secrets of type `kubernetes.io/dockerconfigjson`.
pub(super) const CONFIG_JSON: &str = ".dockerconfigjson";
/// Key of Secrets of type `kubernetes.io/dockercfg`.
pub(super) const CFG: &str = ".dockercfg";

/// What Docker Hub is called in credentials.
const DOCKER_HUB: &str = "index.docker.io";

/// With padding or without, as kubelets take it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A user name with its password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: SecretBytes,
}

/// By which credentials are told apart without keeping them: a SHA-256.
pub(super) type Fingerprint = [u8; 32];

impl Login {
    /// The value of `Authorization`: `Basic …`, to be moved into the request.
    pub(super) fn basic(&self) -> Zeroizing<String> {
        let mut pair = Zeroizing::new(Vec::with_capacity(self.user.len() + 1 + self.password.len()));
        pair.extend_from_slice(self.user.as_bytes());
        pair.push(b':');
        pair.extend_from_slice(self.password.expose());
        let mut header = Zeroizing::new(String::with_capacity(8 + pair.len().div_ceil(3) * 4));
        header.push_str("Basic ");
        BASE64.encode_string(&*pair, &mut header);
        header
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        let length = (self.user.len() as u64).to_be_bytes();
        let hash = Sha256::new().chain_update(length).chain_update(&self.user);
        hash.chain_update(self.password.expose()).finalize().into()
    }
}

/// Credentials by the registries and paths they are for.
#[derive(Default)]
pub(super) struct Keyring(Vec<(Scope, Login)>);

/// For what an entry is: `HOST[:PORT][/PATH]`, in the host with `*` and `?` inside its parts.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Scope(String);

#[derive(Deserialize)]
struct ConfigJson<'j> {
    #[serde(borrow, default)]
    auths: BTreeMap<String, Entry<'j>>,
}

#[derive(Deserialize)]
struct Entry<'j> {
    #[serde(borrow, default)]
    username: std::borrow::Cow<'j, str>,
    #[serde(borrow, default)]
    password: std::borrow::Cow<'j, str>,
    #[serde(borrow, default)]
    auth: std::borrow::Cow<'j, str>,
}

impl Keyring {
    /// Adds what the value of [`CONFIG_JSON`] holds.
    ///
    /// # Errors
    /// It is not what it should be.
    pub(super) fn add_config_json(&mut self, json: &SecretBytes) -> Result<(), &'static str> {
        let config: ConfigJson<'_> =
            serde_json::from_slice(json.expose()).map_err(|_| "its .dockerconfigjson is no Docker configuration")?;
        self.add(config.auths)
    }

    /// Adds what the value of [`CFG`] holds.
    ///
    /// # Errors
    /// It is not what it should be.
    pub(super) fn add_cfg(&mut self, json: &SecretBytes) -> Result<(), &'static str> {
        let entries = serde_json::from_slice(json.expose()).map_err(|_| "its .dockercfg is no Docker configuration")?;
        self.add(entries)
    }

    fn add(&mut self, entries: BTreeMap<String, Entry<'_>>) -> Result<(), &'static str> {
        for (place, entry) in entries {
            let login = login(&entry).ok_or("an `auth` in it is no base64 of USER:PASSWORD")?;
            self.0.push((Scope::of(&place), login));
        }
        Ok(())
    }

    /// The credentials an image of `repository` may be read with, most special first, each once.
    pub(super) fn matching(&self, repository: &Repository) -> Vec<Login> {
        let mut found: Vec<_> = self.0.iter().filter(|(scope, _)| scope.covers(repository)).collect();
        if found.is_empty() && repository.is_on_docker_hub() {
            found = self.0.iter().filter(|(scope, _)| scope.0 == DOCKER_HUB).collect();
        }
        // The longer of two places that begin alike stands first; a stable sort keeps the order of the Secrets.
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        let mut logins: Vec<Login> = Vec::new();
        for (_, login) in found {
            if !logins.contains(login) {
                logins.push(login.clone());
            }
        }
        logins
    }
}

/// `auth` counts before user name and password; an entry of nothing is one of empty words.
fn login(entry: &Entry<'_>) -> Option<Login> {
    if entry.auth.is_empty() {
        return Some(Login {
            user: entry.username.clone().into_owned(),
            password: SecretBytes::from(&*entry.password),
        });
    }
    let pair = Zeroizing::new(BASE64.decode(entry.auth.trim()).ok()?);
    let (user, password) = str::from_utf8(&pair).ok()?.split_once(':')?;
    Some(Login {
        user: user.to_owned(),
        password: SecretBytes::from(password.trim_end_matches('\0')),
    })
}

impl Scope {
    /// A place as it is written in a Docker configuration: with or without scheme, with the `/v1/` or `/v2/` of old.
    fn of(place: &str) -> Self {
        let place = place.trim_start_matches("https://").trim_start_matches("http://");
        let (host, path) = place.find('/').map_or((place, ""), |slash| place.split_at(slash));
        let path = path
            .strip_prefix("/v1")
            .or_else(|| path.strip_prefix("/v2"))
            .filter(|rest| rest.starts_with('/'))
            .unwrap_or(path);
        Self(if path == "/" {
            host.to_owned()
        } else {
            format!("{host}{path}")
        })
    }

    /// Host and port must be the repository's, part by part; the path must be how the repository's begins.
    fn covers(&self, repository: &Repository) -> bool {
        let (place, path) = self.0.find('/').map_or((&*self.0, ""), |slash| self.0.split_at(slash));
        let (host, port) = split_port(place);
        let (wanted, wanted_port) = split_port(repository.registry());
        let (parts, wanted) = (host.split('.'), wanted.split('.'));
        port == wanted_port
            && parts.clone().count() == wanted.clone().count()
            && parts.zip(wanted).all(|(pattern, part)| fits(pattern, part))
            && format!("/{}", repository.path()).starts_with(path)
    }
}

fn split_port(place: &str) -> (&str, Option<&str>) {
    let port = place
        .rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    port.map_or((place, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::name::ImageName;
    use super::*;

    fn repository(image: &str) -> Repository {
        ImageName::parse(image).unwrap().repository
    }

    /// The users for `image` among entries whose user is the place they are for.
    fn users(places: &[&str], image: &str) -> Vec<String> {
        let auths: BTreeMap<_, _> = places
            .iter()
            .map(|it| (*it, json!({"username": it, "password": "p"})))
            .collect();
        let mut keyring = Keyring::default();
        let json = json!({"auths": auths}).to_string();
        keyring.add_config_json(&SecretBytes::from(json)).unwrap();
        keyring
            .matching(&repository(image))
            .into_iter()
            .map(|it| it.user)
            .collect()
    }

    #[test]
    fn entries_are_for_images_as_kubelets_see_it() {
        for (place, image, is_for) in [
            ("ghcr.io", "ghcr.io/team/app", true),
            ("https://ghcr.io", "ghcr.io/team/app", true),
            ("https://ghcr.io/v2/", "ghcr.io/team/app", true),
            ("ghcr.io/team", "ghcr.io/team/app", true),
            ("ghcr.io/v2/team", "ghcr.io/team/app", true),
            ("ghcr.io/other", "ghcr.io/team/app", false),
            ("ghcr.io:5000", "ghcr.io/team/app", false),
            ("ghcr.io", "ghcr.io:5000/team/app", false),
            ("ghcr.io:5000", "ghcr.io:5000/team/app", true),
            ("*.azurecr.io", "my.azurecr.io/app", true),
            ("*.azurecr.io", "a.my.azurecr.io/app", false),
            ("*.azurecr.io", "azurecr.io/app", false),
            ("m?.azurecr.io", "my.azurecr.io/app", true),
            ("*r*.io", "ghcr.io/app", true),
            ("*.io", "evil.example/ghcr.io", false),
            ("ghcr.io", "ghcr.io.evil.example/app", false),
            ("https://index.docker.io/v1/", "nginx", true),
            ("index.docker.io", "team/app", true),
            ("docker.io", "nginx", true),
            ("docker.io/library", "nginx", true),
            ("docker.io/team", "nginx", false),
            ("https://index.docker.io/v1/", "ghcr.io/nginx", false),
        ] {
            assert_eq!(!users(&[place], image).is_empty(), is_for, "{place} {image}");
        }
    }

    #[test]
    fn the_most_special_entry_comes_first_and_docker_hubs_own_name_last() {
        let places = ["ghcr.io", "ghcr.io/team/app", "*.io", "ghcr.io/team"];
        assert_eq!(
            users(&places, "ghcr.io/team/app"),
            ["ghcr.io/team/app", "ghcr.io/team", "ghcr.io", "*.io"]
        );
        assert_eq!(
            users(&["https://index.docker.io/v1/", "docker.io"], "nginx"),
            ["docker.io"]
        );
    }

    #[test]
    fn both_kinds_of_secrets_and_both_ways_to_write_a_login_are_read() {
        let login = |user: &str, password: &str| Login {
            user: user.to_owned(),
            password: SecretBytes::from(password),
        };
        // printf 'robot:s3:cret' | base64
        for entry in [
            json!({"auth": "cm9ib3Q6czM6Y3JldA=="}),
            json!({"auth": "cm9ib3Q6czM6Y3JldA", "username": "other", "password": "other"}),
            json!({"username": "robot", "password": "s3:cret", "email": "e@example.com", "auth": ""}),
        ] {
            let mut keyring = Keyring::default();
            keyring
                .add_cfg(&SecretBytes::from(json!({"ghcr.io": entry}).to_string()))
                .unwrap();
            keyring
                .add_config_json(&SecretBytes::from(json!({"auths": {"ghcr.io": entry}}).to_string()))
                .unwrap();
            let found = keyring.matching(&repository("ghcr.io/app"));
            assert!(found == [login("robot", "s3:cret")], "{entry}");
            assert_eq!(*found[0].basic(), "Basic cm9ib3Q6czM6Y3JldA==");
        }
    }

    #[test]
    fn what_is_no_docker_configuration_is_named_without_its_text() {
        for text in [
            "",
            "{\"auths\":[]}",
            "{\"auths\":{\"a\":{\"auth\":\"canary\"}}}",
            "{\"auths\":{\"a\":1}}",
        ] {
            let error = Keyring::default()
                .add_config_json(&SecretBytes::from(text))
                .unwrap_err();
            assert!(!error.contains("canary"), "{text}");
        }
    }

    #[test]
    fn logins_are_told_apart_wherever_the_colon_stands() {
        let login = |user: &str, password: &str| Login {
            user: user.to_owned(),
            password: SecretBytes::from(password),
        };
        assert_ne!(login("ab", "c").fingerprint(), login("a", "bc").fingerprint());
        assert_eq!(login("ab", "c").fingerprint(), login("ab", "c").fingerprint());
    }

    proptest! {
        #[test]
        fn a_pattern_without_wildcards_matches_itself_alone(one in "[a-c]{0,5}", other in "[a-c]{0,5}") {
            prop_assert_eq!(fits(&one, &other), one == other);
            let (pattern, text) = (format!("*{one}*"), format!("{other}{one}{other}"));
            prop_assert!(fits(&pattern, &text));
        }

        #[test]
        fn no_secret_makes_the_reader_panic(place in ".{0,30}", auth in ".{0,20}") {
            let json = json!({place: {"auth": auth}}).to_string();
            let mut keyring = Keyring::default();
            if keyring.add_cfg(&SecretBytes::from(json)).is_ok() {
                let _ = keyring.matching(&repository("ghcr.io/app"));
            }
        }
    }
}
