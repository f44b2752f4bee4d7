//! The command line: akv2k8s' flags with one or two dashes, and klog's.

use std::ffi::OsString;
use std::path::PathBuf;

use akv2k8s_program::command_line::{KlogArgs, LogFormat, boolean, namespace, two_dashes};
use clap::Parser;

/// Prepares pods for the env wrapper, and gives the wrapper its values.
#[derive(Debug, Clone, Parser)]
#[command(name = "akv2k8s-envinjector", disable_version_flag = true, args_override_self = true)]
pub struct Args {
    /// Cloud configuration file, read with `AUTH_TYPE=azureCloudConfig`.
    #[arg(long, default_value = "/etc/kubernetes/azure.json")]
    pub cloudconfig: PathBuf,

    /// The version this deployment calls itself; printed at start.
    #[arg(long, default_value = "")]
    pub version: String,

    /// Accepted for compatibility: it had no effect in akv2k8s and has none here.
    #[arg(long, default_value = "")]
    pub versionenvimage: String,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub logging_format: LogFormat,

    /// Only these namespaces, with commas between them; default: all.
    #[arg(long, value_name = "NAMESPACE,…", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// File with the rules who may use which vault; default: everybody may use all.
    #[arg(long)]
    pub vault_grants: Option<PathBuf>,

    /// Seconds that a value given by the broker may be old.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    pub value_max_age: u64,

    /// Seconds that it may be older while vault or Entra do not answer.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=86400))]
    pub value_max_stale: u64,

    /// Read vaults as the ServiceAccounts that `spec.vault.serviceAccountName` names, each in its AKVS's own namespace.
    #[arg(long, default_value_t = false, value_parser = boolean, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub service_account_identities: bool,

    /// Kubeconfig file; default: the pod's own ServiceAccount.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// Log verbosity as klog counts it: 2 = info, 4 = debug, 6 = trace, 9 = trace of libraries too.
    #[arg(long = "v", short = 'v', default_value_t = 0)]
    pub verbosity: u8,

    #[command(flatten)]
    klog: KlogArgs,
}

impl Args {
    /// Parses a command line, program name first. Go's habit of one dash before a long name is understood.
    ///
    /// # Errors
    /// A flag that does not exist, or a value that it cannot have.
    pub fn from_command_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(line.into_iter().map(two_dashes))
    }
}
