//! `AUTH_TYPE`: the way to authenticate that somebody asked for.

use crate::diagnosis::{Code, Diagnosis, Explanation, case};
use crate::environment::Environment;
use crate::environment::common::{AUTH_TYPE, AZURE_TOKEN_CREDENTIALS};

/// A way to authenticate, or an order in which several are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// What the node's cloud configuration file (`azure.json`) says; upstream's default.
    AzureCloudConfig,
    /// Upstream's order: client secret, client certificate, user name and password, managed identity.
    Environment,
    /// The order of Microsoft's `DefaultAzureCredential`: environment, workload identity, managed identity, Azure CLI.
    EnvironmentAzidentity,
    /// The pod's ServiceAccount token, exchanged at Entra.
    WorkloadIdentity,
    /// The identity of the node or container.
    ManagedIdentity,
    /// `AZURE_CLIENT_SECRET`.
    ClientSecret,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`, or upstream's `AZURE_CERTIFICATE_PATH`.
    ClientCertificate,
    /// Whoever is logged in to the Azure CLI.
    AzureCli,
}

impl AuthType {
    /// Every value, upstream's first.
    pub const ALL: &[Self] = &[
        Self::AzureCloudConfig,
        Self::Environment,
        Self::EnvironmentAzidentity,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::ClientSecret,
        Self::ClientCertificate,
        Self::AzureCli,
    ];

    /// The value as written in `AUTH_TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AzureCloudConfig => "azureCloudConfig",
            Self::Environment => "environment",
            Self::EnvironmentAzidentity => "environment-azidentity",
            Self::WorkloadIdentity => "workloadIdentity",
            Self::ManagedIdentity => "managedIdentity",
            Self::ClientSecret => "clientSecret",
            Self::ClientCertificate => "clientCertificate",
            Self::AzureCli => "azureCli",
        }
    }

    /// What `AUTH_TYPE` says; unset means `azureCloudConfig`, as upstream.
    pub fn from_environment(environment: &Environment) -> Result<Self, Box<Diagnosis>> {
        environment
            .get(AUTH_TYPE)
            .map_or(Ok(Self::AzureCloudConfig), Self::parse)
    }

    fn parse(text: &str) -> Result<Self, Box<Diagnosis>> {
        if let Some(known) = Self::ALL.iter().find(|known| known.as_str() == text) {
            return Ok(*known);
        }
        let known: Vec<_> = Self::ALL.iter().map(|known| known.as_str()).collect();
        let expected = known.join(", ");
        Err(Box::new(match &needs_a_person(text) {
            Some(tool) => Diagnosis::case(
                case::PersonNeeded {
                    tool,
                    expected: &expected,
                },
                format!("{AUTH_TYPE}={text} cannot work here."),
            ),
            None => Diagnosis::of(
                Code::AuthTypeUnknown,
                format!("{AUTH_TYPE}={text:?} is unknown."),
                &[("expected", &expected)],
            ),
        }))
    }
}

/// The tool behind names under which SDKs and other projects know ways to sign in that this program never offers.
fn needs_a_person(name: &str) -> Option<&'static str> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let plain = plain.to_ascii_lowercase();
    let tool = match plain.strip_suffix("credential").unwrap_or(&plain) {
        "powershell" | "azurepowershell" | "azpowershell" => "Azure PowerShell",
        "azd" | "azuredevelopercli" => "The Azure Developer CLI",
        "browser" | "interactive" | "interactivebrowser" => "The browser",
        "devicecode" => "A device code",
        "broker" | "visualstudio" | "visualstudiocode" | "vscode" => "An editor's or desktop's login",
        _ => return None,
    };
    Some(tool)
}

/// Which links of the `environment-azidentity` chain are looked at: Microsoft's variable `AZURE_TOKEN_CREDENTIALS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "any of the links can be there without the others"
)]
pub(super) struct Links {
    pub(super) environment: bool,
    pub(super) workload_identity: bool,
    pub(super) managed_identity: bool,
    pub(super) azure_cli: bool,
}

impl Links {
    /// `prod`, `dev`, or the name of one credential, without regard to case; unset means all.
    pub(super) fn from_environment(environment: &Environment) -> Result<Self, Box<Diagnosis>> {
        const NONE: Links = Links {
            environment: false,
            workload_identity: false,
            managed_identity: false,
            azure_cli: false,
        };
        let Some(text) = environment.get(AZURE_TOKEN_CREDENTIALS) else {
            return Ok(Self {
                environment: true,
                workload_identity: true,
                managed_identity: true,
                azure_cli: true,
            });
        };
        match text.to_ascii_lowercase().as_str() {
            "prod" => Ok(Self {
                environment: true,
                workload_identity: true,
                managed_identity: true,
                ..NONE
            }),
            "environmentcredential" => Ok(Self {
                environment: true,
                ..NONE
            }),
            "workloadidentitycredential" => Ok(Self {
                workload_identity: true,
                ..NONE
            }),
            "managedidentitycredential" => Ok(Self {
                managed_identity: true,
                ..NONE
            }),
            "dev" | "azureclicredential" => Ok(Self {
                azure_cli: true,
                ..NONE
            }),
            _ => {
                let why: Explanation = match &needs_a_person(text) {
                    Some(tool) => case::ChainLinkNeedsPerson { tool }.into(),
                    None => case::ChainLinkUnknown.into(),
                };
                let what = format!("AZURE_TOKEN_CREDENTIALS={text:?} cannot be followed.");
                Err(Box::new(Diagnosis::case(why, what)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<AuthType, Code> {
        AuthType::from_environment(&Environment::from_iter([("AUTH_TYPE", text)])).map_err(|it| it.code)
    }

    #[test]
    fn every_value_is_understood_and_unset_is_upstreams_default() {
        for known in AuthType::ALL {
            assert_eq!(parsed(known.as_str()), Ok(*known));
        }
        assert_eq!(parsed(""), Ok(AuthType::AzureCloudConfig));
    }

    #[test]
    fn what_needs_a_person_is_told_from_what_is_misspelt() {
        for text in [
            "azurePowerShell",
            "PowerShell",
            "azd",
            "AzureDeveloperCliCredential",
            "interactiveBrowser",
            "deviceCode",
        ] {
            assert_eq!(parsed(text), Err(Code::AuthMethodUnsupported), "{text}");
        }
        for text in ["magic", "Environment", "WORKLOADIDENTITY"] {
            assert_eq!(parsed(text), Err(Code::AuthTypeUnknown), "{text}");
        }
    }

    #[test]
    fn the_chain_is_as_long_as_microsofts_variable_says() {
        let links = |text| {
            let links = Links::from_environment(&Environment::from_iter([("AZURE_TOKEN_CREDENTIALS", text)]));
            links
                .map(|it| [it.environment, it.workload_identity, it.managed_identity, it.azure_cli])
                .map_err(|it| it.code)
        };
        assert_eq!(links(""), Ok([true; 4]));
        assert_eq!(links("prod"), Ok([true, true, true, false]));
        assert_eq!(links("DEV"), Ok([false, false, false, true]));
        assert_eq!(links("ManagedIdentityCredential"), Ok([false, false, true, false]));
        assert_eq!(links("AzurePowerShellCredential"), Err(Code::AuthMethodUnsupported));
        assert_eq!(links("nonsense"), Err(Code::AuthMethodUnsupported));
    }
}
