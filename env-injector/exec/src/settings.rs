//! The wrapper's own variables, and the standard ones that it reads.

use std::path::PathBuf;
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::environment::{Environment, Variable, parse_bool};
use akv2k8s_shared::injection::names;

use crate::failure::Failure;
use crate::variables;

/// How long the wrapper may take, when nothing else is said.
const BUDGET: Duration = Duration::from_mins(1);

/// How failures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Up to three lines.
    Text,
    /// One line of JSON.
    Json,
}

impl LogFormat {
    /// What `ENV_INJECTOR_LOG_FORMAT` says: `json`, or anything else.
    pub(crate) fn of(environment: &Environment) -> Self {
        match environment.get(variables::LOG_FORMAT) {
            Some("json") => Self::Json,
            _ => Self::Text,
        }
    }
}

/// How often and for how long it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patience {
    /// Longest time from start to program.
    pub(crate) budget: Duration,
    /// Further attempts; `None`: as many as the time allows.
    pub(crate) retries: Option<u32>,
    /// First pause; they double.
    pub(crate) first_pause: Duration,
}

/// Where values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From the broker.
    Broker(Broker),
    /// From the vault.
    Direct(Direct),
}

/// How the broker is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    /// `https://HOST:PORT`.
    pub(crate) address: String,
    /// PEM.
    pub(crate) authorities: String,
    /// The pod's token for the broker.
    pub(crate) token_file: PathBuf,
}

/// Where the specs of AKVS are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Direct {
    /// In the environment, as JSON: AKVS name → `spec`.
    Embedded(String),
    /// At the API server, in this namespace; `None`: the one of the ServiceAccount.
    ApiServer(Option<String>),
}

impl Patience {
    /// Reads `ENV_INJECTOR_START_BUDGET`, `_RETRIES` and `_WAIT_BEFORE_RETRY`.
    pub(crate) fn of(environment: &Environment) -> Result<Self, Failure> {
        let seconds = |variable| number(environment, variable).map(|it| it.map(|it| Duration::from_secs(it.into())));
        Ok(Self {
            budget: seconds(variables::START_BUDGET)?.unwrap_or(BUDGET),
            retries: number(environment, variables::RETRIES)?,
            first_pause: seconds(variables::WAIT_BEFORE_RETRY)?.unwrap_or(Duration::from_millis(250)),
        })
    }
}

impl Mode {
    /// The broker, unless `ENV_INJECTOR_USE_AUTH_SERVICE` or `ENV_INJECTOR_DISABLE_AUTH_SERVICE` say otherwise, or nobody set it up.
    ///
    /// The webhook has weighed `…_DISABLE_…` of the pod's spec and says what became of it in `…_USE_…`. What comes from elsewhere, say a
    /// ConfigMap, does not turn a container that it gave the broker into one that asks a vault of somebody's choice.
    pub(crate) fn of(environment: &Environment) -> Result<Self, Failure> {
        let disabled = switch(environment, variables::DISABLE_AUTH_SERVICE)?.unwrap_or(false);
        let wanted = switch(environment, variables::USE_AUTH_SERVICE)?;
        match (environment.get(variables::AUTH_SERVICE), wanted) {
            (Some(address), Some(true)) => Self::broker(environment, address).map(Self::Broker),
            (_, Some(false)) | (None, None) => Ok(Self::direct(environment)),
            _ if disabled => Ok(Self::direct(environment)),
            (None, Some(true)) => Err(misconfigured(format!("{} is not set.", variables::AUTH_SERVICE))),
            (Some(address), None) => Self::broker(environment, address).map(Self::Broker),
        }
    }

    fn direct(environment: &Environment) -> Self {
        Self::Direct(match environment.get(variables::SPECS) {
            Some(specs) => Direct::Embedded(specs.to_owned()),
            None => Direct::ApiServer(environment.get(variables::POD_NAMESPACE).map(str::to_owned)),
        })
    }

    fn broker(environment: &Environment, address: &str) -> Result<Broker, Failure> {
        let authorities = environment
            .get(variables::AUTH_SERVICE_CA)
            .ok_or_else(|| misconfigured(format!("{} is not set.", variables::AUTH_SERVICE_CA)))?;
        if !address.starts_with("https://") {
            return Err(misconfigured(format!(
                "{} does not begin with https://.",
                variables::AUTH_SERVICE
            )));
        }
        let usual = PathBuf::from(names::TOKEN_DIRECTORY).join(names::TOKEN_FILE);
        Ok(Broker {
            address: address.trim_end_matches('/').to_owned(),
            authorities: authorities.to_owned(),
            token_file: environment.path(variables::AUTH_SERVICE_TOKEN_FILE).unwrap_or(usual),
        })
    }
}

