//! In which tenant a token is asked for, when a vault lives in another than the identity.

use crate::environment::Environment;
use crate::environment::common::{AZURE_ADDITIONALLY_ALLOWED_TENANTS, AZURE_AUXILIARY_TENANT_IDS};

use super::{IdentityInfo, Method};

/// The tenants besides its own in which an application may ask for tokens.
///
/// A vault says which tenant it belongs to before anybody proved anything: without the operator's word a token is asked for
/// in the identity's own tenant only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct AllowedTenants {
    any: bool,
    /// In lower case.
    named: Vec<String>,
}

impl AllowedTenants {
    /// From `AZURE_ADDITIONALLY_ALLOWED_TENANTS` (Microsoft's SDKs) and `AZURE_AUXILIARY_TENANT_IDS` (akv2k8s): tenant ids,
    /// separated by semicolons or commas; `*` allows every tenant.
    pub fn from_environment(environment: &Environment) -> Self {
        let mut allowed = Self::default();
        for variable in [AZURE_ADDITIONALLY_ALLOWED_TENANTS, AZURE_AUXILIARY_TENANT_IDS] {
            let tenants = environment
                .get(variable)
                .unwrap_or_default()
                .split([';', ','])
                .map(str::trim);
            for tenant in tenants.filter(|tenant| !tenant.is_empty()) {
                match tenant {
                    "*" => allowed.any = true,
                    named => allowed.named.push(named.to_ascii_lowercase()),
                }
            }
        }
        allowed
    }

    fn allows(&self, tenant: &str) -> bool {
        self.any || self.named.iter().any(|named| named == tenant)
    }

    /// The tenant other than its own in which whoever `info` describes asks for a token for a vault of `vault_tenant`;
    /// `None` = its own.
    ///
    /// An application can exist in many tenants, and proves itself in each by the same credential. Managed identities,
    /// users and the Azure CLI's login stay what they are.
    pub(super) fn foreign(&self, info: &IdentityInfo, vault_tenant: Option<&str>) -> Option<String> {
        let own = info.tenant_id.as_deref()?;
        let wanted = vault_tenant?.to_ascii_lowercase();
        let application = is_application(info.method);
        (application && !own.eq_ignore_ascii_case(&wanted) && self.allows(&wanted)).then_some(wanted)
    }

    /// Whether a vault of `vault_tenant` takes none of the tokens that whoever `info` describes can have.
    pub(super) fn out_of_reach(&self, info: &IdentityInfo, vault_tenant: Option<&str>) -> bool {
        let (Some(own), Some(wanted)) = (info.tenant_id.as_deref(), vault_tenant) else {
            return false;
        };
        // A tenant written as a domain may be any.
        let differs = !own.contains('.') && !own.eq_ignore_ascii_case(wanted);
        differs && self.foreign(info, vault_tenant).is_none()
    }
}

fn is_application(method: Method) -> bool {
    match method {
        Method::ClientSecret | Method::ClientCertificate | Method::WorkloadIdentity => true,
        // A person is a guest in other tenants at best, and would be asked for consent there.
        Method::UsernamePassword | Method::AzureCli | Method::ManagedIdentity => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(method: Method, allowed: &str, own: Option<&str>, vault: Option<&str>) -> Option<String> {
        let environment = Environment::from_iter([("AZURE_ADDITIONALLY_ALLOWED_TENANTS", allowed)]);
        let info = IdentityInfo {
            method,
            client_id: Some("c".to_owned()),
            tenant_id: own.map(str::to_owned),
            subject: None,
        };
        AllowedTenants::from_environment(&environment).foreign(&info, vault)
    }

    #[test]
    fn an_application_goes_to_the_vaults_tenant_where_the_operator_allows_it() {
        for (allowed, vault, expected) in [
            ("", Some("t-2"), None),
            ("t-3", Some("t-2"), None),
            ("t-2", Some("t-2"), Some("t-2")),
            ("t-3; T-2", Some("t-2"), Some("t-2")),
            ("t-3,t-2", Some("T-2"), Some("t-2")),
            ("*", Some("t-2"), Some("t-2")),
            ("*", Some("T-1"), None),
            ("*", None, None),
        ] {
            for method in [Method::ClientSecret, Method::WorkloadIdentity] {
                let tenant = foreign(method, allowed, Some("t-1"), vault);
                assert_eq!(tenant.as_deref(), expected, "{allowed:?} {vault:?}");
            }
        }
    }

    #[test]
    fn the_names_of_both_generations_are_read() {
        let environment = Environment::from_iter([("AZURE_AUXILIARY_TENANT_IDS", "t-2;t-3")]);
        let allowed = AllowedTenants::from_environment(&environment);
        assert!(allowed.allows("t-3") && !allowed.allows("t-1"));
    }

    #[test]
    fn a_managed_identity_stays_at_home() {
        assert_eq!(foreign(Method::ManagedIdentity, "*", None, Some("t-2")), None);
        assert_eq!(foreign(Method::ManagedIdentity, "*", Some("t-1"), Some("t-2")), None);
    }
}
