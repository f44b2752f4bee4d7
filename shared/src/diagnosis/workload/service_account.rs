//! What workload identity needs of a ServiceAccount and of the cluster.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::{AUDIENCE, CLIENT_ID_ANNOTATION, TENANT_ID_ANNOTATION};
use crate::diagnosis::{Code, Diagnosis};
use crate::doctor::{Check, Seen};

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

    /// The check that only Entra could answer: what it has to hold.
    pub fn check(&self) -> Check {
        let issuer = self
            .issuer
            .as_deref()
            .unwrap_or("(az aks show --query oidcIssuerProfile.issuerUrl)");
        Check::not_made(
            "federated-credential",
            format!(
                "Federated credential: Entra was not asked (--mint does). It must name issuer {issuer}, subject {}, audience \
                 {AUDIENCE}.",
                self.subject
            ),
        )
    }
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
                Diagnosis::new(
                    Code::OidcIssuerNotEnabled,
                    format!("The cluster's token issuer, {says}, is not one that Entra can reach."),
                    "The OIDC issuer is not enabled on this cluster, so Entra cannot check its tokens.",
                    "az aks update --resource-group GROUP --name CLUSTER --enable-oidc-issuer --enable-workload-identity",
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
        Seen::NotAllowed => vec![Check::not_made(
            ID,
            format!("ServiceAccount {namespace}/{name}: no right to read it."),
        )],
        Seen::Missing => vec![Check::failed(
            ID,
            Diagnosis::new(
                Code::ServiceAccountNotFound,
                format!("ServiceAccount {namespace}/{name} does not exist."),
                "Its name is misspelt (a Deployment's in its place?), or it is in another namespace.",
                format!(
                    "kubectl create serviceaccount {name} -n {namespace}, then annotate it with its identity's client id"
                ),
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
    let command = |annotation: &str, value: &str| {
        format!("kubectl annotate serviceaccount {name} -n {namespace} --overwrite {annotation}={value}")
    };
    for which in [CLIENT_ID_ANNOTATION, TENANT_ID_ANNOTATION] {
        let Some(value) = annotation(account, which) else {
            continue;
        };
        if let Some(stray) = stray(value) {
            return Check::failed(
                ID,
                Diagnosis::new(
                    Code::VariableMalformed,
                    format!("The annotation {which} of ServiceAccount {namespace}/{name} holds {stray}."),
                    "It is taken as it stands, and Entra knows nobody of that name.",
                    command(which, value.trim_matches(is_stray)),
                ),
            );
        }
    }
    match annotation(account, CLIENT_ID_ANNOTATION) {
        Some(client_id) => Check::passed(ID, format!("It is annotated with client id {client_id}.")),
        None if explicit => Check::passed(ID, "The pod names its client id itself; no annotation is needed."),
        None => Check::failed(
            ID,
            Diagnosis::new(
                Code::ServiceAccountNotAnnotated,
                format!("ServiceAccount {namespace}/{name} lacks the annotation {CLIENT_ID_ANNOTATION}."),
                without_annotation(account),
                command(CLIENT_ID_ANNOTATION, "CLIENT_ID (az identity show --query clientId)"),
            ),
        ),
    }
}

fn without_annotation(account: &ServiceAccount) -> &'static str {
    let labels = account.metadata.labels.as_ref();
    if labels.is_some_and(|labels| labels.contains_key(CLIENT_ID_ANNOTATION)) {
        "The client id is a label there, and only an annotation is read."
    } else {
        "Without it nobody knows which identity the pod is."
    }
}

/// What has no place at either end of an id, in words.
pub(super) fn stray(value: &str) -> Option<&'static str> {
    let ends = [value.chars().next()?, value.chars().next_back()?];
    if ends.iter().any(|it| it.is_whitespace()) {
        Some("a blank or a line break at its end")
    } else if ends.iter().any(|it| is_stray(*it)) {
        Some("quotes")
    } else {
        None
    }
}

fn is_stray(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '“' | '”')
}
