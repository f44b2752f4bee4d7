//! Trying it for once: a token, and a vault. Reads no value.

use super::Check;
use crate::diagnosis::{Code, Diagnosis};
use crate::identity::Identity;
use crate::keyvault::{Collection, KeyVault, Priority};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

/// The id of what is said of a vault.
const ID: &str = "vault";
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
    match read(client, who, name, kind).await {
        Ok(()) => Check::passed(
            ID,
            format!(
                "Vault '{name}' answers and lets this identity read {}.",
                collection(kind).as_str()
            ),
        ),
        Err(diagnosis) => Check::failed(ID, diagnosis),
    }
}

/// What `who` may do in `name`: checks `vault`, one each for secrets, certificates and keys. A vault that cannot be asked is one check.
pub async fn vault_rights(client: &KeyVault, who: &Identity, name: &VaultName) -> Vec<Check> {
    let mut found = Vec::new();
    for kind in [ObjectKind::Secret, ObjectKind::Certificate, ObjectKind::Key] {
        let collection = collection(kind);
        let listed = client.list(who, name, collection, Priority::New).await;
        let right = Right {
            collection,
            read: read(client, who, name, kind).await,
            list: listed.map(drop).map_err(|error| error.diagnosis),
        };
        if let Some(fault) = right.fault() {
            return vec![Check::failed(ID, fault)];
        }
        found.push(right);
    }
    told(name, found)
}

async fn read(client: &KeyVault, who: &Identity, name: &VaultName, kind: ObjectKind) -> Result<(), Diagnosis> {
    let object = ObjectRef {
        vault: name.clone(),
        kind,
        name: ObjectName::parse(NOBODYS).expect("the constant is an object's name"),
        version: None,
    };
    match client.get(who, &object, Priority::New).await {
        Ok(_) => Ok(()),
        Err(error) if error.diagnosis.code == Code::ObjectNotFound => Ok(()),
        Err(error) => Err(error.diagnosis),
    }
}

fn collection(kind: ObjectKind) -> Collection {
    match kind {
        ObjectKind::Secret => Collection::Secrets,
        ObjectKind::Certificate | ObjectKind::CertificateWithKey => Collection::Certificates,
        ObjectKind::Key => Collection::Keys,
    }
}

/// What came of asking for objects of one kind.
struct Right {
    collection: Collection,
    read: Result<(), Diagnosis>,
    list: Result<(), Diagnosis>,
}

impl Right {
    /// What kept the question from being answered: anything but a right that is missing.
    fn fault(&self) -> Option<Diagnosis> {
        let errors = [&self.read, &self.list].into_iter().filter_map(|it| it.as_ref().err());
        errors.into_iter().find(|it| !is_denial(it.code)).cloned()
    }
}

fn is_denial(code: Code) -> bool {
    matches!(
        code,
        Code::ForbiddenByRbac | Code::ForbiddenByPolicy | Code::WrongPermissionKind | Code::Forbidden
    )
}

/// Few identities need every kind, so a kind without any right is no failure, as long as another has one. One that may be listed
/// and not read is: the role is too small (Key Vault Reader).
fn told(name: &VaultName, rights: Vec<Right>) -> Vec<Check> {
    let mut needs_one = rights.iter().all(|right| right.read.is_err());
    let told = rights.into_iter().map(|Right { collection, read, list }| {
        let what = collection.as_str();
        match (read, list) {
            (Ok(()), Ok(())) => Check::passed(ID, format!("Vault '{name}' lets this identity read and list {what}.")),
            (Ok(()), Err(_)) => Check::passed(
                ID,
                format!(
                    "Vault '{name}' lets this identity read {what}, and not list them: each is read to see a change."
                ),
            ),
            (Err(diagnosis), list) if list.is_ok() || needs_one => {
                needs_one = false;
                Check::failed(ID, diagnosis)
            }
            (Err(diagnosis), _) => Check::not_made(
                ID,
                format!("Vault '{name}': no right to read or list {what} ({}).", diagnosis.code),
            ),
        }
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn rights_are_told_kind_by_kind_and_their_lack_fails_where_it_must() {
        let vault = VaultName::parse("kv1").unwrap();
        let denied = || Err(Diagnosis::of(Code::ForbiddenByRbac, "No.", &[]));
        let right = |collection, read, list| Right {
            collection,
            read: if read { Ok(()) } else { denied() },
            list: if list { Ok(()) } else { denied() },
        };
        for (rights, marks) in [
            ([(true, true), (false, false), (false, false)], "✓––"),
            ([(false, false), (true, true), (true, false)], "–✓✓"),
            ([(false, false), (false, false), (false, false)], "✗––"),
            // Key Vault Reader.
            ([(false, true), (true, true), (true, true)], "✗✓✓"),
        ] {
            let kinds = [Collection::Secrets, Collection::Certificates, Collection::Keys];
            let all = kinds.into_iter().zip(rights);
            let checks = told(
                &vault,
                all.map(|(kind, (read, list))| right(kind, read, list)).collect(),
            );
            let found: String = checks
                .iter()
                .map(|check| match check.outcome {
                    Outcome::Passed(_) => '✓',
                    Outcome::Failed(_) => '✗',
                    Outcome::NotMade(_) | Outcome::NotAllowed(_) => '–',
                })
                .collect();
            assert_eq!(found, marks, "{rights:?}");
        }
    }
}
