//! The command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use akv2k8s_shared::doctor::Report;
use akv2k8s_shared::reference::VaultName;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Says what stands between a workload and its Azure Key Vault.
#[derive(Debug, Clone, Parser)]
#[command(name = "kubectl-akv2k8s", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Kubeconfig file; default: `KUBECONFIG`, else ~/.kube/config, else the pod's own ServiceAccount.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig; default: its current one.
    #[arg(long, global = true)]
    pub context: Option<String>,

    /// Namespace of the pod or object; default: the context's.
    #[arg(long, short, global = true)]
    pub namespace: Option<String>,

    /// How the result is printed.
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Looks for the first cause of a failure, and names its fix.
    Doctor(Doctor),
}

/// `doctor`: without a subject it looks at the installation.
#[derive(Debug, Clone, ClapArgs)]
pub struct Doctor {
    /// What to look at.
    #[command(subcommand)]
    pub subject: Option<Subject>,

    /// Namespace in which the controller is installed.
    #[arg(long, global = true, default_value = "akv2k8s")]
    pub controller_namespace: String,
}

/// What `doctor` can look at.
#[derive(Debug, Clone, Subcommand)]
pub enum Subject {
    /// An `AzureKeyVaultSecret`.
    Akvs {
        /// Its name.
        name: String,
    },
    /// The identity that a ServiceAccount stands for.
    Identity {
        /// NAMESPACE/NAME of the ServiceAccount.
        #[arg(long = "serviceaccount", value_name = "NAMESPACE/NAME")]
        service_account: ServiceAccountName,
        /// Whether to try it.
        #[command(flatten)]
        mint: Mint,
    },
    /// A pod: ours or anybody's.
    Pod {
        /// Its name.
        name: String,
        /// Whether to try it.
        #[command(flatten)]
        mint: Mint,
    },
}

/// Whether to try it, and where.
#[derive(Debug, Clone, ClapArgs)]
pub struct Mint {
    /// Really try it: ask the API server for a token of the ServiceAccount, exchange it at Entra, and ask the vault.
    #[arg(long)]
    pub mint: bool,

    /// Name of the vault that is asked, without the DNS suffix; needs `--mint`.
    #[arg(long, value_parser = VaultName::parse, requires = "mint")]
    pub vault: Option<VaultName>,
}

/// `NAMESPACE/NAME` of a ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceAccountName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl FromStr for ServiceAccountName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("write NAMESPACE/NAME"),
        }
    }
}

impl fmt::Display for ServiceAccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs; the shape is documented and stable.
    Json,
}

impl Output {
    /// `report` as it is printed, with a line break at its end.
    pub fn render(self, report: &Report) -> String {
        match self {
            Self::Text => report.to_string(),
            Self::Json => format!("{:#}\n", report.to_json()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        for line in [
            "doctor",
            "doctor -o json --context c",
            "doctor akvs db -n shop",
            "doctor identity --serviceaccount shop/web --mint --vault kv1",
            "doctor pod web-0 -n shop --mint",
        ] {
            let words = std::iter::once("kubectl-akv2k8s").chain(line.split(' '));
            assert!(Args::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "",
            "doctor identity",
            "doctor identity --serviceaccount web",
            "doctor pod web-0 --vault kv1",
            "doctor pod web-0 --mint --vault kv.example.org",
        ] {
            let words = std::iter::once("kubectl-akv2k8s").chain(line.split_whitespace());
            assert!(Args::try_parse_from(words).is_err(), "{line}");
        }
    }
}
