//! Who may do what in a vault: tokens, RBAC roles, access policies, the firewall.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::VaultError;
use super::roles::{Policy, Role, data_action, permission};
use crate::emulator::entra::{Entra, Principal, issuer_of};
use crate::emulator::jwt::Jwt;
use crate::emulator::operation::{Action, Kind};

/// How a vault decides, by object id.
#[derive(Debug, Clone)]
pub(crate) enum Access {
    Roles(BTreeMap<String, Vec<Role>>),
    Policies(BTreeMap<String, Policy>),
}

/// Network rules that refuse every caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Firewall {
    /// Selected networks only: `ForbiddenByFirewall`.
    SelectedNetworks,
    /// Private endpoints only: `ForbiddenByConnection`.
    PrivateEndpoint,
}

/// Who a request's token says it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    app_id: String,
    object_id: String,
    issuer: String,
}

impl Caller {
    /// As the service writes callers in its messages.
    fn text(&self) -> String {
        format!("appid={};oid={};iss={}", self.app_id, self.object_id, self.issuer)
    }
}

/// Which tokens a vault believes.
pub(crate) struct Believed<'a> {
    /// Whose tokens.
    pub(crate) tenant_id: &'a str,
    /// For which resource.
    pub(crate) audience: &'a str,
}

/// Checks a token as the vault does: signature, issuer (the vault's tenant), audience, validity.
pub(crate) fn authenticate(
    entra: &Entra,
    believed: &Believed<'_>,
    token: Option<&str>,
    now: i64,
) -> Result<Caller, VaultError> {
    const GRACE: i64 = 300;
    let token = token.ok_or_else(|| VaultError::unauthorized("AKV10000: Request is missing a Bearer or PoP token."))?;
    let jwt = Jwt::parse(token).ok_or_else(|| VaultError::unauthorized("AKV10022: Invalid token: it is not a JWT."))?;
    if !jwt.verify(&entra.signing_jwk()) {
        return Err(VaultError::unauthorized(
            "AKV10046: Unable to resolve the key used for signature validation.",
        ));
    }
    let (expected, issuer) = (issuer_of(believed.tenant_id), jwt.claim("iss").unwrap_or(""));
    if issuer != expected {
        return Err(VaultError::unauthorized(format!(
            "AKV10032: Invalid issuer. Expected one of {expected}, found {issuer}."
        )));
    }
    let audiences = jwt.audiences();
    if !audiences
        .iter()
        .any(|audience| audience.trim_end_matches('/') == believed.audience)
    {
        return Err(VaultError::unauthorized(format!(
            "AKV10022: Invalid audience. Expected {}, found: {}.",
            believed.audience,
            audiences.join(", ")
        )));
    }
    let (from, until) = (jwt.time("nbf").unwrap_or(0), jwt.time("exp").unwrap_or(0));
    if now >= until || now + GRACE < from {
        return Err(VaultError::unauthorized(
            "[TokenExpired] Error validating token: 'S2S12086'.",
        ));
    }
    let claim = |name| jwt.claim(name).unwrap_or("").to_owned();
    Ok(Caller {
        app_id: claim("appid"),
        object_id: claim("oid"),
        issuer: issuer.to_owned(),
    })
}

/// What is asked of which object of which vault: enough to decide, and to explain a refusal.
pub(crate) struct Question<'a> {
    pub(crate) vault: &'a str,
    pub(crate) kind: Kind,
    pub(crate) action: Action,
    pub(crate) name: Option<&'a str>,
}

impl Access {
    pub(crate) fn authorize(&self, caller: &Caller, question: &Question<'_>) -> Result<(), VaultError> {
        match self {
            Self::Roles(roles) => {
                let action = data_action(question.kind, question.action);
                let granted = roles
                    .get(&caller.object_id)
                    .is_some_and(|roles| roles.iter().any(|r| r.allows(&action)));
                if granted {
                    Ok(())
                } else {
                    Err(forbidden_by_rbac(caller, question, &action))
                }
            }
            Self::Policies(policies) => {
                let permission = permission(question.action);
                let granted = policies
                    .get(&caller.object_id)
                    .is_some_and(|p| p.allows(question.kind, permission));
                if granted {
                    Ok(())
                } else {
                    Err(forbidden_by_policy(caller, question, permission))
                }
            }
        }
    }

    /// Grants a role; a vault that used access policies is switched to RBAC.
    pub(crate) fn grant(&mut self, principal: &Principal, role: Role) {
        if let Self::Policies(_) = self {
            *self = Self::Roles(BTreeMap::new());
        }
        if let Self::Roles(roles) = self {
            roles.entry(principal.object_id.clone()).or_default().push(role);
        }
    }

    /// Sets an access policy; a vault that used RBAC is switched to access policies.
    pub(crate) fn set_policy(&mut self, principal: &Principal, policy: Policy) {
        if let Self::Roles(_) = self {
            *self = Self::Policies(BTreeMap::new());
        }
        if let Self::Policies(policies) = self {
            policies.insert(principal.object_id.clone(), policy);
        }
    }

    pub(crate) fn revoke(&mut self, principal: &Principal) {
        match self {
            Self::Roles(roles) => drop(roles.remove(&principal.object_id)),
            Self::Policies(policies) => drop(policies.remove(&principal.object_id)),
        }
    }
}

