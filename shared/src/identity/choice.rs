//! Which method is used, and why: decided by variables and files alone.

use std::path::PathBuf;

use super::auth_type::Links;
use super::caveat::Caveat;
use super::certificate::CertificateFile;
use super::cloud_config::{self, CloudConfig};
use super::managed::UserAssigned;
use super::variables::{Set, Variables};
use super::{AuthType, Cloud, IdentityInfo, Method, checked_tenant};
use crate::diagnosis::{Code, Diagnosis, case};
use crate::environment::Environment;
use crate::environment::common::AZURE_ENVIRONMENT;
use crate::secret::SecretBytes;

/// What a method takes. It holds secrets: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Plan {
    ClientSecret(SecretBytes),
    ClientCertificate(CertificateFile),
    UsernamePassword { user: String, password: SecretBytes },
    WorkloadIdentity { token_file: PathBuf },
    ManagedIdentity(UserAssigned),
    AzureCli { program: PathBuf },
}

impl Plan {
    fn method(&self) -> Method {
        match self {
            Self::ClientSecret(_) => Method::ClientSecret,
            Self::ClientCertificate(_) => Method::ClientCertificate,
            Self::UsernamePassword { .. } => Method::UsernamePassword,
            Self::WorkloadIdentity { .. } => Method::WorkloadIdentity,
            Self::ManagedIdentity(_) => Method::ManagedIdentity,
            Self::AzureCli { .. } => Method::AzureCli,
        }
    }
}

/// What was found on disk.
#[derive(Default)]
pub(super) struct Files {
    /// The cloud configuration file; read for [`AuthType::AzureCloudConfig`] only.
    pub(super) cloud_config: Option<FoundFile>,
    /// The file of `AZURE_ENVIRONMENT_FILEPATH`, where that is set.
    pub cloud: Option<FoundFile>,
    /// The program `az`, when it is on the `PATH`; looked for where it could be used.
    pub(super) azure_cli: Option<PathBuf>,
}

/// A file as it was found. It may hold a secret: no `Debug`.
pub(super) struct FoundFile {
    /// Where it was looked for.
    pub(super) path: PathBuf,
    /// Its content, or why it could not be read (what the system says).
    pub(super) content: Result<SecretBytes, String>,
}

/// A method, whom it makes of us, and why it was chosen. It holds secrets: no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) cloud: Cloud,
    pub(super) info: IdentityInfo,
    pub(super) plan: Plan,
    reason: String,
    pub(super) caveat: Caveat,
    /// Used in place of this one when nothing answers at the metadata service's address.
    pub(super) otherwise: Option<Box<Choice>>,
}

impl Choice {
    /// Who tokens are asked for, and how.
    pub(super) fn info(&self) -> &IdentityInfo {
        &self.info
    }

    /// The cloud the identity lives in.
    pub(super) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Why this method: names the variables or the file that decided. No secret.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// What was set up as well and is not used, a sentence each.
    pub(super) fn not_used(&self) -> &[String] {
        &self.caveat.not_used
    }

    /// The Azure CLI, when it takes over where no metadata service answers (`environment-azidentity`).
    pub(super) fn otherwise(&self) -> Option<&Self> {
        self.otherwise.as_deref()
    }
}

/// Chooses by `auth_type`. Nothing is asked over the network, and nothing is read but `files`.
///
/// # Errors
/// Nothing is completely configured: the diagnosis names what each begun method lacks.
pub(super) fn choose(auth_type: AuthType, environment: &Environment, files: &Files) -> Result<Choice, Box<Diagnosis>> {
    if auth_type == AuthType::AzureCloudConfig {
        return of_cloud_config(environment, files);
    }
    by_variables(auth_type, environment, Cloud::found(environment, files)?, files)
}

