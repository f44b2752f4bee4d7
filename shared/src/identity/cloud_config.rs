//! The cloud configuration file of Kubernetes' Azure provider, `azure.json`: which identity a node was given.
//!
//! Fields: <https://cloud-provider-azure.sigs.k8s.io/install/configs/>. The file is JSON; YAML is read as well.

use std::path::Path;

use serde::Deserialize;

use super::certificate::CertificateFile;
use super::choice::Plan;
use super::managed::UserAssigned;
use crate::diagnosis::{Code, Diagnosis, Explanation, case};
use crate::secret::SecretBytes;

/// What a node writes in place of a client id and a secret when it has a managed identity.
const PLACEHOLDER: &str = "msi";

/// The fields that are read; all others are ignored.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Fields {
    cloud: Option<String>,
    tenant_id: Option<String>,
    aad_client_id: Option<String>,
    aad_client_secret: Option<Text>,
    aad_client_cert_path: Option<String>,
    aad_client_cert_password: Option<Text>,
    use_managed_identity_extension: Option<bool>,
    #[serde(rename = "userAssignedIdentityID")]
    user_assigned_identity_id: Option<String>,
}

/// A text that is secret.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Text(SecretBytes);

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(SecretBytes::from(text))
    }
}

/// A cloud configuration file that was read. It holds secrets: no `Debug`.
pub(super) struct CloudConfig<'a> {
    path: &'a Path,
    fields: Fields,
}

/// Who the file says to be, and why.
pub(super) struct Stated {
    pub(super) client_id: Option<String>,
    pub(super) tenant_id: Option<String>,
    pub(super) plan: Plan,
    pub(super) reason: String,
}

impl<'a> CloudConfig<'a> {
    /// Reads the text of the file at `path`.
    pub(super) fn parse(path: &'a Path, text: &SecretBytes) -> Result<Self, Box<Diagnosis>> {
        let bytes = text.expose();
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // What parsers say of a wrong type quotes the value, which may be the secret: only the place is told.
        let fields = serde_json::from_slice::<Option<Fields>>(bytes).or_else(|json| {
            serde_yaml::from_slice::<Option<Fields>>(bytes).map_err(|yaml| {
                let (line, column) = match yaml.location() {
                    Some(place) if json.is_syntax() => (place.line(), place.column()),
                    _ => (json.line(), json.column()),
                };
                let malformed = case::CloudConfigMalformed {
                    line: &line,
                    column: &column,
                };
                unusable(path, malformed)
            })
        })?;
        Ok(Self {
            path,
            fields: fields.unwrap_or_default(),
        })
    }

    /// The name of the cloud; `None` when the file leaves it open.
    pub(super) fn cloud(&self) -> Option<&str> {
        filled(self.fields.cloud.as_deref())
    }

    /// The node's tenant; `None` when the file leaves it open.
    pub(super) fn tenant_id(&self) -> Option<&str> {
        filled(self.fields.tenant_id.as_deref())
    }

    /// Upstream's order: managed identity, client secret, client certificate.
    pub(super) fn stated(&self) -> Result<Stated, Box<Diagnosis>> {
        if self.fields.use_managed_identity_extension == Some(true) {
            return Ok(self.managed());
        }
        let client_id = filled(self.fields.aad_client_id.as_deref());
        let tenant_id = filled(self.fields.tenant_id.as_deref());
        let (plan, reason) = self.credential(client_id)?;
        let missing = [("aadClientId", client_id), ("tenantId", tenant_id)];
        let missing: Vec<_> = missing
            .into_iter()
            .filter_map(|(name, value)| value.is_none().then_some(name))
            .collect();
        if !missing.is_empty() {
            let missing = &missing.join(" and ");
            return Err(unusable(self.path, case::CloudConfigIncomplete { missing }).into());
        }
        Ok(Stated {
            client_id: client_id.map(str::to_owned),
            tenant_id: tenant_id.map(str::to_owned),
            plan,
            reason,
        })
    }

    fn managed(&self) -> Stated {
        let user = filled(self.fields.user_assigned_identity_id.as_deref());
        let assigned = user.map_or(UserAssigned::None, |id| {
            if is_resource_id(id) {
                UserAssigned::ResourceId(id.to_owned())
            } else {
                UserAssigned::ClientId(id.to_owned())
            }
        });
        Stated {
            client_id: user.filter(|id| !is_resource_id(id)).map(str::to_owned),
            tenant_id: None,
            plan: Plan::ManagedIdentity(assigned),
            reason: format!("{} says useManagedIdentityExtension", self.path.display()),
        }
    }

