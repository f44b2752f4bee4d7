//! The command line: upstream's flags with one or two dashes, klog's flags, and ours.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use akv2k8s_program::command_line::{KlogArgs, LogFormat, boolean, namespace, two_dashes};
use akv2k8s_shared::keyvault::changes::ChangeDetection;
use clap::{Parser, Subcommand};

use crate::doctor::DoctorArgs;

/// Keeps Kubernetes Secrets and ConfigMaps equal to objects in Azure Key Vault.
#[derive(Debug, Clone, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(name = "akv2k8s-controller", disable_version_flag = true, args_override_self = true)]
pub struct Args {
    /// Another job than running the controller.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Cloud configuration file, read with `AUTH_TYPE=azureCloudConfig`.
    #[arg(long, default_value = "/etc/kubernetes/azure.json")]
    pub cloudconfig: PathBuf,

    /// The version this deployment calls itself; printed at start.
    #[arg(long, default_value = "")]
    pub version: String,

    /// How log lines look.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub logging_format: LogFormat,

    /// Kubeconfig file; default: the pod's own ServiceAccount.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// Address of the API server, in place of the kubeconfig's.
    #[arg(long)]
    pub master: Option<String>,

    /// `false`: only the namespace in `RUNTIME_NAMESPACE`.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub watch_all_namespaces: bool,

    /// Only these namespaces, with commas between them, whatever `--watch-all-namespaces` says.
    #[arg(long, value_name = "NAMESPACE,…", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,

    /// Accepted for compatibility: it had no effect upstream and has none here.
    #[arg(long, default_value_t = 30)]
    pub kube_resync_period: u32,

    /// Seconds between two looks at a vault.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub azure_resync_period: u32,

    /// Log verbosity as klog counts it: 2 = info, 4 = debug, 6 = trace, 9 = trace of libraries too.
    #[arg(long = "v", short = 'v', default_value_t = 0)]
    pub verbosity: u8,

    /// How changes in a vault are noticed: `auto`, `list` or `get`.
    #[arg(long, default_value = "auto")]
    pub change_detection: ChangeDetection,

    /// `false`: neither list nor watch Secrets and ConfigMaps; write all outputs again once a day instead.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub watch_outputs: bool,

    /// Requests per 10 seconds that one vault is sent at most. Azure allows all its clients together 4,000, and was long known for 2,000, which is the most that can be given here.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub vault_requests_per_10s: u32,

    /// File with the rules who may use which vault; default: everybody may use all.
    #[arg(long)]
    pub vault_grants: Option<PathBuf>,

    /// `false`: do not take the Lease; then there must be only one replica.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub leader_elect: bool,

    /// Name of the Lease; controllers that are independent of each other need different ones.
    #[arg(long, default_value = "akv2k8s-controller")]
    pub lease_name: String,

    /// Namespace of the Lease; default: `RUNTIME_NAMESPACE`, else the pod's, else the kubeconfig's.
    #[arg(long)]
    pub lease_namespace: Option<String>,

    /// Read vaults as the ServiceAccounts that `spec.vault.serviceAccountName` names, each in its AKVS's own namespace.
    #[arg(long, default_value_t = false, value_parser = boolean, action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub service_account_identities: bool,

    #[command(flatten)]
    klog: KlogArgs,
}

/// Jobs besides running.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Prints the custom resource definition as YAML.
    Crd,
    /// Tries everything between this pod and its vaults, and names the first cause of a failure. Flags of the controller go
    /// before the word.
    Doctor(DoctorArgs),
}

