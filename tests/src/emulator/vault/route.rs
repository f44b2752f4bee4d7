//! Method and path → what is asked of which object.

use hyper::Method;

use crate::emulator::operation::{Action, Kind, Operation};

/// A request to a vault, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) kind: Kind,
    pub(crate) action: Action,
    pub(crate) name: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
}

impl<'a> Route<'a> {
    /// Understands a request by the Key Vault REST reference; `None` when there is no such operation.
    pub(crate) fn parse(method: &Method, segments: &[&'a str]) -> Option<Self> {
        let (collection, rest) = segments.split_first()?;
        let of = |prefix: &str| {
            Kind::ALL
                .into_iter()
                .find(|kind| *collection == format!("{prefix}{}", kind.segment()))
        };
        if let Some(kind) = of("deleted") {
            return deleted(method, rest).map(|(action, name)| Self {
                kind,
                action,
                name,
                version: None,
            });
        }
        let kind = of("")?;
        let (action, name, version) = match kind {
            Kind::Secret => secret(method, rest),
            Kind::Key => key(method, rest),
            Kind::Certificate => certificate(method, rest),
        }
        .or_else(|| common(method, rest))?;
        Some(Self {
            kind,
            action,
            name,
            version,
        })
    }

    pub(crate) fn operation(&self) -> Operation {
        Operation::Vault(self.kind, self.action)
    }
}

/// Action, object's name, version.
type Parts<'a> = (Action, Option<&'a str>, Option<&'a str>);

fn common<'a>(method: &Method, rest: &[&'a str]) -> Option<Parts<'a>> {
    match (method.as_str(), rest) {
        ("GET", []) => Some((Action::List, None, None)),
        ("GET", [name]) => Some((Action::Get, Some(name), None)),
        ("GET", [name, "versions"]) => Some((Action::ListVersions, Some(name), None)),
        ("GET", [name, version]) => Some((Action::Get, Some(name), Some(version))),
        ("PATCH", [name]) => Some((Action::Update, Some(name), None)),
        ("PATCH", [name, version]) => Some((Action::Update, Some(name), Some(version))),
        ("DELETE", [name]) => Some((Action::Delete, Some(name), None)),
        _ => None,
    }
}

fn deleted<'a>(method: &Method, rest: &[&'a str]) -> Option<(Action, Option<&'a str>)> {
    match (method.as_str(), rest) {
        ("GET", []) => Some((Action::ListDeleted, None)),
        ("GET", [name]) => Some((Action::GetDeleted, Some(name))),
        ("DELETE", [name]) => Some((Action::Purge, Some(name))),
        ("POST", [name, "recover"]) => Some((Action::Recover, Some(name))),
        _ => None,
    }
}

fn secret<'a>(method: &Method, rest: &[&'a str]) -> Option<Parts<'a>> {
    match (method.as_str(), rest) {
        ("PUT", [name]) => Some((Action::Set, Some(name), None)),
        _ => None,
    }
}

fn key<'a>(method: &Method, rest: &[&'a str]) -> Option<Parts<'a>> {
    match (method.as_str(), rest) {
        ("POST", [name, "create"]) => Some((Action::Create, Some(name), None)),
        _ => None,
    }
}

fn certificate<'a>(method: &Method, rest: &[&'a str]) -> Option<Parts<'a>> {
    let (action, name) = match (method.as_str(), rest) {
        ("GET", ["issuers"]) => return Some((Action::IssuerList, None, None)),
        ("GET", ["issuers", name]) => (Action::IssuerGet, name),
        ("PUT" | "PATCH", ["issuers", name]) => (Action::IssuerSet, name),
        ("DELETE", ["issuers", name]) => (Action::IssuerDelete, name),
        ("POST", [name, "create"]) => (Action::Create, name),
        ("POST", [name, "import"]) => (Action::Import, name),
        ("GET", [name, "policy"]) => (Action::PolicyGet, name),
        ("PATCH", [name, "policy"]) => (Action::PolicyUpdate, name),
        ("GET", [name, "pending"]) => (Action::PendingGet, name),
        ("PATCH", [name, "pending"]) => (Action::PendingUpdate, name),
        ("DELETE", [name, "pending"]) => (Action::PendingDelete, name),
        _ => return None,
    };
    Some((action, Some(name), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_understood_as_the_reference_says() {
        let rows = [
            ("GET /secrets", "SecretList", None, None),
            ("GET /secrets/a", "SecretGet", Some("a"), None),
            ("GET /secrets/a/0123", "SecretGet", Some("a"), Some("0123")),
            ("GET /secrets/a/versions", "SecretListVersions", Some("a"), None),
            ("PUT /secrets/a", "SecretSet", Some("a"), None),
            ("POST /deletedsecrets/a/recover", "SecretRecover", Some("a"), None),
            ("DELETE /deletedkeys/a", "KeyPurge", Some("a"), None),
            ("POST /keys/a/create", "KeyCreate", Some("a"), None),
            ("GET /certificates/issuers", "CertificateIssuerList", None, None),
            ("GET /certificates/a/policy", "CertificatePolicyGet", Some("a"), None),
            ("GET /certificates/a/pending", "CertificatePendingGet", Some("a"), None),
        ];
        for (request, operation, name, version) in rows {
            let (method, path) = request.split_once(' ').unwrap();
            let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
            let route = Route::parse(&method.parse().unwrap(), &segments).unwrap();
            assert_eq!(route.operation().to_string(), operation, "{request}");
            assert_eq!((route.name, route.version), (name, version), "{request}");
        }
        for request in [vec![], vec!["secret"], vec!["secrets", "a", "b", "c"]] {
            assert_eq!(Route::parse(&Method::GET, &request), None, "{request:?}");
        }
        assert_eq!(Route::parse(&Method::POST, &["secrets", "a"]), None);
    }
}
