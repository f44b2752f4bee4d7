//! Azure clouds: where Entra is, and how vaults are called there.

use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::AllowedTenants;
use super::choice::Files;
use crate::diagnosis::{Diagnosis, Explanation, case};
use crate::environment::Environment;
use crate::environment::common::{AZURE_AUTHORITY_HOST, AZURE_ENVIRONMENT, AZURE_ENVIRONMENT_FILEPATH};
use crate::reference::VaultName;
use crate::secret::SecretBytes;

/// The address of the instance metadata service on every Azure node.
const IMDS: &str = "http://169.254.169.254/";

/// One of Microsoft's clouds.
struct Known {
    /// The names that `AZURE_ENVIRONMENT` takes.
    names: &'static [&'static str],
    authority: &'static str,
    vault_suffix: &'static str,
    registry_suffix: Option<&'static str>,
    management: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        names: &["AzurePublicCloud", "AzureCloud"],
        authority: "https://login.microsoftonline.com/",
        vault_suffix: "vault.azure.net",
        registry_suffix: Some("azurecr.io"),
        management: "https://management.azure.com",
    },
    Known {
        names: &["AzureUSGovernmentCloud", "AzureUSGovernment"],
        authority: "https://login.microsoftonline.us/",
        vault_suffix: "vault.usgovcloudapi.net",
        registry_suffix: Some("azurecr.us"),
        management: "https://management.usgovcloudapi.net",
    },
    Known {
        names: &["AzureChinaCloud"],
        authority: "https://login.chinacloudapi.cn/",
        vault_suffix: "vault.azure.cn",
        registry_suffix: Some("azurecr.cn"),
        management: "https://management.chinacloudapi.cn",
    },
    Known {
        names: &["AzureGermanCloud"],
        authority: "https://login.microsoftonline.de/",
        vault_suffix: "vault.microsoftazure.de",
        registry_suffix: None,
        management: "https://management.microsoftazure.de",
    },
];

/// The name that means "as described by the file".
const FROM_FILE: &str = "AzureStackCloud";

/// How the container registries (ACR) of a cloud are called, and what they take tokens for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerRegistries {
    /// What follows a registry's name and a dot: `azurecr.io`; may carry `:port`.
    pub suffix: String,
    /// The resource tokens are made for, that of Azure's management: `https://management.azure.com`, without a slash at the end.
    pub audience: String,
}

impl ContainerRegistries {
    /// As a cloud file has it: `None` when one of both is missing or is not what it should be (`N/A` stands for nothing there).
    fn of(suffix: Option<&str>, management: Option<&str>) -> Option<Self> {
        let suffix = suffix?.trim_start_matches('.').to_ascii_lowercase();
        let url = Url::parse(&format!("https://registry.{suffix}/")).ok()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        // Nothing was taken for something else than a part of the host.
        let host = url
            .host_str()?
            .strip_prefix("registry.")
            .filter(|host| !host.is_empty())?;
        let audience = https("resourceManagerEndpoint", management?).ok()?;
        (format!("{host}{port}") == suffix).then(|| Self {
            suffix,
            audience: audience.as_str().trim_end_matches('/').to_owned(),
        })
    }
}

/// One Azure cloud.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cloud {
    /// Its name, as in `AZURE_ENVIRONMENT`: `AzurePublicCloud`.
    pub name: String,
    /// Entra's token endpoints live under it: `https://login.microsoftonline.com/`.
    pub authority_host: Url,
    /// What follows a vault's name and a dot: `vault.azure.net`; may carry `:port`.
    pub vault_suffix: String,
    /// The resource tokens for vaults are made for: `https://vault.azure.net`, without a slash at the end.
    pub vault_audience: String,
    /// Its container registries (ACR); `None` where there are none.
    pub registries: Option<ContainerRegistries>,
    /// The instance metadata service: `http://169.254.169.254/`.
    pub imds_endpoint: Url,
    /// In which tenants besides its own an application may ask for tokens there.
    pub allowed_tenants: AllowedTenants,
}

