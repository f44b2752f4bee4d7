//! What an installation says about looking images up.

use std::collections::BTreeSet;
use std::time::Duration;

use akv2k8s_shared::environment::{Environment, Variable, parse_bool};
use thiserror::Error;

use super::host_port::HostPort;
use crate::variables::{
    DOCKER_IMAGE_INSPECTION_TIMEOUT, IMAGE_LOOKUP_ACR_IDENTITY, IMAGE_LOOKUP_CA_FILE, IMAGE_LOOKUP_INSECURE_REGISTRIES,
    IMAGE_LOOKUP_LOCAL_REGISTRIES, IMAGE_LOOKUP_PULL_SECRETS,
};

/// How long a look-up may take when nothing else is said: the API server waits ten seconds for the whole webhook.
const DEADLINE: Duration = Duration::from_secs(6);
/// The longest time that makes sense for the same reason.
const LONGEST: Duration = Duration::from_secs(25);

/// What an installation says about looking images up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How long a look-up may take.
    pub deadline: Duration,
    /// Certificate authorities, PEM, that are believed besides all others.
    pub authorities: Option<Vec<u8>>,
    /// Registries that are asked without TLS, and so without credentials.
    pub insecure: BTreeSet<HostPort>,
    /// Registries that may have a loopback or link-local address; so may those without TLS.
    pub local: BTreeSet<HostPort>,
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
#[error("{variable} {flaw}")]
pub struct SettingsError {
    variable: Variable,
    flaw: String,
}

impl Settings {
    /// Reads `IMAGE_LOOKUP_CA_FILE`, `IMAGE_LOOKUP_INSECURE_REGISTRIES`, `IMAGE_LOOKUP_LOCAL_REGISTRIES`, `IMAGE_LOOKUP_PULL_SECRETS`, `IMAGE_LOOKUP_ACR_IDENTITY` and
    /// `DOCKER_IMAGE_INSPECTION_TIMEOUT` (seconds; what is left of the API server's time-out bounds it, see `longest`).
    ///
    /// # Errors
    /// A variable has a value that it cannot have.
    pub fn from_environment(environment: &Environment, longest: Duration) -> Result<Self, SettingsError> {
        let read = Variables(environment);
        let deadline = read.seconds(DOCKER_IMAGE_INSPECTION_TIMEOUT)?.unwrap_or(DEADLINE);
        Ok(Self {
            deadline: deadline.min(longest).min(LONGEST),
            authorities: read.file(IMAGE_LOOKUP_CA_FILE)?,
            insecure: read.places(IMAGE_LOOKUP_INSECURE_REGISTRIES)?,
            local: read.places(IMAGE_LOOKUP_LOCAL_REGISTRIES)?,
            pull_secrets: read.switch(IMAGE_LOOKUP_PULL_SECRETS)?,
            acr_identity: read.switch(IMAGE_LOOKUP_ACR_IDENTITY)?,
        })
    }
}

struct Variables<'e>(&'e Environment);

impl Variables<'_> {
    /// On unless it is off.
    fn switch(&self, variable: Variable) -> Result<bool, SettingsError> {
        let read = |text| {
            parse_bool(text).ok_or_else(|| SettingsError {
                variable,
                flaw: format!("is neither true nor false: {text:?}"),
            })
        };
        self.0.get(variable).map_or(Ok(true), read)
    }

    fn seconds(&self, variable: Variable) -> Result<Option<Duration>, SettingsError> {
        let read = |text: &str| {
            let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
            seconds.map(Duration::from_secs).ok_or_else(|| SettingsError {
                variable,
                flaw: format!("is no number of seconds: {text:?}"),
            })
        };
        self.0.get(variable).map(read).transpose()
    }

    fn file(&self, variable: Variable) -> Result<Option<Vec<u8>>, SettingsError> {
        let read = |path: std::path::PathBuf| {
            std::fs::read(&path).map_err(|error| SettingsError {
                variable,
                flaw: format!("cannot be read: {}: {error}", path.display()),
            })
        };
        self.0.path(variable).map(read).transpose()
    }

    fn places(&self, variable: Variable) -> Result<BTreeSet<HostPort>, SettingsError> {
        let list = self.0.get(variable).unwrap_or_default().split(',').map(str::trim);
        let read = |place: &str| {
            place.parse().map_err(|_| SettingsError {
                variable,
                flaw: format!("has what is no HOST[:PORT]: {place:?}"),
            })
        };
        list.filter(|place| !place.is_empty()).map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EIGHT: Duration = Duration::from_secs(8);

    fn read(variables: &[(Variable, &str)]) -> Result<Settings, SettingsError> {
        let pairs = variables.iter().map(|(variable, value)| (variable.name(), *value));
        Settings::from_environment(&pairs.collect(), EIGHT)
    }

    #[test]
    fn without_variables_the_defaults_hold() {
        assert_eq!(read(&[]), Ok(Settings::default()));
    }

    #[test]
    fn upstreams_time_out_counts_and_never_exceeds_what_the_api_server_waits() {
        let deadline = |seconds| {
            read(&[(DOCKER_IMAGE_INSPECTION_TIMEOUT, seconds)])
                .map(|settings| settings.deadline)
                .ok()
        };
        assert_eq!(deadline("3"), Some(Duration::from_secs(3)));
        assert_eq!(deadline("20"), Some(EIGHT));
        assert_eq!(deadline("0"), None);
        assert_eq!(deadline("20s"), None);
    }

    #[test]
    fn registries_without_tls_are_listed_by_host_and_port() {
        let settings = read(&[(IMAGE_LOOKUP_INSECURE_REGISTRIES, "registry.local:5000, other.local,")]).unwrap();
        let listed: Vec<_> = settings.insecure.iter().map(ToString::to_string).collect();
        assert_eq!(listed, ["other.local", "registry.local:5000"]);
        for bad in ["http://registry.local", "*", "registry.local/team", "u@registry.local"] {
            assert!(
                read(&[(IMAGE_LOOKUP_INSECURE_REGISTRIES, bad)]).is_err()
                    && read(&[(IMAGE_LOOKUP_LOCAL_REGISTRIES, bad)]).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (variable, value) in [
            (IMAGE_LOOKUP_PULL_SECRETS, "no"),
            (IMAGE_LOOKUP_ACR_IDENTITY, "2"),
            (IMAGE_LOOKUP_CA_FILE, "/nonexistent/ca.pem"),
        ] {
            let error = read(&[(variable, value)]).unwrap_err();
            assert!(error.to_string().starts_with(variable.name()), "{error}");
        }
        let off = read(&[(IMAGE_LOOKUP_PULL_SECRETS, "false"), (IMAGE_LOOKUP_ACR_IDENTITY, "F")]).unwrap();
        assert!(!off.pull_secrets && !off.acr_identity);
    }
}