    /// The application's credential, and where it stands.
    fn credential(&self, client_id: Option<&str>) -> Result<(Plan, String), Box<Diagnosis>> {
        let Fields {
            aad_client_secret,
            aad_client_cert_path,
            aad_client_cert_password,
            ..
        } = &self.fields;
        let path = self.path.display();
        let secret = aad_client_secret.as_ref().filter(|secret| !secret.0.is_empty());
        let placeholder = |text: Option<&str>| text.is_some_and(|text| text.trim().eq_ignore_ascii_case(PLACEHOLDER));
        if placeholder(client_id) || placeholder(secret.and_then(|secret| secret.0.expose_str())) {
            return Err(msi_placeholder(self.path).into());
        }
        if let Some(secret) = secret {
            let reason = format!("{path} holds aadClientSecret");
            return Ok((Plan::ClientSecret(secret.0.clone()), reason));
        }
        let Some(certificate) = filled(aad_client_cert_path.as_deref()) else {
            return Err(no_credential(self.path, client_id).into());
        };
        let password = aad_client_cert_password.as_ref().map(|password| &password.0);
        let certificate = CertificateFile {
            path: certificate.into(),
            password: password.filter(|password| !password.is_empty()).cloned(),
            send_chain: false,
        };
        let reason = format!("{path} holds aadClientCertPath");
        Ok((Plan::ClientCertificate(certificate), reason))
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn is_resource_id(id: &str) -> bool {
    id.to_ascii_lowercase().starts_with("/subscriptions/")
}

/// The file cannot be used.
pub(super) fn unusable(path: &Path, why: impl Into<Explanation>) -> Diagnosis {
    let what = format!("The cloud configuration file {} cannot be used.", path.display());
    Diagnosis::case(why, what)
}

fn no_credential(path: &Path, client_id: Option<&str>) -> Diagnosis {
    match &client_id {
        Some(client_id) => unusable(path, case::CloudConfigWithoutCredentialOf { client_id }),
        None => unusable(path, case::CloudConfigWithoutCredential),
    }
}

fn msi_placeholder(path: &Path) -> Diagnosis {
    Diagnosis::case(
        Code::CloudConfigMsiPlaceholder,
        format!(
            "The cloud configuration file {} holds the placeholder 'msi' in place of a credential.",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stated(text: &str) -> Result<Stated, Box<Diagnosis>> {
        CloudConfig::parse(Path::new("/etc/kubernetes/azure.json"), &SecretBytes::from(text))?.stated()
    }

    fn code(text: &str) -> Code {
        stated(text).err().expect("refused").code
    }

    const AKS: &str = r#"{
        "cloud": "AzurePublicCloud", "tenantId": "t-1", "subscriptionId": "s", "aadClientId": "msi",
        "aadClientSecret": "msi", "useManagedIdentityExtension": true, "userAssignedIdentityID": "u-1",
        "vmType": "vmss", "loadBalancerSku": "standard"
    }"#;

    #[test]
    fn on_a_node_with_a_managed_identity_the_placeholders_do_not_count() {
        let found = stated(AKS).unwrap();
        assert_eq!(found.client_id.as_deref(), Some("u-1"));
        assert!(found.plan == Plan::ManagedIdentity(UserAssigned::ClientId("u-1".to_owned())));
        let system = stated(r#"{"useManagedIdentityExtension": true, "userAssignedIdentityID": ""}"#).unwrap();
        assert!(system.plan == Plan::ManagedIdentity(UserAssigned::None));
        let resource = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
        let text = format!(r#"{{"useManagedIdentityExtension": true, "userAssignedIdentityID": "{resource}"}}"#);
        let found = stated(&text).unwrap();
        assert_eq!(found.client_id, None);
        assert!(found.plan == Plan::ManagedIdentity(UserAssigned::ResourceId(resource.to_owned())));
    }

    #[test]
    fn placeholders_without_the_managed_identity_are_named() {
        for text in [
            r#"{"tenantId": "t", "aadClientId": "msi", "aadClientSecret": "msi"}"#,
            r#"{"tenantId": "t", "aadClientId": "MSI", "useManagedIdentityExtension": false}"#,
            r#"{"tenantId": "t", "aadClientId": "c", "aadClientSecret": "msi"}"#,
        ] {
            assert_eq!(code(text), Code::CloudConfigMsiPlaceholder, "{text}");
        }
    }

    #[test]
    fn a_secret_comes_before_a_certificate() {
        let both = r#"{"tenantId": "t", "aadClientId": "c", "aadClientSecret": "s", "aadClientCertPath": "/c.pfx"}"#;
        assert!(stated(both).unwrap().plan == Plan::ClientSecret("s".into()));
        let one =
            r#"{"tenantId": "t", "aadClientId": "c", "aadClientCertPath": "/c.pfx", "aadClientCertPassword": "p"}"#;
        let file = CertificateFile {
            path: "/c.pfx".into(),
            password: Some("p".into()),
            send_chain: false,
        };
        assert!(stated(one).unwrap().plan == Plan::ClientCertificate(file));
    }

    #[test]
    fn yaml_and_trailing_commas_are_read() {
        for text in [
            "tenantId: t\naadClientId: c\naadClientSecret: s\n",
            "{\"tenantId\": \"t\", \"aadClientId\": \"c\", \"aadClientSecret\": \"s\",}",
            "\u{feff}{\"tenantId\": \"t\", \"aadClientId\": \"c\", \"aadClientSecret\": \"s\"}",
        ] {
            assert!(stated(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_file_without_a_credential_says_what_it_lacks() {
        for (text, part) in [
            ("", "neither useManagedIdentityExtension"),
            ("{}", "neither useManagedIdentityExtension"),
            (r#"{"aadClientId": "c-9"}"#, "application 'c-9'"),
            (r#"{"aadClientSecret": "s"}"#, "aadClientId and tenantId"),
            (r#"{"aadClientSecret": "s", "tenantId": "t"}"#, "not aadClientId."),
        ] {
            let error = stated(text).err().expect("refused");
            assert_eq!(error.code, Code::CloudConfigUnreadable, "{text}");
            assert!(error.cause.contains(part), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_told_by_its_place_and_never_quoted() {
        for text in [
            r#"{"aadClientSecret": [8675309], "tenantId": "t"}"#,
            "aadClientSecret: 8675309\ntenantId: [",
            "aadClientSecret: {8675309: 1}\n",
            "{\"aadClientSecret\": \"8675309",
        ] {
            let error = stated(text).err().expect("refused");
            assert_eq!(error.code, Code::CloudConfigUnreadable, "{text}");
            assert!(!error.to_string().contains("8675309"), "{error}");
            assert!(error.cause.contains("line"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(file) = CloudConfig::parse(Path::new("f"), &SecretBytes::new(bytes)) {
                let _ = file.stated();
            }
        }
    }
}
