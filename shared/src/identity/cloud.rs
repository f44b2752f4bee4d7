//! Azure clouds: where Entra is, and how vaults are called there.

use url::Url;

use crate::diagnosis::{Code, Diagnosis};
use crate::environment::Environment;

/// One Azure cloud.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cloud {
    /// Its name, as in `AZURE_ENVIRONMENT`: `AzurePublicCloud`.
    pub name: String,
    /// Entra's token endpoints live under it: `https://login.microsoftonline.com/`.
    pub authority_host: Url,
    /// What follows a vault's name and a dot: `vault.azure.net`; may carry `:port`.
    pub vault_suffix: String,
    /// The resource tokens for vaults are made for: `https://vault.azure.net`.
    pub vault_audience: String,
    /// The instance metadata service: `http://169.254.169.254/`.
    pub imds_endpoint: Url,
}

impl Cloud {
    /// The cloud that `AZURE_ENVIRONMENT` names (without regard to case; unset = public), or that the JSON file at
    /// `AZURE_ENVIRONMENT_FILEPATH` describes.
    pub fn from_environment(_environment: &Environment) -> Result<Self, Box<Diagnosis>> {
        Err(Box::new(Diagnosis::new(
            Code::CloudConfigUnreadable,
            "Clouds are not there yet.",
            "They are being written.",
            "Wait for their author.",
        )))
    }
}
