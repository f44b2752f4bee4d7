//! What follows the commands.

use std::ffi::OsString;
use std::path::PathBuf;

use akv2k8s_shared::reference::VaultName;
use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::Shell;

use super::Installation;

/// `plan`
#[derive(Debug, Clone, ClapArgs)]
pub struct Plan {
    /// File or folder of manifests, or - for standard input; may be repeated.
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,

    /// Where the controller is.
    #[command(flatten)]
    pub installation: Installation,
}

/// `get`
#[derive(Debug, Clone, ClapArgs)]
pub struct Get {
    /// Name of the AzureKeyVaultSecret.
    pub name: String,

    /// Print the values, too, after a question on the terminal.
    #[arg(long)]
    pub show: bool,

    /// Print the values without a question.
    #[arg(long, requires = "show")]
    pub yes: bool,
}

/// `render`
#[derive(Debug, Clone, ClapArgs)]
pub struct Render {
    /// File or folder of manifests, or - for standard input; may be repeated.
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,

    /// Print the values without a question.
    #[arg(long)]
    pub yes: bool,
}

/// `run`
#[derive(Debug, Clone, ClapArgs)]
pub struct Run {
    /// File of NAME=VALUE lines that are added to the environment; may be repeated, the last one counts.
    #[arg(long = "env-file", value_name = "FILE")]
    pub env_files: Vec<PathBuf>,

    /// The program, and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// `convert`
#[derive(Debug, Clone, ClapArgs)]
pub struct Convert {
    /// File or folder of manifests, or - for standard input; may be repeated. Stores of External Secrets belong to it.
    #[arg(long = "filename", short = 'f', value_name = "FILE|DIR", required = true)]
    pub files: Vec<PathBuf>,

    /// What is made.
    #[arg(long, value_enum, default_value_t = Made::Akvs)]
    pub to: Made,

    /// Vault of what names none: of ExternalSecrets whose store is not among the manifests, and of references vault:PATH#KEY.
    #[arg(long, value_parser = VaultName::parse)]
    pub vault: Option<VaultName>,

    /// With --to external-secret: name of the SecretStore; default: that of the vault.
    #[arg(long)]
    pub store: Option<String>,
}

/// What manifests are converted into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Made {
    /// AzureKeyVaultSecrets, of ExternalSecrets, SecretProviderClasses and references of bank-vaults.
    Akvs,
    /// ExternalSecrets, of AzureKeyVaultSecrets.
    ExternalSecret,
}

/// `top`
#[derive(Debug, Clone, ClapArgs)]
pub struct Top {
    /// Price of 10,000 operations in US dollars; default: 0.03.
    #[arg(long, value_name = "DOLLARS")]
    pub price: Option<f64>,

    /// Where the controller is.
    #[command(flatten)]
    pub installation: Installation,
}

/// `support`
#[derive(Debug, Clone, ClapArgs)]
pub struct Support {
    /// The archive to write; default: akv2k8s-support-TIME.tar in this folder. What exists is not overwritten.
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// Write the archive even if the values that AzureKeyVaultSecrets wrote may not be read, and so cannot be searched for in it.
    #[arg(long)]
    pub unsearched: bool,

    /// Where the controller is.
    #[command(flatten)]
    pub installation: Installation,
}

/// `completion`
#[derive(Debug, Clone, ClapArgs)]
pub struct Completion {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `man`
#[derive(Debug, Clone, ClapArgs)]
pub struct Man {
    /// Folder for the pages.
    pub folder: PathBuf,
}