impl Cloud {
    /// The cloud that `AZURE_ENVIRONMENT` names (without regard to case; unset = public), or that the JSON file at
    /// `AZURE_ENVIRONMENT_FILEPATH` describes (name `AzureStackCloud`, or no name at all).
    ///
    /// `AZURE_AUTHORITY_HOST`, which the workload identity webhook sets, replaces the authority of a named cloud.
    ///
    /// `AZURE_ADDITIONALLY_ALLOWED_TENANTS` and `AZURE_AUXILIARY_TENANT_IDS`: see [`AllowedTenants`].
    ///
    /// Waits for the file, however long: for programs that do one thing.
    pub fn from_environment(environment: &Environment) -> Result<Self, Box<Diagnosis>> {
        let read = |path: &Path| {
            let text = std::fs::read(path).map(SecretBytes::new);
            text.map_err(|error| error.to_string())
        };
        Self::described(environment, read)
    }

    /// The same with the file as it was found.
    pub(super) fn found(environment: &Environment, files: &Files) -> Result<Self, Box<Diagnosis>> {
        Self::described(environment, |_| match &files.cloud {
            Some(file) => file.content.clone(),
            None => Err("it was not read".to_owned()),
        })
    }

    fn described(
        environment: &Environment,
        read: impl Fn(&Path) -> Result<SecretBytes, String>,
    ) -> Result<Self, Box<Diagnosis>> {
        let described = |path: &Path| Self::of_file(path, read(path));
        Ok(Self {
            allowed_tenants: AllowedTenants::from_environment(environment),
            ..Self::by_variables(environment, described)?
        })
    }

    fn by_variables(
        environment: &Environment,
        from_file: impl Fn(&Path) -> Result<Self, Box<Diagnosis>>,
    ) -> Result<Self, Box<Diagnosis>> {
        let name = environment.get(AZURE_ENVIRONMENT);
        let file = environment.path(AZURE_ENVIRONMENT_FILEPATH);
        match (name, file) {
            (None, Some(path)) => from_file(&path),
            (Some(name), Some(path)) if name.eq_ignore_ascii_case(FROM_FILE) => from_file(&path),
            (Some(name), None) if name.eq_ignore_ascii_case(FROM_FILE) => Err(unusable(
                "AZURE_ENVIRONMENT is AzureStackCloud, but no file describes it.",
                case::CloudFileNotNamed,
            )
            .into()),
            (name, _) => {
                let mut cloud = Self::named(name.unwrap_or("AzurePublicCloud"))?;
                if let Some(host) = environment.get(AZURE_AUTHORITY_HOST) {
                    cloud.authority_host = authority("AZURE_AUTHORITY_HOST", host)?;
                }
                Ok(cloud)
            }
        }
    }

    /// One of Microsoft's clouds, by any of its names.
    pub fn named(name: &str) -> Result<Self, Box<Diagnosis>> {
        let found = KNOWN
            .iter()
            .find(|known| known.names.iter().any(|it| it.eq_ignore_ascii_case(name)));
        let Some(known) = found else {
            return Err(unusable(
                format!("AZURE_ENVIRONMENT names no Azure cloud: {name:?}."),
                case::CloudNameUnknown,
            )
            .into());
        };
        Ok(Self {
            name: known.names[0].to_owned(),
            authority_host: constant(known.authority),
            vault_suffix: known.vault_suffix.to_owned(),
            vault_audience: format!("https://{}", known.vault_suffix),
            registries: ContainerRegistries::of(known.registry_suffix, Some(known.management)),
            imds_endpoint: constant(IMDS),
            allowed_tenants: AllowedTenants::default(),
        })
    }

    fn of_file(path: &Path, text: Result<SecretBytes, String>) -> Result<Self, Box<Diagnosis>> {
        let text = text.map_err(|error| {
            unusable(
                format!("The cloud file {} cannot be read.", path.display()),
                case::CloudFileUnusable { error: &error },
            )
        })?;
        Self::parse(text.expose()).map_err(|mut diagnosis| {
            diagnosis.what = format!("The cloud file {} cannot be used.", path.display());
            diagnosis
        })
    }

