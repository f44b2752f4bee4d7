//! What the process was told, checked once: the command line and the environment as one value. A value that means nothing stops the
//! process, with the variable's name.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use akv2k8s_shared::environment::{Environment, Variable, parse_bool};
use akv2k8s_shared::identity::AuthType;
use akv2k8s_shared::injection::names;
use anyhow::{Context, bail, ensure};

use crate::admission::{Resources, Security};
use crate::args::Args;
use crate::label::NamespaceLabel;
use crate::variables;

/// Everything that is decided before the first connection.
#[derive(Clone)]
pub struct Config {
    /// The command line.
    pub args: Args,
    /// The environment, for identity, cloud and registries.
    pub environment: Environment,
    /// Our own namespace; `None`: the `ServiceAccount`'s or the kubeconfig's.
    pub namespace: Option<String>,
    /// The namespaces whose pods are served; `None`: all.
    pub served: Option<BTreeSet<String>>,
    /// The Service in front of us.
    pub service: String,
    /// Further names and IP addresses for our certificate.
    pub further_names: Vec<String>,
    /// Ports; 0 lets the system choose.
    pub ports: Ports,
    /// Port of the broker at the Service, as pods use it.
    pub broker_external_port: u16,
    /// Folder with the certificate of the webhook's port; `None`: our own certificates.
    pub certificates: Option<PathBuf>,
    /// Secret with our own certificates.
    pub pki_secret: String,
    /// The `MutatingWebhookConfiguration` whose `caBundle` is kept up to date.
    pub webhook_configuration: Option<String>,
    /// The label that switches injection on in a namespace.
    pub namespace_label: NamespaceLabel,
    /// Whether pods get their values from the broker.
    pub broker: bool,
    /// `AUTH_TYPE`: as whom the broker reads vaults.
    pub auth_type: AuthType,
    /// Whether images' registries are asked.
    pub look_ups: bool,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// Image of the init container.
    pub image: String,
    /// Its pull policy.
    pub image_pull_policy: String,
    /// What it may do.
    pub security: Security,
    /// What it may use.
    pub resources: Resources,
    /// How long requests are still served after the signal to stop.
    pub drain: Duration,
}

/// Our own ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Health and metrics.
    pub http: u16,
    /// The webhook.
    pub tls: u16,
    /// The broker.
    pub broker: u16,
}

impl Config {
    /// Checks `args` and the variables.
    ///
    /// # Errors
    /// A variable cannot be understood; the message says which and what to write.
    pub fn new(args: Args, environment: Environment) -> anyhow::Result<Self> {
        let read = Variables(&environment);
        let text = |variable| environment.get(variable).map(str::to_owned);
        if let Some(directory) = environment.get(variables::ENV_INJECTOR_EXEC_DIR) {
            ensure!(
                directory.trim_end_matches('/') == names::DIRECTORY,
                "ENV_INJECTOR_EXEC_DIR={directory:?} is not supported: leave it out, or write {}",
                names::DIRECTORY
            );
        }
        let names = environment.get(variables::SERVING_NAMES).unwrap_or_default().split(',');
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        Ok(Self {
            namespace: text(variables::POD_NAMESPACE),
            served: (!args.watch_namespaces.is_empty()).then(|| args.watch_namespaces.iter().cloned().collect()),
            service: text(variables::WEBHOOK_AUTH_SERVICE).unwrap_or_else(|| "akv2k8s-envinjector".to_owned()),
            further_names: names.map(str::to_owned).collect(),
            ports: Ports {
                http: read.port(variables::HTTP_PORT, 8080)?,
                tls: read.port(variables::TLS_PORT, 8443)?,
                broker: read.port(variables::MTLS_PORT, 9443)?,
            },
            broker_external_port: read.port(variables::MTLS_PORT_EXTERNAL, 9443)?,
            certificates: environment.path(variables::TLS_CERT_DIR),
            pki_secret: text(variables::PKI_SECRET).unwrap_or_else(|| "akv2k8s-envinjector-pki".to_owned()),
            webhook_configuration: text(variables::WEBHOOK_CONFIGURATION),
            namespace_label: read.namespace_label()?,
            broker: read.boolean(variables::USE_AUTH_SERVICE)?.unwrap_or(true),
            auth_type: AuthType::from_environment(&environment)?,
            look_ups: read.boolean(variables::IMAGE_LOOKUP)?.unwrap_or(true),
            metrics: read.boolean(variables::METRICS_ENABLED)?.unwrap_or(false),
            image: text(variables::AZUREKEYVAULT_ENV_IMAGE).context(
                "AZUREKEYVAULT_ENV_IMAGE is not set: write the image that has azure-keyvault-env in it, of this program's version",
            )?,
            image_pull_policy: read.pull_policy()?,
            security: read.security()?,
            resources: read.resources()?,
            drain: Duration::from_secs(read.number(variables::DRAIN_SECONDS)?.unwrap_or(5)),
            args,
            environment,
        })
    }
}

