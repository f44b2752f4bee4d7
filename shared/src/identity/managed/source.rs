//! Where a managed identity's tokens are asked for, and in which form: decided by variables alone.
//!
//! Forms: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>.

use std::net::IpAddr;

use url::{Host, Url};

use crate::diagnosis::{Code, Diagnosis, case};
use crate::environment::common::{
    IDENTITY_ENDPOINT, IDENTITY_HEADER, IDENTITY_SERVER_THUMBPRINT, IMDS_ENDPOINT, MSI_ENDPOINT, MSI_SECRET,
};
use crate::environment::{Environment, Variable};
use crate::identity::Cloud;
use crate::secret::SecretBytes;

/// How a token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// The instance metadata service of a virtual machine, or what aad-pod-identity puts in its place.
    Imds,
    /// App Service, Functions, Container Apps: `IDENTITY_ENDPOINT` and `IDENTITY_HEADER`.
    AppService,
    /// App Service before 2019: `MSI_ENDPOINT` and `MSI_SECRET`.
    OldAppService,
}

/// A token endpoint of the platform.
pub(super) struct Source {
    pub(super) form: Form,
    /// The whole address, without its query.
    pub(super) endpoint: Url,
    /// What proves that the caller is local: `IDENTITY_HEADER`, `MSI_SECRET`.
    pub(super) proof: Option<SecretBytes>,
}

impl Source {
    /// Decides by the variables that platforms set, newest first; none of them = the instance metadata service.
    pub(super) fn from_environment(environment: &Environment, cloud: &Cloud) -> Result<Self, Box<Diagnosis>> {
        let get = |variable| environment.get(variable);
        match (get(IDENTITY_ENDPOINT), get(IDENTITY_HEADER)) {
            (Some(_), _) if get(IMDS_ENDPOINT).is_some() => Err(unsupported("Azure Arc", IMDS_ENDPOINT).into()),
            (Some(_), Some(_)) if get(IDENTITY_SERVER_THUMBPRINT).is_some() => {
                Err(unsupported("Service Fabric", IDENTITY_SERVER_THUMBPRINT).into())
            }
            (Some(endpoint), Some(proof)) => Self::with_proof(Form::AppService, IDENTITY_ENDPOINT, endpoint, proof),
            (Some(_), None) => Err(half(IDENTITY_ENDPOINT, IDENTITY_HEADER).into()),
            (None, Some(_)) => Err(half(IDENTITY_HEADER, IDENTITY_ENDPOINT).into()),
            (None, None) => match (get(MSI_ENDPOINT), get(MSI_SECRET)) {
                (Some(endpoint), Some(proof)) => Self::with_proof(Form::OldAppService, MSI_ENDPOINT, endpoint, proof),
                (Some(_), None) => Err(unsupported("Azure Cloud Shell", MSI_ENDPOINT).into()),
                (None, _) => Ok(Self::imds(&cloud.imds_endpoint)),
            },
        }
    }

    /// The instance metadata service at `base`.
    pub(super) fn imds(base: &Url) -> Self {
        let endpoint = base
            .join("metadata/identity/oauth2/token")
            .unwrap_or_else(|_| base.clone());
        Self {
            form: Form::Imds,
            endpoint,
            proof: None,
        }
    }

    fn with_proof(form: Form, variable: Variable, endpoint: &str, proof: &str) -> Result<Self, Box<Diagnosis>> {
        let endpoint = Url::parse(endpoint)
            .ok()
            .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_local(url)))
            .ok_or_else(|| unusable(variable))?;
        Ok(Self {
            form,
            endpoint,
            proof: Some(proof.into()),
        })
    }
}

/// Whether what is sent there stays on this machine: loopback and link-local addresses, `localhost`.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback() || address.is_unicast_link_local(),
        None => false,
    }
}

fn unsupported(platform: &str, variable: Variable) -> Diagnosis {
    let unsupported = case::PlatformUnsupported {
        platform: &platform,
        variable: &variable.name(),
    };
    Diagnosis::case(
        unsupported,
        format!("The managed identity of {platform} is not supported."),
    )
}

