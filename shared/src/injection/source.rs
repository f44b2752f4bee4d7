//! What a reference leads to: which object of which vault, and as whom it is read.

use crate::api::parse;
use crate::api::spec::{KeyFormat as SpecKeyFormat, Output, Vault};
use crate::diagnosis::{Code, Diagnosis};
use crate::injection::reference::Query;
use crate::object::{KeyFormat, MultiKeyFormat, SourceType, Transform};
use crate::reference::{ObjectKind, ObjectRef};

/// Where a value comes from: what the `spec` of an AKVS means for the injector, or a direct reference.
///
/// `spec.output` may be absent, or wrong in all that is only for Secrets and ConfigMaps; its transforms and its key format count here
/// too, as in akv2k8s 1.x.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    pub(super) object: ObjectRef,
    pub(super) form: Form,
    pub(super) transforms: Vec<Transform>,
    pub(super) key_format: Option<KeyFormat>,
    pub(super) service_account: Option<String>,
}

/// How the object's value is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Secret,
    MultiKeyValue(MultiKeyFormat),
    /// A direct reference says no more than that it is a secret: its own content type, or its first character, says the rest.
    AnySecret,
    Certificate,
    Key,
}

impl Source {
    /// What the spec of an AKVS means for the injector.
    ///
    /// # Errors
    /// [`Code::InvalidSpec`]: it means nothing until it is edited.
    pub fn of(vault: &Vault, output: Option<&Output>) -> Result<Self, Box<Diagnosis>> {
        let source = parse::source(vault)?;
        let (form, kind) = match source {
            SourceType::Secret => (Form::Secret, ObjectKind::Secret),
            SourceType::MultiKeyValue(format) => (Form::MultiKeyValue(format), ObjectKind::Secret),
            SourceType::Certificate => (Form::Certificate, ObjectKind::Certificate),
            SourceType::Key => (Form::Key, ObjectKind::Key),
        };
        let transforms = output.map(|output| parse::transforms(output, source, &mut Vec::new()));
        Ok(Self {
            object: parse::object(vault, kind)?,
            form,
            transforms: transforms.transpose()?.unwrap_or_default(),
            key_format: output
                .and_then(|output| output.key_format)
                .map(SpecKeyFormat::into_domain),
            service_account: parse::service_account(vault)?,
        })
    }

    /// The object of a direct reference.
    pub fn direct(object: ObjectRef) -> Self {
        let form = match object.kind {
            ObjectKind::Secret => Form::AnySecret,
            ObjectKind::Certificate | ObjectKind::CertificateWithKey => Form::Certificate,
            ObjectKind::Key => Form::Key,
        };
        Self {
            object,
            form,
            transforms: Vec::new(),
            key_format: None,
            service_account: None,
        }
    }

    /// What is read from the vault for `query`: of a certificate the secret behind it too, when private key or chain are asked for.
    pub fn object(&self, query: Option<&Query>) -> ObjectRef {
        let kind = match (self.form, query.map(Query::as_str)) {
            (Form::Certificate, Some("tls.key" | "tls.crt")) => ObjectKind::CertificateWithKey,
            _ => self.object.kind,
        };
        ObjectRef {
            kind,
            ..self.object.clone()
        }
    }

    /// What is read in place of [`Self::object`] when that failed for reason of `code`: without the secret behind a certificate its
    /// chain is not to be had, but the certificate itself is.
    pub fn without_chain(&self, query: Option<&Query>, code: Code) -> Option<ObjectRef> {
        let chain_is_hidden = matches!(code, Code::NotExportable | Code::WrongPermissionKind);
        let asked = self.form == Form::Certificate && query.map(Query::as_str) == Some("tls.crt");
        (asked && chain_is_hidden).then(|| self.object.clone())
    }

    /// The ServiceAccount of the same namespace as which the vault is read; `None`: as the program's own identity.
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::spec::Vault;

    fn of(spec: &serde_json::Value) -> Result<Source, Code> {
        let vault: Vault = serde_json::from_value(spec["vault"].clone()).unwrap();
        let output: Option<Output> = spec.get("output").map(|it| serde_json::from_value(it.clone()).unwrap());
        Source::of(&vault, output.as_ref()).map_err(|diagnosis| diagnosis.code)
    }

    fn kind(source: &Source, query: &str) -> ObjectKind {
        source.object(Query::parse(query).as_ref()).kind
    }

    #[test]
    fn an_akvs_without_output_or_with_half_of_one_serves_the_injector() {
        let vault = json!({"name": "my-vault", "object": {"name": "db", "type": "secret"}});
        let plain = of(&json!({"vault": vault})).unwrap();
        assert_eq!(plain.object.to_string(), "secret 'db' in vault 'my-vault'");
        let without_key = json!({"vault": vault, "output": {"transform": ["trim"], "secret": {"name": "NOT A NAME"}}});
        assert_eq!(of(&without_key).unwrap().transforms, [Transform::Trim]);
    }

    #[test]
    fn what_cannot_be_read_is_refused_as_the_controller_refuses_it() {
        for spec in [
            json!({"vault": {"name": "https://v", "object": {"name": "db", "type": "secret"}}}),
            json!({"vault": {"name": "my-vault", "object": {"name": "a b", "type": "secret"}}}),
            json!({"vault": {"name": "my-vault", "object": {"name": "db", "type": "multi-key-value-secret"}}}),
            json!({"vault": {"name": "my-vault", "object": {"name": "db", "type": "secret"}}, "output": {"transform": ["rot13"]}}),
            json!({"vault": {"name": "my-vault", "serviceAccountName": "", "object": {"name": "db", "type": "secret"}}}),
        ] {
            assert_eq!(of(&spec), Err(Code::InvalidSpec), "{spec}");
        }
    }

    #[test]
    fn the_secret_behind_a_certificate_is_read_only_for_key_and_chain() {
        let certificate =
            of(&json!({"vault": {"name": "my-vault", "object": {"name": "c", "type": "certificate"}}})).unwrap();
        for (query, expected) in [
            ("", ObjectKind::Certificate),
            ("raw", ObjectKind::Certificate),
            ("tls.key", ObjectKind::CertificateWithKey),
            ("tls.crt", ObjectKind::CertificateWithKey),
        ] {
            assert_eq!(kind(&certificate, query), expected, "{query}");
        }
        let (crt, key) = (Query::parse("tls.crt"), Query::parse("tls.key"));
        let instead = certificate.without_chain(crt.as_ref(), Code::NotExportable).unwrap();
        assert_eq!(instead.kind, ObjectKind::Certificate);
        assert_eq!(certificate.without_chain(crt.as_ref(), Code::ForbiddenByRbac), None);
        assert_eq!(certificate.without_chain(key.as_ref(), Code::NotExportable), None);
    }

    #[test]
    fn the_service_account_of_the_spec_is_kept() {
        let vault =
            json!({"name": "my-vault", "serviceAccountName": "reader", "object": {"name": "db", "type": "key"}});
        assert_eq!(of(&json!({"vault": vault})).unwrap().service_account(), Some("reader"));
    }
}
