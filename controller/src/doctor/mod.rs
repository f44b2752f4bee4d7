//! `akv2k8s-controller doctor`: everything between this pod and its vaults, tried from where the controller itself runs.
//!
//! ```text
//!  rights, policy (API server) ─▶ grants ─▶ environment, files ─▶ token (Entra) ─▶ each vault: DNS, TLS, firewall, tenant, role
//! ```

mod accounts;
mod grants;
mod rights;
mod token_file;
mod vaults;

use std::process::ExitCode;

use akv2k8s_shared::doctor::{Check, Report, try_identity, try_vault, try_vault_rights};
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{Identity, Method};
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::reference::VaultName;
use clap::{Args as ClapArgs, ValueEnum};

use crate::app::connect;
use crate::config::Config;
use vaults::Wanted;

/// The checks could not be made; 1 is for findings.
const COULD_NOT_RUN: u8 = 2;

/// `doctor`.
#[derive(Debug, Clone, ClapArgs)]
pub struct DoctorArgs {
    /// A vault to try for secrets, certificates and keys, by name; may be repeated. Default: all that `AzureKeyVaultSecret`s
    /// name, for the kinds of objects that they name there.
    #[arg(long = "vault", value_parser = VaultName::parse)]
    pub vaults: Vec<VaultName>,

    /// How the result is printed.
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints the report. Exit code 0: nothing was found; 1: something was; 2: the checks could not be made.
pub(crate) async fn run(args: &DoctorArgs, config: &Config) -> ExitCode {
    match report(args, config).await {
        Ok(report) => {
            match args.output {
                Output::Text => print!("{report}"),
                Output::Json => println!("{:#}", report.to_json()),
            }
            report.exit_code().into()
        }
        Err(error) => {
            eprintln!("{error:#}");
            COULD_NOT_RUN.into()
        }
    }
}

/// Makes the checks with the configuration the controller would run with.
///
/// # Errors
/// There is neither a kubeconfig nor a ServiceAccount.
pub async fn report(args: &DoctorArgs, config: &Config) -> anyhow::Result<Report> {
    let client = connect(config).await?;
    let objects = vaults::objects(&client, &config.namespaces).await;
    let known = objects.as_deref().unwrap_or_default();
    let rules = grants::apply_file(config.args.vault_grants.as_deref(), vaults::asked(known)).await;
    let mut checks = vec![rights::check(&client, config, rules.by_label).await];
    if config.args.service_account_identities {
        checks.extend(accounts::checks(&client, &accounts::named(known)).await);
    }
    checks.push(rules.check);
    let wanted = match args.vaults.as_slice() {
        [] => objects.map(|_| vaults::wanted(rules.allowed)),
        chosen => Ok(chosen.iter().cloned().map(Wanted::Rights).collect()),
    };
    checks.extend(azure(config, wanted).await);
    Ok(Report {
        subject: "controller, from where it runs".to_owned(),
        checks,
    })
}

async fn azure(config: &Config, wanted: Result<Vec<Wanted>, Check>) -> Vec<Check> {
    let (http, identity, mut checks) = match become_it(config).await {
        Ok((http, identity)) => {
            let mut checks = vec![environment(&identity)];
            if identity.info().method == Method::WorkloadIdentity {
                checks.push(token_file::check(&config.environment).await);
            }
            (http, identity, checks)
        }
        Err(check) => return vec![check],
    };
    if checks.iter().any(|check| check.failure().is_some()) {
        return checks;
    }
    let token = try_identity(&identity).await;
    let works = token.failure().is_none();
    checks.push(token);
    if !works {
        return checks;
    }
    match wanted {
        Err(check) => checks.push(check),
        Ok(wanted) if wanted.is_empty() => {
            checks.push(Check::not_made(
                "vault",
                "Vaults: no AzureKeyVaultSecret names one (--vault does).",
            ));
        }
        Ok(wanted) => {
            let client = KeyVault::new(http, Settings::default());
            for wanted in wanted {
                match wanted {
                    Wanted::Objects(vault, kind) => checks.push(try_vault(&client, &identity, &vault, kind).await),
                    Wanted::Rights(vault) => checks.extend(try_vault_rights(&client, &identity, &vault).await),
                }
            }
        }
    }
    checks
}

async fn become_it(config: &Config) -> Result<(HttpClient, Identity), Check> {
    let identity = async {
        let http = HttpClient::from_environment(&config.environment, Limits::default())?;
        let identity = config.identity(&http).identity().await?;
        Ok((http, identity))
    };
    identity
        .await
        .map_err(|diagnosis: Box<_>| Check::failed("environment", *diagnosis))
}

fn environment(identity: &Identity) -> Check {
    let info = identity.info();
    let client = info.client_id.as_deref().unwrap_or("the node's own");
    Check::passed(
        "environment",
        format!(
            "Authenticates by {} in {}, client id {client}.",
            info.method.as_str(),
            identity.cloud().name
        ),
    )
}