    /// Parses the JSON of a cloud file: the environment file of go-autorest, with the optional key `imdsEndpoint` of our
    /// own. Addresses may carry ports.
    pub fn parse(json: &[u8]) -> Result<Self, Box<Diagnosis>> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        let file: CloudFile = serde_json::from_slice(json).map_err(|error| {
            unusable(
                "The cloud file is malformed.",
                case::CloudFileUnusable { error: &error },
            )
        })?;
        let suffix = file.suffix.trim_start_matches('.').to_ascii_lowercase();
        let example = Url::parse(&format!("https://vault.{suffix}/"))
            .ok()
            .filter(|url| url.path() == "/" && url.query().is_none() && url.username().is_empty());
        let Some(host) = example
            .as_ref()
            .and_then(Url::host_str)
            .and_then(|host| host.strip_prefix("vault."))
            .filter(|host| !host.is_empty())
        else {
            return Err(unusable("The cloud file is malformed.", case::VaultSuffixMalformed).into());
        };
        let audience = file
            .resources
            .vault
            .filter(|resource| resource != "N/A" && !resource.is_empty())
            .unwrap_or_else(|| format!("https://{host}"));
        Ok(Self {
            name: file
                .name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| FROM_FILE.to_owned()),
            authority_host: authority("activeDirectoryEndpoint", &file.authority)?,
            vault_audience: https("resourceIdentifiers.keyVault", &audience)
                .map(|_| audience.trim_end_matches('/').to_owned())?,
            imds_endpoint: match &file.imds {
                Some(address) => with_scheme("imdsEndpoint", address, &["http"])?,
                None => constant(IMDS),
            },
            vault_suffix: suffix,
            registries: ContainerRegistries::of(file.registry_suffix.as_deref(), file.management.as_deref()),
            allowed_tenants: AllowedTenants::default(),
        })
    }

    /// Where `vault` answers: `https://myvault.vault.azure.net/`.
    ///
    /// # Panics
    /// Only when `vault_suffix` was changed to what is no DNS suffix; the constructors check it.
    pub fn vault_url(&self, vault: &VaultName) -> Url {
        Url::parse(&format!("https://{vault}.{}/", self.vault_suffix)).expect("name and suffix were both checked")
    }
}

/// The keys that are read; all others are ignored.
#[derive(Deserialize)]
struct CloudFile {
    name: Option<String>,
    #[serde(rename = "activeDirectoryEndpoint")]
    authority: String,
    #[serde(rename = "keyVaultDNSSuffix")]
    suffix: String,
    #[serde(rename = "containerRegistryDNSSuffix")]
    registry_suffix: Option<String>,
    #[serde(rename = "resourceManagerEndpoint")]
    management: Option<String>,
    #[serde(rename = "resourceIdentifiers", default)]
    resources: Resources,
    #[serde(rename = "imdsEndpoint")]
    imds: Option<String>,
}

#[derive(Deserialize, Default)]
struct Resources {
    #[serde(rename = "keyVault")]
    vault: Option<String>,
}

/// Entra's address: a host alone. AD FS, in its place on some Azure Stacks, is told by its path.
fn authority(name: &str, text: &str) -> Result<Url, Box<Diagnosis>> {
    let url = https(name, text)?;
    if url.path() == "/" {
        return Ok(url);
    }
    let what = format!("{name} cannot be used.");
    if url.path().starts_with("/adfs") {
        return Err(unusable(what, case::AuthorityIsAdfs).into());
    }
    let path = &format_args!("{:?}", url.path());
    Err(unusable(what, case::AuthorityHasPath { path }).into())
}

fn https(name: &str, text: &str) -> Result<Url, Box<Diagnosis>> {
    with_scheme(name, text, &["https"])
}

fn with_scheme(name: &str, text: &str, schemes: &[&str]) -> Result<Url, Box<Diagnosis>> {
    let mut url = Url::parse(text)
        .ok()
        .filter(|url| schemes.contains(&url.scheme()) && url.has_host())
        .ok_or_else(|| {
            unusable(
                format!("{name} cannot be used."),
                case::AddressMalformed {
                    schemes: &schemes.join(":// or "),
                },
            )
        })?;
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn constant(url: &str) -> Url {
    Url::parse(url).expect("a constant URL")
}

fn unusable(what: impl Into<String>, why: impl Into<Explanation>) -> Diagnosis {
    Diagnosis::case(why, what)
}

#[cfg(test)]
mod tests;