/// The same in a given cloud, for all that goes by variables.
pub(super) fn by_variables(
    auth_type: AuthType,
    environment: &Environment,
    cloud: Cloud,
    files: &Files,
) -> Result<Choice, Box<Diagnosis>> {
    let chooser = Chooser {
        cloud,
        variables: Variables::read(environment)?,
        files,
    };
    let asked = || format!("AUTH_TYPE={}", auth_type.as_str());
    match auth_type {
        AuthType::AzureCloudConfig | AuthType::Environment => chooser.environment(),
        AuthType::EnvironmentAzidentity => chooser.chain(Links::from_environment(environment)?),
        AuthType::WorkloadIdentity => chooser.required(Set::WorkloadIdentity, asked()),
        AuthType::ClientSecret => chooser.required(Set::ClientSecret, asked()),
        AuthType::ClientCertificate => chooser.required(Set::ClientCertificate, asked()),
        AuthType::ManagedIdentity => {
            let named = chooser.variables.user_assigned();
            chooser.made(Plan::ManagedIdentity(named), asked())
        }
        AuthType::AzureCli => chooser.azure_cli(asked()),
    }
}

/// The node's file, parsed.
pub(super) fn parsed_config(files: &Files) -> Result<CloudConfig<'_>, Box<Diagnosis>> {
    let Some(FoundFile { path, content }) = &files.cloud_config else {
        return Err(cloud_config::unusable(std::path::Path::new("azure.json"), case::CloudConfigNotRead).into());
    };
    let text = content
        .as_ref()
        .map_err(|error| cloud_config::unusable(path, case::CloudConfigUnusable { error }))?;
    CloudConfig::parse(path, text)
}

/// The cloud that the node's file names, or else the variables.
pub(super) fn cloud_of_config(
    environment: &Environment,
    files: &Files,
    file: &CloudConfig<'_>,
) -> Result<Cloud, Box<Diagnosis>> {
    match file.cloud() {
        Some(name) => Cloud::found(&environment.with(AZURE_ENVIRONMENT, name), files),
        None => Cloud::found(environment, files),
    }
}

fn of_cloud_config(environment: &Environment, files: &Files) -> Result<Choice, Box<Diagnosis>> {
    let file = parsed_config(files)?;
    let stated = file.stated()?;
    let cloud = cloud_of_config(environment, files, &file)?;
    let info = IdentityInfo {
        method: stated.plan.method(),
        client_id: stated.client_id,
        tenant_id: stated.tenant_id.map(checked_tenant).transpose()?,
        subject: None,
    };
    Ok(Choice {
        cloud,
        info,
        plan: stated.plan,
        reason: stated.reason,
        caveat: Caveat::default(),
        otherwise: None,
    })
}

/// Chooses by variables.
struct Chooser<'a> {
    cloud: Cloud,
    variables: Variables<'a>,
    files: &'a Files,
}