impl Args {
    /// Parses a command line, program name first. Go's habit of one dash before a long name is understood.
    pub fn from_command_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(line.into_iter().map(two_dashes))
    }

    /// Time between two looks at a vault.
    pub fn poll_period(&self) -> Duration {
        Duration::from_secs(self.azure_resync_period.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::from_command_line(
            std::iter::once("controller")
                .chain(line.iter().copied())
                .map(OsString::from),
        )
    }

    #[test]
    fn defaults_are_upstreams() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.cloudconfig, PathBuf::from("/etc/kubernetes/azure.json"));
        assert_eq!(args.logging_format, LogFormat::Text);
        assert!(args.watch_all_namespaces);
        assert_eq!(args.poll_period(), Duration::from_secs(30));
        assert_eq!(args.verbosity, 0);
    }

    #[test]
    fn of_a_flag_given_twice_the_last_counts_as_with_go() {
        let args = parse(&["--v=2", "-v=9", "--kube-resync-period=1", "--kube-resync-period=2"]).unwrap();
        assert_eq!((args.verbosity, args.kube_resync_period), (9, 2));
    }

    #[test]
    fn one_dash_is_as_good_as_two() {
        for line in [
            [
                "-watch-all-namespaces=false",
                "-azure-resync-period",
                "5",
                "-v=4",
                "-logging-format=json",
            ],
            [
                "--watch-all-namespaces=false",
                "--azure-resync-period",
                "5",
                "--v=4",
                "--logging-format=json",
            ],
        ] {
            let args = parse(&line).unwrap();
            assert!(!args.watch_all_namespaces, "{line:?}");
            assert_eq!(args.azure_resync_period, 5);
            assert_eq!(args.verbosity, 4);
            assert_eq!(args.logging_format, LogFormat::Json);
        }
    }

    #[test]
    fn a_bare_switch_means_true() {
        assert!(
            parse(&["--watch-all-namespaces", "--kubeconfig", "/k"])
                .unwrap()
                .watch_all_namespaces
        );
    }

    #[test]
    fn switches_take_every_boolean_of_go_and_no_other() {
        let switches = [
            "watch-all-namespaces",
            "watch-outputs",
            "leader-elect",
            "service-account-identities",
        ];
        for (word, value) in [
            ("0", false),
            ("f", false),
            ("FALSE", false),
            ("1", true),
            ("T", true),
            ("True", true),
        ] {
            let line = switches.map(|name| format!("-{name}={word}"));
            let args = parse(&line.each_ref().map(String::as_str)).unwrap();
            let read = [
                args.watch_all_namespaces,
                args.watch_outputs,
                args.leader_elect,
                args.service_account_identities,
            ];
            assert_eq!(read, [value; 4], "{word}");
            parse(&[&format!("--logtostderr={word}")]).unwrap();
        }
        for word in ["no", "off", "2", ""] {
            let error = parse(&[&format!("--leader-elect={word}")]).unwrap_err().to_string();
            assert!(error.contains("write true or false"), "{error}");
        }
    }

    #[test]
    fn every_klog_flag_is_accepted() {
        parse(&[
            "-logtostderr=true",
            "--alsologtostderr",
            "-stderrthreshold=2",
            "-vmodule=a=1",
            "-log_dir",
            "/tmp",
            "-log_file=x",
            "-log_file_max_size=10",
            "-log_backtrace_at=:0",
            "-skip_headers",
            "-skip_log_headers",
            "-add_dir_header",
            "-one_output",
            "-v",
            "2",
        ])
        .unwrap();
    }

    #[test]
    fn the_chart_passes_its_image_tag_as_version() {
        assert_eq!(parse(&["--version=1.8.2"]).unwrap().version, "1.8.2");
        assert!(matches!(parse(&["crd"]).unwrap().command, Some(Command::Crd)));
    }

    #[test]
    fn what_is_unknown_or_impossible_is_refused() {
        assert!(parse(&["--no-such-flag"]).is_err());
        assert!(parse(&["--azure-resync-period=0"]).is_err());
        assert!(parse(&["--change-detection=never"]).is_err());
        for list in ["", "a,", "a b", "A", "-a", "*"] {
            let error = parse(&[&format!("--watch-namespaces={list}")]).unwrap_err().to_string();
            assert!(error.contains("no namespace's name"), "{list:?}: {error}");
        }
    }
}
