//! Trying it for once: a token, and a vault. Reads no value.

use super::Check;
use crate::diagnosis::Code;
use crate::identity::Identity;
use crate::keyvault::{KeyVault, Priority};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

/// An object that nobody has: asking for it tells the right to read from its lack, and brings no value here.
const NOBODYS: &str = "akv2k8s-doctor-does-not-exist";

/// Whether Entra gives `who` a token for vaults: check `token`.
pub async fn identity(who: &Identity) -> Check {
    const ID: &str = "token";
    let audience = &who.cloud().vault_audience;
    match who.token(audience).await {
        Ok(_) => Check::passed(ID, format!("Entra gives a token for {audience}.")),
        Err(error) => Check::failed(ID, error.diagnosis),
    }
}

/// Whether `who` may read objects of `kind` in `name`: check `vault`. Its name resolves, TLS works, the firewall lets us in, the
/// tenant is right and a role allows it when the vault answers that there is no such object.
pub async fn vault(client: &KeyVault, who: &Identity, name: &VaultName, kind: ObjectKind) -> Check {
    const ID: &str = "vault";
    let object = ObjectRef {
        vault: name.clone(),
        kind,
        name: ObjectName::parse(NOBODYS).expect("the constant is an object's name"),
        version: None,
    };
    let may = || {
        let what = match kind {
            ObjectKind::Secret => "secrets",
            ObjectKind::Certificate | ObjectKind::CertificateWithKey => "certificates",
            ObjectKind::Key => "keys",
        };
        Check::passed(
            ID,
            format!("Vault '{name}' answers and lets this identity read {what}."),
        )
    };
    match client.get(who, &object, Priority::New).await {
        Ok(_) => may(),
        Err(error) if error.diagnosis.code == Code::ObjectNotFound => may(),
        Err(error) => Check::failed(ID, error.diagnosis),
    }
}
