//! What workload identity needs of a ServiceAccount and of the cluster.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{AUDIENCE, CLIENT_ID_ANNOTATION, TENANT_ID_ANNOTATION};
use crate::diagnosis::{AssertionClaims, Code, Diagnosis, Explanation, case, stray, without_stray};
use crate::doctor::{Check, Seen};
use crate::reference::VaultName;

/// What a federated credential at Entra must name, all three exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federation {
    /// The cluster's issuer of tokens, if it may be known.
    pub issuer: Option<String>,
    /// `system:serviceaccount:NAMESPACE:NAME`.
    pub subject: String,
}

impl Federation {
    /// For the ServiceAccount `namespace/name`.
    pub fn of(namespace: &str, name: &str, issuer: Option<String>) -> Self {
        let subject = format!("system:serviceaccount:{namespace}:{name}");
        Self { issuer, subject }
    }

    /// The check that only Entra could answer: what it has to hold, and the command that puts it there. `client_id` is the
    /// identity's, where it is known.
    pub fn check(&self, client_id: Option<&str>) -> Check {
        let claims = AssertionClaims {
            issuer: self.issuer.clone().unwrap_or_default(),
            subject: self.subject.clone(),
            audience: AUDIENCE.to_owned(),
            expires: None,
            issued: None,
        };
        let mut names = claims.names();
        names.extend(client_id.filter(|id| is_id(id)).map(|id| ("client_id", id)));
        let create = Code::NoFederatedCredential.explain(&names).fix;
        let issuer = self
            .issuer
            .as_deref()
            .unwrap_or("(az aks show --query oidcIssuerProfile.issuerUrl)");
        Check::not_made(
            "federated-credential",
            format!(
                "Federated credential: Entra was not asked (--mint does). It must name issuer {issuer}, subject {}, audience \
                 {AUDIENCE}. To create it: {create}",
                self.subject
            ),
        )
    }
}

/// Letters, digits and hyphens: fit for a command line.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// What only the vault could answer without being asked: the role that the identity `client_id` needs there to read secrets.
pub fn role_check(vault: &VaultName, client_id: Option<&str>) -> Check {
    let assignee = client_id.filter(|id| is_id(id)).unwrap_or("CLIENT_ID");
    let scope = format!("$(az keyvault show --name {vault} --query id --output tsv)");
    let names = [
        ("role", "Key Vault Secrets User"),
        ("assignee", assignee),
        ("scope", &scope),
    ];
    let assign = Code::ForbiddenByRbac.explain(&names).fix;
    Check::not_made(
        "vault",
        format!(
            "Vault '{vault}' was not asked (--mint does): whether its name resolves, its network rules admit you, its tenant is the \
             identity's, and which roles or access policies are there. To let the identity read secrets: {assign}"
        ),
    )
}

/// The value of an annotation; an empty one counts as none.
pub(super) fn annotation<'a>(account: &'a ServiceAccount, name: &str) -> Option<&'a str> {
    let value = account.metadata.annotations.as_ref()?.get(name)?;
    (!value.trim().is_empty()).then_some(value.as_str())
}

/// Whether Entra can fetch the keys that tokens are signed with: check `issuer`.
pub fn issuer(issuer: &Seen<String>) -> Check {
    const ID: &str = "issuer";
    match issuer {
        Seen::NotAllowed => Check::not_made(
            ID,
            "The cluster's token issuer: no right to read /.well-known/openid-configuration.",
        ),
        Seen::Found(url) if is_public(url) => Check::passed(ID, format!("The cluster issues tokens as {url}.")),
        Seen::Found(_) | Seen::Missing => {
            let says = issuer
                .found()
                .map_or_else(|| "none".to_owned(), |url| format!("'{url}'"));
            Check::failed(
                ID,
                Diagnosis::case(
                    case::IssuerNotPublic,
                    format!("The cluster's token issuer, {says}, is not one that Entra can reach."),
                ),
            )
        }
    }
}

/// A cluster without an issuer of its own calls itself by its internal name.
fn is_public(issuer: &str) -> bool {
    issuer
        .strip_prefix("https://")
        .is_some_and(|rest| !rest.starts_with("kubernetes.default"))
}

/// Whether the ServiceAccount `namespace/name` exists and names an identity: checks `service-account` and
/// `client-id-annotation`. `explicit`: a client id that stands in the pod itself makes the annotation needless.
pub fn checks(namespace: &str, name: &str, account: &Seen<ServiceAccount>, explicit: bool) -> Vec<Check> {
    const ID: &str = "service-account";
    match account {
        Seen::NotAllowed => vec![Check::not_allowed(
            ID,
            format!("ServiceAccount {namespace}/{name}: no right to get serviceaccounts in namespace {namespace}."),
        )],
        Seen::Missing => vec![Check::failed(
            ID,
            Diagnosis::case(
                case::PodsAccountMissing {
                    name: &name,
                    namespace: &namespace,
                },
                format!("ServiceAccount {namespace}/{name} does not exist."),
            ),
        )],
        Seen::Found(account) => {
            let exists = Check::passed(ID, format!("ServiceAccount {namespace}/{name} exists."));
            vec![exists, annotated(namespace, name, account, explicit)]
        }
    }
}

fn annotated(namespace: &str, name: &str, account: &ServiceAccount, explicit: bool) -> Check {
    const ID: &str = "client-id-annotation";
    for which in [CLIENT_ID_ANNOTATION, TENANT_ID_ANNOTATION] {
        let Some(value) = annotation(account, which) else {
            continue;
        };
        if let Some(stray) = stray(value) {
            return Check::failed(
                ID,
                Diagnosis::case(
                    case::AnnotationMalformed {
                        name: &name,
                        namespace: &namespace,
                        annotation: &which,
                        value: &without_stray(value),
                    },
                    format!(
                        "The annotation {which} of ServiceAccount {namespace}/{name} holds {}.",
                        stray.words()
                    ),
                ),
            );
        }
    }
    match annotation(account, CLIENT_ID_ANNOTATION) {
        Some(client_id) => Check::passed(ID, format!("It is annotated with client id {client_id}.")),
        None if explicit => Check::passed(ID, "The pod names its client id itself; no annotation is needed."),
        None => Check::failed(
            ID,
            Diagnosis::case(
                without_annotation(namespace, name, account),
                format!("ServiceAccount {namespace}/{name} lacks the annotation {CLIENT_ID_ANNOTATION}."),
            ),
        ),
    }
}

fn without_annotation(namespace: &str, name: &str, account: &ServiceAccount) -> Explanation {
    let (name, namespace) = (&name, &namespace);
    let labels = account.metadata.labels.as_ref();
    if labels.is_some_and(|labels| labels.contains_key(CLIENT_ID_ANNOTATION)) {
        case::ClientIdIsLabel { name, namespace }.into()
    } else {
        case::NotAnnotated { name, namespace }.into()
    }
}