fn half(present: Variable, missing: Variable) -> Diagnosis {
    let what = format!("{present} is set, but {missing} is not.");
    Diagnosis::of(Code::AppServiceIdentityMissing, what, &[])
}

fn unusable(variable: Variable) -> Diagnosis {
    Diagnosis::case(case::EndpointNotLocal, format!("{variable} cannot be used."))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("IDENTITY_ENDPOINT", "http://169.254.130.2:8081/msi/token");
    const HEADER: (&str, &str) = ("IDENTITY_HEADER", "h");
    const OLD_ENDPOINT: (&str, &str) = ("MSI_ENDPOINT", "http://127.0.0.1:41056/MSI/token/");
    const OLD_SECRET: (&str, &str) = ("MSI_SECRET", "s");

    fn source(variables: &[(&str, &str)]) -> Result<Source, Box<Diagnosis>> {
        let cloud = Cloud::named("AzurePublicCloud").unwrap();
        Source::from_environment(&variables.iter().copied().collect(), &cloud)
    }

    #[test]
    fn the_platforms_variables_decide_the_form() {
        for (variables, form, endpoint) in [
            (
                &[][..],
                Form::Imds,
                "http://169.254.169.254/metadata/identity/oauth2/token",
            ),
            (&[ENDPOINT, HEADER], Form::AppService, ENDPOINT.1),
            (
                &[ENDPOINT, HEADER, OLD_ENDPOINT, OLD_SECRET],
                Form::AppService,
                ENDPOINT.1,
            ),
            (&[OLD_ENDPOINT, OLD_SECRET], Form::OldAppService, OLD_ENDPOINT.1),
        ] {
            let source = source(variables).ok().unwrap();
            assert_eq!(
                (source.form, source.endpoint.as_str()),
                (form, endpoint),
                "{variables:?}"
            );
            assert_eq!(source.proof.is_some(), form != Form::Imds);
        }
    }

    #[test]
    fn platforms_that_are_not_supported_are_named() {
        let thumbprint = ("IDENTITY_SERVER_THUMBPRINT", "AB");
        let arc = ("IMDS_ENDPOINT", "http://localhost:40342");
        for (variables, name) in [
            (&[ENDPOINT, arc][..], "Azure Arc"),
            (&[ENDPOINT, HEADER, thumbprint], "Service Fabric"),
            (&[OLD_ENDPOINT], "Cloud Shell"),
        ] {
            let diagnosis = source(variables).err().unwrap();
            assert_eq!(diagnosis.code, Code::AuthMethodUnsupported);
            assert!(diagnosis.what.contains(name), "{diagnosis}");
        }
    }

    #[test]
    fn half_a_set_is_named_not_skipped() {
        for (variables, missing) in [(&[ENDPOINT], "IDENTITY_HEADER"), (&[HEADER], "IDENTITY_ENDPOINT")] {
            let diagnosis = source(variables).err().unwrap();
            assert_eq!(diagnosis.code, Code::AppServiceIdentityMissing);
            assert!(diagnosis.what.contains(&format!("but {missing} is not")), "{diagnosis}");
        }
    }

    #[test]
    fn the_proof_of_locality_is_not_sent_away_in_clear() {
        for endpoint in [
            "http://10.0.0.1/msi/token",
            "http://evil.example/msi/token",
            "http://localhost.evil.example/",
            "file:///etc/passwd",
            "not a url",
        ] {
            assert!(
                source(&[("IDENTITY_ENDPOINT", endpoint), HEADER]).is_err(),
                "{endpoint}"
            );
        }
        for endpoint in ["http://localhost:42356/msi/token", "https://sf.example:2377/token"] {
            assert!(source(&[("IDENTITY_ENDPOINT", endpoint), HEADER]).is_ok(), "{endpoint}");
        }
    }
}
