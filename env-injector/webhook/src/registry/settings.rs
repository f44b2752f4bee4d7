//! What an installation says about looking images up.

use std::collections::BTreeSet;
use std::time::Duration;

use akv2k8s_shared::environment::{Environment, parse_bool};
use thiserror::Error;

/// How long a look-up may take when nothing else is said: the API server waits ten seconds for the whole webhook.
const DEADLINE: Duration = Duration::from_secs(6);
/// The longest time that makes sense for the same reason.
const LONGEST: Duration = Duration::from_secs(25);

/// akv2k8s 1.x: how long a look-up may take, in seconds.
const TIMEOUT: &str = "DOCKER_IMAGE_INSPECTION_TIMEOUT";
/// File of certificate authorities, PEM, that are believed besides all others.
const CA_FILE: &str = "IMAGE_LOOKUP_CA_FILE";
/// `HOST[:PORT]` of registries without TLS, separated by commas.
const INSECURE: &str = "IMAGE_LOOKUP_INSECURE_REGISTRIES";
/// `HOST[:PORT]` of registries that may be on this machine or its link, separated by commas.
const LOCAL: &str = "IMAGE_LOOKUP_LOCAL_REGISTRIES";
/// Whether pull secrets are read; a Go boolean, true when unset.
const PULL_SECRETS: &str = "IMAGE_LOOKUP_PULL_SECRETS";
/// Whether the program's own identity is used at Azure Container Registry; a Go boolean, true when unset.
const ACR_IDENTITY: &str = "IMAGE_LOOKUP_ACR_IDENTITY";

/// What an installation says about looking images up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a look-up may take.
    pub deadline: Duration,
    /// Certificate authorities, PEM, that are believed besides all others.
    pub authorities: Option<Vec<u8>>,
    /// `HOST[:PORT]` of registries that are asked without TLS, and so without credentials.
    pub insecure: BTreeSet<String>,
    /// `HOST[:PORT]` of registries that may have a loopback or link-local address; so may those without TLS.
    pub local: BTreeSet<String>,
    /// Whether pull secrets of pods and ServiceAccounts are read.
    pub pull_secrets: bool,
    /// Whether the program's own identity is used at Azure Container Registry.
    pub acr_identity: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: DEADLINE,
            authorities: None,
            insecure: BTreeSet::new(),
            local: BTreeSet::new(),
            pull_secrets: true,
            acr_identity: true,
        }
    }
}

/// A variable that cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{name} {flaw}")]
pub struct SettingsError {
    name: &'static str,
    flaw: String,
}

impl Settings {
    /// Reads `IMAGE_LOOKUP_CA_FILE`, `IMAGE_LOOKUP_INSECURE_REGISTRIES`, `IMAGE_LOOKUP_LOCAL_REGISTRIES`, `IMAGE_LOOKUP_PULL_SECRETS`, `IMAGE_LOOKUP_ACR_IDENTITY` and
    /// `DOCKER_IMAGE_INSPECTION_TIMEOUT` (seconds; what is left of the API server's time-out bounds it, see `longest`).
    ///
    /// # Errors
    /// A variable has a value that it cannot have.
    pub fn from_environment(environment: &Environment, longest: Duration) -> Result<Self, SettingsError> {
        let fail = |name, flaw: String| SettingsError { name, flaw };
        let boolean = |name| match environment.get(name) {
            None => Ok(true),
            Some(text) => parse_bool(text).ok_or_else(|| fail(name, format!("is neither true nor false: {text:?}"))),
        };
        let deadline = match environment.get(TIMEOUT) {
            None => DEADLINE,
            Some(text) => text
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs)
                .ok_or_else(|| fail(TIMEOUT, format!("is no number of seconds: {text:?}")))?,
        };
        let authorities = match environment.path(CA_FILE) {
            None => None,
            Some(path) => Some(
                std::fs::read(&path)
                    .map_err(|error| fail(CA_FILE, format!("cannot be read: {}: {error}", path.display())))?,
            ),
        };
        let places = |name| {
            let list = environment.get(name).unwrap_or_default().split(',').map(str::trim);
            let read = |place: &str| {
                let is_place = !place.contains(['/', '@', '*']);
                is_place
                    .then(|| place.to_owned())
                    .ok_or_else(|| fail(name, format!("has what is no HOST[:PORT]: {place:?}")))
            };
            list.filter(|place| !place.is_empty())
                .map(read)
                .collect::<Result<_, _>>()
        };
        Ok(Self {
            deadline: deadline.min(longest).min(LONGEST),
            authorities,
            insecure: places(INSECURE)?,
            local: places(LOCAL)?,
            pull_secrets: boolean(PULL_SECRETS)?,
            acr_identity: boolean(ACR_IDENTITY)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: Duration = Duration::from_secs(8);

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::from_environment(&variables.iter().copied().collect(), EIGHT)
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        assert_eq!(read(&[]), Ok(Settings::default()));
    }

    #[test]
    fn upstreams_time_out_counts_and_never_exceeds_what_the_api_server_waits() {
        let deadline = |seconds| read(&[(TIMEOUT, seconds)]).map(|settings| settings.deadline).ok();
        assert_eq!(deadline("3"), Some(Duration::from_secs(3)));
        assert_eq!(deadline("20"), Some(EIGHT));
        assert_eq!(deadline("0"), None);
        assert_eq!(deadline("20s"), None);
    }

    #[test]
    fn registries_without_tls_are_listed_by_host_and_port() {
        let settings = read(&[(INSECURE, "registry.local:5000, other.local,")]).unwrap();
        assert!(settings.insecure.iter().eq(["other.local", "registry.local:5000"]));
        for bad in ["http://registry.local", "*", "registry.local/team", "u@registry.local"] {
            assert!(
                read(&[(INSECURE, bad)]).is_err() && read(&[(LOCAL, bad)]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (name, value) in [
            (PULL_SECRETS, "no"),
            (ACR_IDENTITY, "2"),
            (CA_FILE, "/nonexistent/ca.pem"),
        ] {
            let error = read(&[(name, value)]).unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        let off = read(&[(PULL_SECRETS, "false"), (ACR_IDENTITY, "F")]).unwrap();
        assert!(!off.pull_secrets && !off.acr_identity);
    }
}