struct Variables<'e>(&'e Environment);

impl Variables<'_> {
    fn number<T: FromStr>(&self, variable: Variable) -> anyhow::Result<Option<T>> {
        let number = |text: &str| {
            text.parse()
                .ok()
                .with_context(|| format!("{variable}={text:?} is no number that it can be"))
        };
        self.0.get(variable).map(number).transpose()
    }

    fn port(&self, variable: Variable, usual: u16) -> anyhow::Result<u16> {
        let port = self
            .number(variable)
            .map_err(|error| error.context(format!("{variable} is a port: write 0 to 65535")))?;
        Ok(port.unwrap_or(usual))
    }

    fn boolean(&self, variable: Variable) -> anyhow::Result<Option<bool>> {
        let boolean = |text: &str| {
            parse_bool(text).with_context(|| format!("{variable}={text:?} is no boolean: write true or false"))
        };
        self.0.get(variable).map(boolean).transpose()
    }

    fn namespace_label(&self) -> anyhow::Result<NamespaceLabel> {
        let variable = variables::INJECTION_NAMESPACE_LABEL;
        match self.0.get(variable) {
            None => Ok(NamespaceLabel::default()),
            Some(text) => text.parse().with_context(|| format!("{variable}={text:?}")),
        }
    }

    fn pull_policy(&self) -> anyhow::Result<String> {
        match self.0.get(variables::WEBHOOK_CONTAINER_IMAGE_PULL_POLICY) {
            None => Ok("IfNotPresent".to_owned()),
            Some(policy @ ("Always" | "IfNotPresent" | "Never")) => Ok(policy.to_owned()),
            Some(other) => {
                bail!("WEBHOOK_CONTAINER_IMAGE_PULL_POLICY={other:?} is none of Always, IfNotPresent and Never")
            }
        }
    }

    fn security(&self) -> anyhow::Result<Security> {
        use variables::{
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_ALLOW_PRIVILEGE_ESCALATION as ALLOW,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_GROUP_GID as GROUP,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_NON_ROOT as NON_ROOT,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_PRIVILEGED as PRIVILEGED,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_READ_ONLY as READ_ONLY,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_SECCOMP_RUNTIME_DEFAULT as SECCOMP,
            WEBHOOK_CONTAINER_SECURITY_CONTEXT_USER_UID as USER,
        };
        let usual = Security::default();
        let privileged = self.boolean(PRIVILEGED)?.unwrap_or(usual.privileged);
        let allow = self.boolean(ALLOW)?;
        ensure!(
            !(privileged && allow == Some(false)),
            "{PRIVILEGED}=true and {ALLOW}=false exclude each other: leave one out"
        );
        Ok(Security {
            read_only: self.boolean(READ_ONLY)?.unwrap_or(usual.read_only),
            non_root: self.boolean(NON_ROOT)?.unwrap_or(usual.non_root),
            privileged,
            allow_privilege_escalation: allow.or((!privileged).then_some(false)),
            user: self.number(USER)?,
            group: self.number(GROUP)?,
            seccomp_runtime_default: self.boolean(SECCOMP)?.unwrap_or(usual.seccomp_runtime_default),
        })
    }

    fn resources(&self) -> anyhow::Result<Resources> {
        let quantity = |variable: Variable, usual: String| match self.0.get(variable) {
            None => Ok(usual),
            Some(text) if is_quantity(text) => Ok(text.to_owned()),
            Some(text) => bail!("{variable}={text:?} is no quantity: write 50m, 0.5, 64Mi or the like"),
        };
        let usual = Resources::default();
        Ok(Resources {
            requests_cpu: quantity(variables::WEBHOOK_INIT_CONTAINER_REQUESTS_CPU, usual.requests_cpu)?,
            requests_memory: quantity(variables::WEBHOOK_INIT_CONTAINER_REQUESTS_MEMORY, usual.requests_memory)?,
            limits_memory: quantity(variables::WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY, usual.limits_memory)?,
        })
    }
}

