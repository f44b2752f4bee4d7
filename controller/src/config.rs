//! What the process was told, checked once: the command line and the environment as one value.

use akv2k8s_shared::environment::{Environment, Variable, parse_bool};
use akv2k8s_shared::http::HttpClient;
use akv2k8s_shared::identity::{AuthType, Provider};
use anyhow::{Context, bail};

use crate::args::Args;
use crate::namespaces::Namespaces;
use crate::variables::{CRD_UPGRADE, HTTP_PORT, METRICS_ENABLED, OBJECT_LABELS, RUNTIME_NAMESPACE};

/// Everything that is decided before the first connection.
pub struct Config {
    /// The command line.
    pub args: Args,
    /// The environment, for identity and cloud.
    pub environment: Environment,
    /// What is watched.
    pub namespaces: Namespaces,
    /// `RUNTIME_NAMESPACE`: where this pod lives.
    pub own_namespace: Option<String>,
    /// Label selector for AKVS, from `OBJECT_LABELS`.
    pub labels: Option<String>,
    /// Port of the HTTP server; 0 lets the system choose.
    pub http_port: u16,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// `CRD_UPGRADE`: whether an older definition of `AzureKeyVaultSecret` is replaced.
    pub upgrades_definition: bool,
    /// `AUTH_TYPE`: how to authenticate.
    pub auth_type: AuthType,
}

impl Config {
    /// Checks `args` and the variables of the contract.
    ///
    /// # Errors
    /// A variable cannot be understood; the message says which and what to write.
    pub fn new(args: Args, environment: Environment) -> anyhow::Result<Self> {
        let own_namespace = environment.get(RUNTIME_NAMESPACE).map(str::to_owned);
        let namespaces = match (
            args.watch_namespaces.as_slice(),
            args.watch_all_namespaces,
            &own_namespace,
        ) {
            ([], true, _) => Namespaces::All,
            ([], false, Some(namespace)) => Namespaces::Only([namespace.clone()].into()),
            ([], false, None) => bail!(
                "--watch-all-namespaces=false needs RUNTIME_NAMESPACE: set it to the namespace to watch \
                 (fieldRef metadata.namespace), or name namespaces with --watch-namespaces"
            ),
            (names, _, _) => Namespaces::Only(names.iter().cloned().collect()),
        };
        let http_port = match environment.get(HTTP_PORT) {
            None => 9000,
            Some(port) => port
                .parse()
                .with_context(|| format!("HTTP_PORT={port:?} is not a port: write 0 to 65535"))?,
        };
        let labels = environment.get(OBJECT_LABELS).map(label_selector).transpose()?;
        let boolean = |variable: Variable| match environment.get(variable) {
            None => Ok(false),
            Some(text) => {
                parse_bool(text).with_context(|| format!("{variable}={text:?} is no boolean: write true or false"))
            }
        };
        let (metrics, upgrades_definition) = (boolean(METRICS_ENABLED)?, boolean(CRD_UPGRADE)?);
        let auth_type = AuthType::from_environment(&environment)?;
        Ok(Self {
            args,
            environment,
            namespaces,
            own_namespace,
            labels,
            http_port,
            metrics,
            upgrades_definition,
            auth_type,
        })
    }

    /// Who the process is, as variables and files say at the time of asking.
    pub(crate) fn identity(&self, http: &HttpClient) -> Provider {
        Provider::new(
            self.environment.clone(),
            self.auth_type,
            self.args.cloudconfig.clone(),
            http.clone(),
        )
    }
}

/// `k=v,k2=v2` → the API server's selector of the same meaning. Equality only, as upstream.
fn label_selector(text: &str) -> anyhow::Result<String> {
    let legal = |part: &str| {
        part.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
    };
    let mut pairs = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() && legal(key.trim()) && legal(value.trim()) => {
                pairs.push(format!("{}={}", key.trim(), value.trim()));
            }
            _ => bail!("OBJECT_LABELS={text:?} is not a list of labels: write key=value,key2=value2"),
        }
    }
    Ok(pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(line: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let line = std::iter::once("controller")
            .chain(line.iter().copied())
            .map(Into::into);
        Config::new(
            Args::from_command_line(line).unwrap(),
            environment.iter().copied().collect(),
        )
    }

    #[test]
    fn the_defaults_need_no_environment() {
        let config = config(&[], &[]).unwrap();
        assert_eq!(
            (config.namespaces, config.labels, config.http_port, config.metrics),
            (Namespaces::All, None, 9000, false)
        );
    }

    #[test]
    fn namespace_mode_needs_a_namespace() {
        let only = |names: &[&str]| Namespaces::Only(names.iter().map(|it| (*it).to_owned()).collect());
        let namespaces = |line: &[&str], environment| config(line, environment).map(|it| it.namespaces);
        let own: &[_] = &[("RUNTIME_NAMESPACE", "a")];
        let one = "--watch-all-namespaces=false";
        assert_eq!(namespaces(&[one], own).unwrap(), only(&["a"]));
        assert!(namespaces(&[one], &[]).is_err());
        assert_eq!(namespaces(&[], own).unwrap(), Namespaces::All);
        for line in [&["--watch-namespaces=c,b,c"][..], &["--watch-namespaces", "b,c", one]] {
            assert_eq!(namespaces(line, own).unwrap(), only(&["b", "c"]));
            assert_eq!(namespaces(line, &[]).unwrap(), only(&["b", "c"]));
        }
    }

    #[test]
    fn object_labels_are_equality_only() {
        assert_eq!(
            config(&[], &[("OBJECT_LABELS", "a=b, c/d=")])
                .unwrap()
                .labels
                .as_deref(),
            Some("a=b,c/d=")
        );
        for bad in ["a", "=b", "a in (b)", "a=b=c", "a!=b"] {
            assert!(config(&[], &[("OBJECT_LABELS", bad)]).is_err(), "{bad}");
        }
    }

    #[test]
    fn authentication_is_chosen_by_name_and_by_the_nodes_file_when_it_is_not() {
        assert_eq!(config(&[], &[]).unwrap().auth_type, AuthType::AzureCloudConfig);
        let chosen = config(&[], &[("AUTH_TYPE", "workloadIdentity")]).unwrap().auth_type;
        assert_eq!(chosen, AuthType::WorkloadIdentity);
        let error = config(&[], &[("AUTH_TYPE", "azurePowerShell")]).err().unwrap();
        assert!(error.to_string().starts_with("AuthMethodUnsupported: "), "{error}");
    }

    #[test]
    fn what_cannot_be_understood_stops_the_process() {
        assert!(config(&[], &[("HTTP_PORT", "http")]).is_err());
        assert!(config(&[], &[("AUTH_TYPE", "magic")]).is_err());
        assert!(config(&[], &[("METRICS_ENABLED", "yes")]).is_err());
    }

    #[test]
    fn metrics_are_switched_by_any_boolean_of_go() {
        for (word, metrics) in [("true", true), ("1", true), ("T", true), ("0", false), ("FALSE", false)] {
            assert_eq!(
                config(&[], &[("METRICS_ENABLED", word)]).unwrap().metrics,
                metrics,
                "{word}"
            );
        }
    }
}
