//! The `AZURE_*` variables of credentials: which sets of them are complete, and what the others lack.

use std::path::PathBuf;

use super::certificate::CertificateFile;
use super::choice::Plan;
use super::managed::UserAssigned;
use crate::diagnosis::{Code, Diagnosis, Stray, case, stray};
use crate::environment::common::{
    AZURE_CERTIFICATE_PASSWORD, AZURE_CERTIFICATE_PATH, AZURE_CLIENT_CERTIFICATE_PASSWORD,
    AZURE_CLIENT_CERTIFICATE_PATH, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_CLIENT_SEND_CERTIFICATE_CHAIN,
    AZURE_FEDERATED_TOKEN_FILE, AZURE_MANAGED_IDENTITY_OBJECT_ID, AZURE_MANAGED_IDENTITY_RESOURCE_ID, AZURE_PASSWORD,
    AZURE_TENANT_ID, AZURE_USERNAME,
};
use crate::environment::{Environment, Variable};
use crate::secret::SecretBytes;

/// The variables of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    ClientSecret,
    ClientCertificate,
    UsernamePassword,
    WorkloadIdentity,
}

impl Set {
    pub(super) const ALL: [Self; 4] = [
        Self::ClientSecret,
        Self::ClientCertificate,
        Self::UsernamePassword,
        Self::WorkloadIdentity,
    ];

    /// The variable that no other method has.
    pub(super) fn own_variable(self) -> &'static str {
        match self {
            Self::ClientSecret => AZURE_CLIENT_SECRET.name(),
            Self::ClientCertificate => "AZURE_CLIENT_CERTIFICATE_PATH or AZURE_CERTIFICATE_PATH",
            Self::UsernamePassword => AZURE_USERNAME.name(),
            Self::WorkloadIdentity => AZURE_FEDERATED_TOKEN_FILE.name(),
        }
    }
}

/// What the environment says. Borrowed, since some of it is secret.
pub(super) struct Variables<'a> {
    pub(super) client_id: Option<&'a str>,
    pub(super) tenant_id: Option<&'a str>,
    secret: Option<&'a str>,
    certificate: Option<&'a str>,
    certificate_password: Option<&'a str>,
    send_chain: bool,
    user: Option<&'a str>,
    password: Option<&'a str>,
    token_file: Option<&'a str>,
    object_id: Option<&'a str>,
    resource_id: Option<&'a str>,
}

impl<'a> Variables<'a> {
    /// Reads them. Upstream's names for certificates (`AZURE_CERTIFICATE_…`) and Microsoft's (`AZURE_CLIENT_CERTIFICATE_…`)
    /// mean the same; the latter count where both are set.
    pub(super) fn read(environment: &'a Environment) -> Result<Self, Box<Diagnosis>> {
        let quoted: Vec<_> = [
            AZURE_CLIENT_ID,
            AZURE_TENANT_ID,
            AZURE_CLIENT_CERTIFICATE_PATH,
            AZURE_CERTIFICATE_PATH,
            AZURE_FEDERATED_TOKEN_FILE,
        ]
        .into_iter()
        .filter(|it| environment.get(*it).and_then(stray) == Some(Stray::Quote))
        .map(Variable::name)
        .collect();
        if !quoted.is_empty() {
            let names = quoted.join(", ");
            return Err(Box::new(Diagnosis::of(
                Code::VariableMalformed,
                "The identity's variables cannot be used.",
                &[("names", &names)],
            )));
        }
        let get = |variable| environment.get(variable);
        let (certificate, certificate_password) = match get(AZURE_CLIENT_CERTIFICATE_PATH) {
            Some(path) => (Some(path), get(AZURE_CLIENT_CERTIFICATE_PASSWORD)),
            None => (get(AZURE_CERTIFICATE_PATH), get(AZURE_CERTIFICATE_PASSWORD)),
        };
        Ok(Self {
            client_id: get(AZURE_CLIENT_ID),
            tenant_id: get(AZURE_TENANT_ID),
            secret: get(AZURE_CLIENT_SECRET),
            certificate,
            certificate_password,
            send_chain: get(AZURE_CLIENT_SEND_CERTIFICATE_CHAIN)
                .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true")),
            user: get(AZURE_USERNAME),
            password: get(AZURE_PASSWORD),
            token_file: get(AZURE_FEDERATED_TOKEN_FILE),
            object_id: get(AZURE_MANAGED_IDENTITY_OBJECT_ID),
            resource_id: get(AZURE_MANAGED_IDENTITY_RESOURCE_ID),
        })
    }

    /// The managed identity that is named: by client id, else by resource id, else by object id.
    pub(super) fn user_assigned(&self) -> UserAssigned {
        let named = |id: &str| id.to_owned();
        match (self.client_id, self.resource_id, self.object_id) {
            (Some(id), ..) => UserAssigned::ClientId(named(id)),
            (None, Some(id), _) => UserAssigned::ResourceId(named(id)),
            (None, None, Some(id)) => UserAssigned::ObjectId(named(id)),
            (None, None, None) => UserAssigned::None,
        }
    }