fn forbidden_by_rbac(caller: &Caller, question: &Question<'_>, action: &str) -> VaultError {
    let vault = question.vault;
    let object = question
        .name
        .map(|name| format!("/{}/{name}", question.kind.segment()))
        .unwrap_or_default();
    let message = format!(
        "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
         definitions were changed recently, please observe propagation time.\r\nCaller: {}\r\nAction: \
         'Microsoft.KeyVault/vaults/{action}'\r\nResource: '{}{object}'\r\nAssignment: (not \
         found)\r\nDenyAssignmentId: null\r\nDecisionReason: null \r\nVault: {vault};location=westeurope\r\n",
        caller.text(),
        resource_id(vault),
    );
    VaultError::forbidden(message, "ForbiddenByRbac")
}

fn forbidden_by_policy(caller: &Caller, question: &Question<'_>, permission: &str) -> VaultError {
    let message = format!(
        "The user, group or application '{}' does not have {} {permission} permission on key vault \
         '{};location=westeurope'. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125287",
        caller.text(),
        question.kind.segment(),
        question.vault
    );
    VaultError::forbidden(message, "ForbiddenByPolicy")
}

/// Refuses a caller that comes from a network the vault does not admit.
pub(crate) fn forbidden_by_network(firewall: Firewall, caller: &Caller, vault: &str) -> VaultError {
    let (caller, vault) = (caller.text(), format!("Vault: {vault};location=westeurope"));
    match firewall {
        Firewall::SelectedNetworks => VaultError::forbidden(
            format!(
                "Client address is not authorized and caller is not a trusted service.\r\nClient address: \
                 203.0.113.7\r\nCaller: {caller}\r\n{vault}"
            ),
            "ForbiddenByFirewall",
        ),
        Firewall::PrivateEndpoint => VaultError::forbidden(
            format!(
                "Public network access is disabled and request is not from a trusted service nor via an approved \
                 private link.\r\nCaller: {caller}\r\n{vault}"
            ),
            "ForbiddenByConnection",
        ),
    }
}

/// The vault's resource id in the management plane, as it stands in 403 messages.
pub(crate) fn resource_id(vault: &str) -> String {
    format!(
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/emulator/providers/microsoft.keyvault/vaults/{vault}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(kind: Kind, action: Action) -> Question<'static> {
        Question {
            vault: "v",
            kind,
            action,
            name: Some("n"),
        }
    }

    fn caller(principal: &Principal) -> Caller {
        Caller {
            app_id: principal.client_id.clone(),
            object_id: principal.object_id.clone(),
            issuer: issuer_of(&principal.tenant_id),
        }
    }

    #[test]
    fn built_in_roles_allow_what_their_definitions_say() {
        let user = Principal::random("t");
        let rows = [
            (Role::SecretsUser, Kind::Secret, Action::Get, true),
            (Role::SecretsUser, Kind::Secret, Action::List, true),
            (Role::SecretsUser, Kind::Secret, Action::Set, false),
            (Role::SecretsUser, Kind::Certificate, Action::Get, false),
            (Role::Reader, Kind::Secret, Action::Get, false),
            (Role::Reader, Kind::Secret, Action::List, true),
            (Role::CertificateUser, Kind::Certificate, Action::Get, true),
            (Role::CertificateUser, Kind::Secret, Action::Get, true),
            (Role::CryptoUser, Kind::Key, Action::Get, true),
            (Role::CryptoUser, Kind::Secret, Action::Get, false),
            (Role::SecretsOfficer, Kind::Secret, Action::Purge, true),
            (Role::Administrator, Kind::Certificate, Action::Create, true),
            (
                Role::Custom(vec!["secrets/getSecret/action".into()]),
                Kind::Secret,
                Action::Get,
                true,
            ),
            (
                Role::Custom(vec!["secrets/getSecret/action".into()]),
                Kind::Secret,
                Action::List,
                false,
            ),
        ];
        for (role, kind, action, allowed) in rows {
            let mut access = Access::Roles(BTreeMap::new());
            access.grant(&user, role.clone());
            let answer = access.authorize(&caller(&user), &question(kind, action));
            assert_eq!(answer.is_ok(), allowed, "{role:?} {kind:?} {action:?}");
        }
    }

    #[test]
    fn policies_separate_get_from_list_and_kinds_from_each_other() {
        let user = Principal::random("t");
        let mut access = Access::Roles(BTreeMap::new());
        access.set_policy(
            &user,
            Policy {
                secrets: vec!["get".into()],
                ..Policy::default()
            },
        );
        let ask = |kind, action| access.authorize(&caller(&user), &question(kind, action));
        assert!(ask(Kind::Secret, Action::Get).is_ok());
        let refused = ask(Kind::Secret, Action::List).unwrap_err();
        assert_eq!(refused.inner.as_deref(), Some("ForbiddenByPolicy"));
        assert!(
            refused
                .message
                .contains("does not have secrets list permission on key vault 'v;")
        );
        assert!(ask(Kind::Key, Action::Get).is_err());
    }

    #[test]
    fn a_refusal_names_caller_action_and_resource() {
        let user = Principal::random("t");
        let refused = Access::Roles(BTreeMap::new())
            .authorize(&caller(&user), &question(Kind::Secret, Action::Get))
            .unwrap_err();
        assert_eq!(refused.inner.as_deref(), Some("ForbiddenByRbac"));
        for part in [
            &user.client_id,
            &user.object_id,
            "secrets/getSecret/action",
            "vaults/v/secrets/n",
        ] {
            assert!(refused.message.contains(part), "{part}");
        }
    }
}