impl Chooser<'_> {
    /// Upstream's order; workload identity, which it did not know there, comes before the node's identity: a token file is
    /// mounted on purpose.
    fn environment(&self) -> Result<Choice, Box<Diagnosis>> {
        const ORDER: [Set; 4] = [
            Set::ClientSecret,
            Set::ClientCertificate,
            Set::UsernamePassword,
            Set::WorkloadIdentity,
        ];
        if let Some(choice) = self.first_complete(&ORDER, "AUTH_TYPE=environment")? {
            return Ok(choice);
        }
        if let Some(incomplete) = self.variables.incomplete(&ORDER) {
            return Err(Box::new(incomplete));
        }
        let user = self
            .variables
            .client_id
            .map_or(UserAssigned::None, |id| UserAssigned::ClientId(id.to_owned()));
        let reason = "AUTH_TYPE=environment, and no variable of another method is set";
        let mut choice = self.made(Plan::ManagedIdentity(user), reason.to_owned())?;
        if let Some(note) = self.variables.application_without_credential() {
            choice.caveat = Caveat::of(Code::EnvironmentIncomplete, vec![note]);
        }
        Ok(choice)
    }

    /// Microsoft's order, with each link's reason for not being used.
    fn chain(&self, links: Links) -> Result<Choice, Box<Diagnosis>> {
        const ENVIRONMENT: [Set; 3] = [Set::ClientSecret, Set::ClientCertificate, Set::UsernamePassword];
        let because = "AUTH_TYPE=environment-azidentity";
        let left_out = |link: &str| format!("{link}: left out by AZURE_TOKEN_CREDENTIALS.");
        let mut not_used = Vec::new();
        for (on, link, sets) in [
            (links.environment, "Environment", &ENVIRONMENT[..]),
            (links.workload_identity, "Workload identity", &[Set::WorkloadIdentity]),
        ] {
            if !on {
                not_used.push(left_out(link));
                continue;
            }
            if let Some(choice) = self.first_complete(sets, because)? {
                return Ok(choice);
            }
            not_used.push(format!("{link}: {}", self.variables.why_not(sets)));
        }
        let cli = self.files.azure_cli.is_some();
        not_used.push(match (links.azure_cli, cli) {
            (false, _) => left_out("Azure CLI"),
            (true, false) => "Azure CLI: az is not on the PATH.".to_owned(),
            (true, true) => "Azure CLI: it comes after the managed identity.".to_owned(),
        });
        let otherwise = (links.azure_cli && cli)
            .then(|| self.azure_cli(format!("{because}, and no metadata service answers")))
            .transpose()?;
        let incomplete = self.variables.incomplete(&Set::ALL).map(|it| it.code);
        let caveat = Caveat::of(incomplete.unwrap_or(Code::NoMethodWorked), not_used);
        if links.managed_identity {
            let user = self
                .variables
                .client_id
                .map_or(UserAssigned::None, |id| UserAssigned::ClientId(id.to_owned()));
            let reason = format!("{because}, and neither environment nor workload identity is complete");
            let mut choice = self.made(Plan::ManagedIdentity(user), reason)?;
            choice.caveat = caveat;
            choice.otherwise = otherwise.map(Box::new);
            return Ok(choice);
        }
        otherwise.ok_or_else(|| {
            let left_out = Diagnosis::case(case::ManagedIdentityLeftOut, "There is no identity.");
            Box::new(caveat.explain(left_out))
        })
    }

    fn first_complete(&self, order: &[Set], because: &str) -> Result<Option<Choice>, Box<Diagnosis>> {
        let Some(set) = order.iter().find(|set| self.variables.is_complete(**set)) else {
            return Ok(None);
        };
        self.of_set(*set, format!("{because}, and {} is set", set.own_variable()))
            .map(Some)
    }

    /// The set that `AUTH_TYPE` names, which must be there.
    fn required(&self, set: Set, reason: String) -> Result<Choice, Box<Diagnosis>> {
        if self.variables.is_complete(set) {
            self.of_set(set, reason)
        } else {
            Err(Box::new(self.variables.lacking(set, &reason)))
        }
    }

    fn of_set(&self, set: Set, reason: String) -> Result<Choice, Box<Diagnosis>> {
        let mut choice = self.made(self.variables.plan(set), reason)?;
        if set == Set::ClientSecret && self.variables.is_begun(Set::WorkloadIdentity) {
            let note = "AZURE_CLIENT_SECRET is used, and hides the workload identity that is set up as well.";
            choice.caveat = Caveat::of(Code::SecretShadowsWorkloadIdentity, vec![note.to_owned()]);
        }
        Ok(choice)
    }

    fn azure_cli(&self, reason: String) -> Result<Choice, Box<Diagnosis>> {
        match &self.files.azure_cli {
            Some(program) => self.made(
                Plan::AzureCli {
                    program: program.clone(),
                },
                reason,
            ),
            None => Err(Box::new(Diagnosis::of(
                Code::AzureCliMissing,
                "The Azure CLI cannot be asked for a token: there is no az on the PATH.",
                &[],
            ))),
        }
    }

    fn made(&self, plan: Plan, reason: String) -> Result<Choice, Box<Diagnosis>> {
        let (client, tenant) = (self.variables.client_id, self.variables.tenant_id);
        let (client_id, tenant_id) = match &plan {
            Plan::ManagedIdentity(UserAssigned::ClientId(id)) => (Some(id.as_str()), None),
            Plan::ManagedIdentity(_) => (None, None),
            Plan::AzureCli { .. } => (None, tenant),
            _ => (client, tenant),
        };
        Ok(Choice {
            cloud: self.cloud.clone(),
            info: IdentityInfo {
                method: plan.method(),
                client_id: client_id.map(str::to_owned),
                tenant_id: tenant_id.map(str::to_owned).map(checked_tenant).transpose()?,
                subject: None,
            },
            plan,
            reason,
            caveat: Caveat::default(),
            otherwise: None,
        })
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