    /// Whether a variable that only this method has is there.
    pub(super) fn is_begun(&self, set: Set) -> bool {
        match set {
            Set::ClientSecret => self.secret.is_some(),
            Set::ClientCertificate => self.certificate.is_some(),
            Set::UsernamePassword => self.user.is_some() || self.password.is_some(),
            Set::WorkloadIdentity => self.token_file.is_some(),
        }
    }

    pub(super) fn is_complete(&self, set: Set) -> bool {
        self.missing(set).is_empty()
    }

    fn missing(&self, set: Set) -> Vec<&'static str> {
        let own = match set {
            Set::ClientSecret => vec![(set.own_variable(), self.secret.is_some())],
            Set::ClientCertificate => vec![(set.own_variable(), self.certificate.is_some())],
            Set::UsernamePassword => vec![
                (AZURE_USERNAME.name(), self.user.is_some()),
                (AZURE_PASSWORD.name(), self.password.is_some()),
            ],
            Set::WorkloadIdentity => vec![(set.own_variable(), self.token_file.is_some())],
        };
        let shared = [
            (AZURE_CLIENT_ID.name(), self.client_id.is_some()),
            (AZURE_TENANT_ID.name(), self.tenant_id.is_some()),
        ];
        let all = own.into_iter().chain(shared);
        all.filter_map(|(name, is_set)| (!is_set).then_some(name)).collect()
    }

    /// What the method takes; only of a complete set.
    pub(super) fn plan(&self, set: Set) -> Plan {
        let secret = |text: Option<&str>| SecretBytes::from(text.unwrap_or_default());
        let path = |text: Option<&str>| PathBuf::from(text.unwrap_or_default());
        match set {
            Set::ClientSecret => Plan::ClientSecret(secret(self.secret)),
            Set::ClientCertificate => Plan::ClientCertificate(CertificateFile {
                path: path(self.certificate),
                password: self.certificate_password.map(SecretBytes::from),
                send_chain: self.send_chain,
            }),
            Set::UsernamePassword => Plan::UsernamePassword {
                user: self.user.unwrap_or_default().to_owned(),
                password: secret(self.password),
            },
            Set::WorkloadIdentity => Plan::WorkloadIdentity {
                token_file: path(self.token_file),
            },
        }
    }

    /// Why none of `sets` is used: a sentence.
    pub(super) fn why_not(&self, sets: &[Set]) -> String {
        let begun: Vec<_> = sets.iter().filter(|set| self.is_begun(**set)).collect();
        if begun.is_empty() {
            let own: Vec<_> = sets.iter().map(|set| set.own_variable()).collect();
            return format!("{} is not set.", own.join(" or "));
        }
        let reasons: Vec<_> = begun.into_iter().map(|set| self.partial(*set)).collect();
        reasons.join(" ")
    }

    fn partial(&self, set: Set) -> String {
        let missing = self.missing(set);
        let are = if missing.len() == 1 { "is" } else { "are" };
        format!(
            "of {}, {} {are} not set.",
            match set {
                Set::ClientSecret => "the client secret's variables",
                Set::ClientCertificate => "the client certificate's variables",
                Set::UsernamePassword => "the variables of user name and password",
                Set::WorkloadIdentity => "workload identity's variables",
            },
            missing.join(" and ")
        )
    }

    /// Names every set that was begun and not completed; `None` when there is none.
    pub(super) fn incomplete(&self, sets: &[Set]) -> Option<Diagnosis> {
        let partial: Vec<_> = sets
            .iter()
            .copied()
            .filter(|set| self.is_begun(*set) && !self.is_complete(*set))
            .collect();
        let what = "No method of authentication is completely configured.";
        match partial[..] {
            [] => None,
            [Set::WorkloadIdentity] => Some(self.lacking(Set::WorkloadIdentity, what)),
            _ => {
                let each: Vec<_> = partial.iter().map(|set| capital(&self.partial(*set))).collect();
                let mut missing: Vec<_> = partial.iter().flat_map(|set| self.missing(*set)).collect();
                missing.sort_unstable();
                missing.dedup();
                let incomplete = case::MethodsIncomplete {
                    reasons: &each.join(" "),
                    missing: &missing.join(", "),
                };
                Some(Diagnosis::case(incomplete, what))
            }
        }
    }

    /// The diagnosis of a set that has to be complete and is not; `reason` says who wants it.
    pub(super) fn lacking(&self, set: Set, reason: &str) -> Diagnosis {
        let missing = self.missing(set).join(" and ");
        let what = format!("{}: {missing} not set.", reason.trim_end_matches('.'));
        if set == Set::WorkloadIdentity {
            return Diagnosis::of(Code::WorkloadIdentityIncomplete, what, &[]);
        }
        let incomplete = case::MethodIncomplete {
            reason: &capital(&self.partial(set)),
            missing: &missing,
        };
        Diagnosis::case(incomplete, what)
    }

    /// An application is named with its tenant, and nothing to prove it by: often a forgotten secret.
    pub(super) fn application_without_credential(&self) -> Option<String> {
        (self.client_id.is_some() && self.tenant_id.is_some()).then(|| {
            "AZURE_CLIENT_ID and AZURE_TENANT_ID are set, but none of AZURE_CLIENT_SECRET, AZURE_CERTIFICATE_PATH, \
             AZURE_USERNAME and AZURE_FEDERATED_TOKEN_FILE, so the node's managed identity was asked."
                .to_owned()
        })
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
