//! The command line.

mod commands;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use akv2k8s_shared::reference::VaultName;
use clap::{Args as ClapArgs, Parser, Subcommand};
pub use commands::{Completion, Convert, Get, Made, Man, Plan, Render, Run, Support, Top};

pub use crate::output::Output;

/// Azure Key Vault on Kubernetes, from your computer: looks at AzureKeyVaultSecrets in a cluster, plans changes, and finds what is wrong.
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

    /// Namespace of what is looked at; default: the context's.
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
    /// Says what manifests of AzureKeyVaultSecrets would change in the cluster; never a value.
    Plan(Plan),
    /// Shows an AzureKeyVaultSecret, what it wrote, and whether the vault still says the same.
    Get(Get),
    /// Prints the Secrets and ConfigMaps that manifests of AzureKeyVaultSecrets stand for, with their values.
    Render(Render),
    /// Starts a program on this computer with values in the place of the references in its environment.
    Run(Run),
    /// Turns manifests of other projects into AzureKeyVaultSecrets, or back.
    Convert(Convert),
    /// Says what each vault is asked, how much of its budget that is, and what it costs.
    Top(Top),
    /// Collects what somebody else needs to help. Values that AzureKeyVaultSecrets wrote are taken out; of other credentials what looks
    /// like one, which is best effort.
    Support(Support),
    /// Prints a script by which a shell completes this command line.
    Completion(Completion),
    /// Writes a man page for each command.
    Man(Man),
}

/// `doctor`: without a subject it looks at the installation.
#[derive(Debug, Clone, ClapArgs)]
pub struct Doctor {
    /// What to look at.
    #[command(subcommand)]
    pub subject: Option<Subject>,

    /// Where the controller is.
    #[command(flatten)]
    pub installation: Installation,
}

/// Where the controller is, and how it was told to work where that is not the default.
#[derive(Debug, Clone, ClapArgs)]
pub struct Installation {
    /// Namespace in which the controller is installed.
    #[arg(long, global = true, default_value = "akv2k8s")]
    pub controller_namespace: String,

    /// Name of the controller's Lease; default: the `--lease-name` of its Deployment, else akv2k8s-controller.
    #[arg(long, global = true)]
    pub lease_name: Option<String>,

    /// Namespace of the Lease; default: the `--lease-namespace` of its Deployment, else where it is installed.
    #[arg(long, global = true)]
    pub lease_namespace: Option<String>,

    /// Port on which the controller answers probes; default: the port of its pods that is named http, else 9000.
    #[arg(long, global = true)]
    pub health_port: Option<u16>,
}

/// What `doctor` can look at.
#[derive(Debug, Clone, Subcommand)]
pub enum Subject {
    /// An AzureKeyVaultSecret.
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

/// Which vault is meant, and whether to try it.
#[derive(Debug, Clone, ClapArgs)]
pub struct Mint {
    /// Really try it: ask the API server for a token of the ServiceAccount, exchange it at Entra, and ask the vault.
    #[arg(long)]
    pub mint: bool,

    /// Name of the vault that is meant, without the DNS suffix: with `--mint` it is asked; without, what the API server knows of
    /// the way to it is looked at.
    #[arg(long, value_parser = VaultName::parse)]
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
            "doctor identity --serviceaccount shop/web --vault kv1",
            "doctor pod web-0 -n shop --mint",
            "doctor pod web-0 --vault kv1",
            "doctor --controller-namespace ns --lease-name l --lease-namespace k --health-port 8080",
            "doctor akvs db --lease-name l",
            "plan -f a.yaml -f dir -o yaml",
            "get db -n shop --show --yes",
            "render -f - --yes",
            "convert -f dir --vault kv1",
            "convert -f a.yaml --to external-secret --store s -o json",
            "top --price 0.02 --controller-namespace ns",
            "support --to /tmp/a.tar --controller-namespace ns --unsearched",
            "completion zsh",
            "man /tmp/man1",
            "run --env-file .env -n shop -- app --flag",
        ] {
            let words = std::iter::once("kubectl-akv2k8s").chain(line.split(' '));
            assert!(Args::try_parse_from(words).is_ok(), "{line}");
        }
        for line in [
            "",
            "doctor identity",
            "doctor identity --serviceaccount web",
            "doctor --health-port 65536",
            "doctor pod web-0 --mint --vault kv.example.org",
            "plan",
            "get db --yes",
            "run",
            "run app",
        ] {
            let words = std::iter::once("kubectl-akv2k8s").chain(line.split_whitespace());
            assert!(Args::try_parse_from(words).is_err(), "{line}");
        }
    }
}