/// Whether the API server takes it as an amount of something: `NUMBER[SUFFIX]`, not negative.
fn is_quantity(text: &str) -> bool {
    const SUFFIXES: [&str; 15] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "Ki", "Mi", "Gi", "Ti", "Pi", "E",
    ];
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let is_number = number.bytes().any(|b| b.is_ascii_digit()) && number.bytes().filter(|b| *b == b'.').count() <= 1;
    is_number && SUFFIXES.contains(&suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: (&str, &str) = ("AZUREKEYVAULT_ENV_IMAGE", "example.org/env:1");

    fn config(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        let args = Args::from_command_line(["akv2k8s-envinjector".into()]).unwrap();
        Config::new(args, variables.iter().copied().chain([IMAGE]).collect())
    }

    #[test]
    fn the_defaults_are_safe_and_need_the_image_only() {
        let config = config(&[]).unwrap();
        assert_eq!(
            config.ports,
            Ports {
                http: 8080,
                tls: 8443,
                broker: 9443
            }
        );
        assert_eq!(config.security, Security::default());
        assert_eq!(config.resources, Resources::default());
        assert!(config.broker && config.look_ups && !config.metrics);
        assert_eq!(config.image_pull_policy, "IfNotPresent");
        assert_eq!(config.namespace_label, NamespaceLabel::default());
        let args = Args::from_command_line(["akv2k8s-envinjector".into()]).unwrap();
        let error = Config::new(args, Environment::default()).err().unwrap();
        assert!(error.to_string().contains("AZUREKEYVAULT_ENV_IMAGE"), "{error}");
    }

    #[test]
    fn the_variables_of_akv2k8s_do_what_they_say() {
        let config = config(&[
            ("HTTP_PORT", "1"),
            ("TLS_PORT", "2"),
            ("MTLS_PORT", "3"),
            ("MTLS_PORT_EXTERNAL", "4"),
            ("HTTP_PORT_EXTERNAL", "80"),
            ("USE_AUTH_SERVICE", "F"),
            ("METRICS_ENABLED", "1"),
            ("WEBHOOK_AUTH_SERVICE", "svc"),
            ("POD_NAMESPACE", "ns"),
            ("TLS_CERT_DIR", "/var/serving-cert"),
            ("CA_CERT_DIR", "/var/ca-cert"),
            ("ENV_INJECTOR_EXEC_DIR", "/azure-keyvault/"),
            ("WEBHOOK_CONTAINER_IMAGE_PULL_POLICY", "Always"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_READ_ONLY", "false"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_NON_ROOT", "false"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_PRIVILEGED", "true"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_USER_UID", "1000"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_GROUP_GID", "2000"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_SECCOMP_RUNTIME_DEFAULT", "false"),
            ("WEBHOOK_INIT_CONTAINER_REQUESTS_CPU", "0.5"),
            ("WEBHOOK_INIT_CONTAINER_REQUESTS_MEMORY", "1Gi"),
            ("WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY", "1G"),
        ])
        .unwrap();
        assert_eq!(
            config.ports,
            Ports {
                http: 1,
                tls: 2,
                broker: 3
            }
        );
        assert_eq!(
            (config.broker_external_port, config.broker, config.metrics),
            (4, false, true)
        );
        assert_eq!(
            (config.service.as_str(), config.namespace.as_deref()),
            ("svc", Some("ns"))
        );
        assert_eq!(config.certificates, Some("/var/serving-cert".into()));
        assert_eq!(config.image_pull_policy, "Always");
        let expected = Security {
            read_only: false,
            non_root: false,
            privileged: true,
            allow_privilege_escalation: None,
            user: Some(1000),
            group: Some(2000),
            seccomp_runtime_default: false,
        };
        assert_eq!(config.security, expected);
        let resources = [
            config.resources.requests_cpu,
            config.resources.requests_memory,
            config.resources.limits_memory,
        ];
        assert_eq!(resources, ["0.5", "1Gi", "1G"]);
    }

    #[test]
    fn a_value_that_means_nothing_is_named() {
        for (name, value) in [
            ("INJECTION_NAMESPACE_LABEL", "inject"),
            ("HTTP_PORT", "http"),
            ("TLS_PORT", "65536"),
            ("MTLS_PORT", "-1"),
            ("MTLS_PORT_EXTERNAL", "x"),
            ("USE_AUTH_SERVICE", "yes"),
            ("IMAGE_LOOKUP", "off"),
            ("METRICS_ENABLED", "on"),
            ("ENV_INJECTOR_EXEC_DIR", "/elsewhere"),
            ("DRAIN_SECONDS", "soon"),
            ("WEBHOOK_CONTAINER_IMAGE_PULL_POLICY", "always"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_READ_ONLY", "no"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_USER_UID", "me"),
            ("WEBHOOK_INIT_CONTAINER_REQUESTS_CPU", "5 m"),
            ("WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY", "32MB"),
            ("WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY", "-1"),
            ("WEBHOOK_INIT_CONTAINER_LIMITS_MEMORY", "."),
        ] {
            let error = config(&[(name, value)])
                .err()
                .unwrap_or_else(|| panic!("{name}={value} passes"));
            assert!(format!("{error:#}").contains(name), "{name}={value}: {error:#}");
        }
        let both = [
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_PRIVILEGED", "true"),
            ("WEBHOOK_CONTAINER_SECURITY_CONTEXT_ALLOW_PRIVILEGE_ESCALATION", "false"),
        ];
        assert!(config(&both).is_err());
    }
}
