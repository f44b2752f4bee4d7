//! State written down: the YAML file of `testbed emulator`, and the body of the admin API's `POST /state`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::crypto::{self, Curve, KeyType};
use super::entra::{ClientSecret, FederatedCredential};
use super::fault::Fault;
use super::vault::{AttributeChange, CertificatePolicy, Firewall, Policy, Role, SecretOptions, Tags};
use super::{EntraHandle, ImdsHandle, Limit, Principal, Shared, VaultHandle};

/// What shall be there. Applying adds to what is there: an equal app or user is replaced, a secret gets a new version.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Seed {
    /// Tenants besides the default one, by id.
    tenants: Vec<String>,
    /// Seconds.
    token_lifetime: Option<i64>,
    /// Resources tokens are issued for besides vaults.
    resources: Vec<String>,
    /// Authorities (PEM) of the servers of federated issuers.
    issuer_cas: Vec<String>,
    apps: Vec<App>,
    users: Vec<User>,
    managed_identities: ManagedIdentities,
    vaults: Vec<Vault>,
    faults: Vec<Fault>,
}

/// A name to refer to, and ids; absent ids are random.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct App {
    name: String,
    tenant_id: Option<String>,
    client_id: Option<String>,
    object_id: Option<String>,
    #[serde(default)]
    secrets: Vec<ClientSecret>,
    /// PEM.
    #[serde(default)]
    certificates: Vec<String>,
    #[serde(default)]
    federated_credentials: Vec<FederatedCredential>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct User {
    name: String,
    password: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ManagedIdentities {
    system: Option<Identity>,
    user_assigned: Vec<Identity>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Identity {
    name: String,
    client_id: Option<String>,
    object_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vault {
    name: String,
    tenant_id: Option<String>,
    #[serde(default)]
    roles: Vec<Assignment>,
    #[serde(default)]
    policies: Vec<PolicyAssignment>,
    firewall: Option<Firewall>,
    limit: Option<Limit>,
    #[serde(default)]
    secrets: Vec<Secret>,
    #[serde(default)]
    keys: Vec<Key>,
    #[serde(default)]
    certificates: Vec<Certificate>,
}

/// `principal` is the name of an app, user or managed identity of a seed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    principal: String,
    role: Role,
}

#[derive(Debug, Deserialize)]
struct PolicyAssignment {
    principal: String,
    #[serde(flatten)]
    policy: Policy,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Secret {
    name: String,
    value: String,
    content_type: Option<String>,
    #[serde(default)]
    tags: Tags,
    #[serde(default)]
    attributes: AttributeChange,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Key {
    name: String,
    /// Bits of an RSA key.
    size: Option<u32>,
    /// Curve of an EC key.
    curve: Option<String>,
}

/// Made by a policy, or imported.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    name: String,
    policy: Option<CertificatePolicy>,
    /// PEM, or base64 of a PFX.
    import: Option<String>,
    #[serde(default)]
    password: String,
}

/// Principals by the names seeds gave them.
pub(crate) type Names = BTreeMap<String, Principal>;

/// The ids that applying a seed led to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// All principals that have names, of this and of earlier seeds.
    pub principals: BTreeMap<String, Principal>,
    /// The faults of this seed.
    pub faults: Vec<super::FaultId>,
}

impl Seed {
    /// Reads YAML or JSON.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        // By way of JSON: YAML would want tags (`!reset`) where JSON has objects.
        let value: Value = serde_yaml::from_str(text).context("this is not YAML")?;
        let value = if value.is_null() { json!({}) } else { value };
        serde_json::from_value(value).context("this does not describe an emulator's state")
    }

    /// Applies everything; takes as long as the keys and certificates in it.
    pub(crate) fn apply(self, shared: &Arc<Shared>) -> anyhow::Result<Applied> {
        let entra = EntraHandle(shared.clone());
        self.tenants.iter().for_each(|tenant| entra.add_tenant(tenant));
        self.token_lifetime
            .iter()
            .for_each(|seconds| entra.set_token_lifetime(*seconds));
        self.resources.iter().for_each(|resource| entra.add_resource(resource));
        self.issuer_cas.iter().for_each(|pem| entra.trust_issuer_ca(pem));
        for app in self.apps {
            let name = app.name.clone();
            let principal = app.apply(&entra).with_context(|| format!("app {name}"))?;
            shared.names().insert(name, principal);
        }
        for user in self.users {
            let principal = entra.add_user(&user.name, &user.password);
            shared.names().insert(user.name, principal);
        }
        self.managed_identities.apply(shared);
        for vault in self.vaults {
            let name = vault.name.clone();
            vault.apply(shared).with_context(|| format!("vault {name}"))?;
        }
        let faults = self.faults.into_iter().map(|fault| shared.faults.add(fault)).collect();
        Ok(Applied {
            principals: shared.names().clone(),
            faults,
        })
    }
}

/// Ids are compared in lower case.
fn id(given: Option<String>) -> String {
    given.map_or_else(crypto::random_uuid, |id| id.to_ascii_lowercase())
}

impl App {
    fn apply(self, entra: &EntraHandle) -> anyhow::Result<Principal> {
        let tenant_id = self
            .tenant_id
            .map_or_else(|| entra.tenant_id().to_owned(), |id| id.to_ascii_lowercase());
        let principal = Principal {
            tenant_id,
            client_id: id(self.client_id),
            object_id: id(self.object_id),
        };
        let app = entra.register(principal.clone());
        self.secrets
            .iter()
            .for_each(|secret| app.add_secret_with(&secret.value, secret.expires));
        for certificate in self.certificates {
            app.add_certificate(
                pem::parse(certificate)
                    .context("its certificate is not PEM")?
                    .contents(),
            );
        }
        self.federated_credentials
            .into_iter()
            .for_each(|credential| app.add_federated_credential(credential));
        Ok(principal)
    }
}

impl ManagedIdentities {
    fn apply(self, shared: &Arc<Shared>) {
        let imds = ImdsHandle(shared.clone());
        let principal = |identity: &Identity| Principal {
            tenant_id: shared.entra.default_tenant.clone(),
            client_id: id(identity.client_id.clone()),
            object_id: id(identity.object_id.clone()),
        };
        if let Some(identity) = self.system {
            let principal = principal(&identity);
            imds.set_system_identity(principal.clone());
            shared.names().insert(identity.name, principal);
        }
        for identity in self.user_assigned {
            let principal = principal(&identity);
            imds.assign(principal.clone());
            shared.names().insert(identity.name, principal);
        }
    }
}

impl Vault {
    fn apply(self, shared: &Arc<Shared>) -> anyhow::Result<()> {
        let tenant = self.tenant_id.unwrap_or_else(|| shared.entra.default_tenant.clone());
        shared.vaults.register(&self.name, &tenant);
        let vault = VaultHandle {
            shared: shared.clone(),
            name: self.name,
        };
        let named = |name: &str| {
            let known = shared.names().get(name).cloned();
            known.ok_or_else(|| anyhow!("no app, user or managed identity has the name {name:?}"))
        };
        for assignment in self.roles {
            vault.grant(&named(&assignment.principal)?, assignment.role);
        }
        for assignment in self.policies {
            vault.set_policy(&named(&assignment.principal)?, assignment.policy);
        }
        if self.firewall.is_some() {
            vault.set_firewall(self.firewall);
        }
        if self.limit.is_some() {
            vault.set_limit(self.limit);
        }
        for secret in self.secrets {
            secret.apply(&vault)?;
        }
        for key in self.keys {
            key.apply(&vault)?;
        }
        for certificate in self.certificates {
            certificate.apply(&vault)?;
        }
        Ok(())
    }
}

impl Secret {
    fn apply(self, vault: &VaultHandle) -> anyhow::Result<()> {
        let options = SecretOptions {
            content_type: self.content_type,
            tags: self.tags,
            attributes: self.attributes,
            written_at: None,
        };
        vault
            .set_secret(&self.name, &self.value, options)
            .with_context(|| format!("secret {}", self.name))?;
        Ok(())
    }
}

impl Key {
    fn apply(self, vault: &VaultHandle) -> anyhow::Result<()> {
        let kind = match (self.size, self.curve.as_deref()) {
            (size, None) => KeyType::Rsa(size.unwrap_or(2048)),
            (None, Some(curve)) => KeyType::Ec(
                Curve::from_name(curve).with_context(|| format!("key {}: {curve} is not a curve", self.name))?,
            ),
            (Some(_), Some(_)) => bail!("key {}: write size (RSA) or curve (EC), not both", self.name),
        };
        vault
            .create_key(&self.name, kind)
            .with_context(|| format!("key {}", self.name))?;
        Ok(())
    }
}

impl Certificate {
    fn apply(self, vault: &VaultHandle) -> anyhow::Result<()> {
        let made = match (self.policy, self.import) {
            (Some(policy), None) => vault.create_certificate(&self.name, &policy),
            (None, Some(content)) => vault.import_certificate(&self.name, &content, &self.password, true),
            _ => bail!("certificate {}: write either policy or import", self.name),
        };
        made.with_context(|| format!("certificate {}", self.name))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_a_file_are_named() {
        assert!(Seed::parse("").is_ok());
        assert!(Seed::parse("vaults: [{name: a, secretz: []}]").is_err());
        let error = Seed::parse("faults: [{kind: explode}]").unwrap_err();
        assert!(format!("{error:#}").contains("explode"), "{error:#}");
    }

    #[test]
    fn the_documented_example_is_understood() {
        let page = include_str!("../../../docs/emulator.md");
        let example = page.split("```yaml").nth(1).unwrap().split("```").next().unwrap();
        let seed = Seed::parse(example).unwrap();
        assert_eq!((seed.apps.len(), seed.vaults.len(), seed.faults.len()), (1, 2, 1));
    }

    #[test]
    fn faults_and_roles_are_written_without_yaml_tags() {
        let text = r"
            vaults: [{name: v, roles: [{principal: p, role: Key Vault Secrets User},
                                       {principal: p, role: {custom: [secrets/getSecret/action]}}]}]
            faults:
              - {service: {vault: v}, operations: [SecretGet], kind: {throttle: {retryAfter: 2}}, times: 3}
              - {service: imds, kind: reset, requests: any, probability: 0.5}
        ";
        let seed = Seed::parse(text).unwrap();
        assert_eq!((seed.vaults[0].roles.len(), seed.faults.len()), (2, 2));
        assert_eq!(seed.vaults[0].roles[0].role, Role::SecretsUser);
    }
}