/// The wrapper does not have what it takes.
pub(crate) fn misconfigured(what: impl Into<String>) -> Failure {
    Failure::of(Diagnosis::of(Code::InjectionMisconfigured, what, &[]))
}

fn switch(environment: &Environment, variable: Variable) -> Result<Option<bool>, Failure> {
    let read = |text| parse_bool(text).ok_or_else(|| misconfigured(format!("{variable} is neither true nor false.")));
    environment.get(variable).map(read).transpose()
}

fn number(environment: &Environment, variable: Variable) -> Result<Option<u32>, Failure> {
    let read = |text: &str| {
        text.parse()
            .map_err(|_| misconfigured(format!("{variable} is not a whole number.")))
    };
    environment.get(variable).map(read).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: (&str, &str) = (names::AUTH_SERVICE, "https://envinjector.akv2k8s.svc:9443/");
    const CA: (&str, &str) = (names::AUTH_SERVICE_CA, "PEM");
    const NAMESPACE: (&str, &str) = (names::POD_NAMESPACE, "shop");

    fn mode(variables: &[(&str, &str)]) -> Result<Mode, String> {
        Mode::of(&variables.iter().copied().collect()).map_err(|failure| failure.text())
    }

    #[test]
    fn the_broker_is_asked_unless_somebody_says_otherwise() {
        let direct = Ok(Mode::Direct(Direct::ApiServer(Some("shop".to_owned()))));
        let broker = mode(&[ADDRESS, CA]).unwrap();
        let Mode::Broker(Broker {
            address, token_file, ..
        }) = &broker
        else {
            unreachable!("it is the broker");
        };
        assert_eq!(address, "https://envinjector.akv2k8s.svc:9443");
        assert_eq!(token_file.to_str(), Some("/var/run/secrets/akv2k8s/token"));
        assert_eq!(mode(&[ADDRESS, CA, (names::USE_AUTH_SERVICE, "T")]), Ok(broker.clone()));
        assert_eq!(mode(&[ADDRESS, CA, (names::DISABLE_AUTH_SERVICE, "0")]), Ok(broker));
        for off in [(names::USE_AUTH_SERVICE, "false"), (names::DISABLE_AUTH_SERVICE, "1")] {
            assert_eq!(mode(&[ADDRESS, CA, NAMESPACE, off]), direct, "{off:?}");
        }
        assert_eq!(mode(&[NAMESPACE]), direct, "alone in an image");
        let prepared = [ADDRESS, CA, (names::USE_AUTH_SERVICE, "true")];
        let from_a_config_map = [(names::DISABLE_AUTH_SERVICE, "true"), (names::SPECS, "{}")];
        assert_eq!(
            mode(&[&prepared[..], &from_a_config_map].concat()),
            Ok(mode(&prepared).unwrap()),
            "what the webhook gave stays"
        );
        let embedded = mode(&[(names::USE_AUTH_SERVICE, "false"), (names::SPECS, "{}")]);
        assert_eq!(embedded, Ok(Mode::Direct(Direct::Embedded("{}".to_owned()))));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (variables, named) in [
            (&[(names::USE_AUTH_SERVICE, "true")][..], names::AUTH_SERVICE),
            (&[ADDRESS], names::AUTH_SERVICE_CA),
            (&[CA, (names::AUTH_SERVICE, "http://b")], "https://"),
            (&[(names::USE_AUTH_SERVICE, "yes")], names::USE_AUTH_SERVICE),
            (&[(names::DISABLE_AUTH_SERVICE, "no")], names::DISABLE_AUTH_SERVICE),
        ] {
            let text = mode(variables).unwrap_err();
            assert!(
                text.contains("InjectionMisconfigured") && text.contains(named),
                "{text}"
            );
        }
    }

    #[test]
    fn patience_is_a_minute_or_what_is_said() {
        let of = |variables: &[(&str, &str)]| Patience::of(&variables.iter().copied().collect());
        let usual = of(&[]).unwrap();
        assert_eq!((usual.budget, usual.retries), (BUDGET, None));
        let said = of(&[
            (names::START_BUDGET, "5"),
            (names::RETRIES, "2"),
            (names::WAIT_BEFORE_RETRY, "3"),
        ])
        .unwrap();
        assert_eq!(
            (said.budget.as_secs(), said.retries, said.first_pause.as_secs()),
            (5, Some(2), 3)
        );
        assert!(
            of(&[(names::RETRIES, "-1")])
                .unwrap_err()
                .text()
                .contains(names::RETRIES)
        );
    }
}
