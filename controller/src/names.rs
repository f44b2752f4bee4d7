//! Names that vaults listed: what a misspelt reference may have meant.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use akv2k8s_shared::diagnosis::{Code, Diagnosis, Explanation, case};
use akv2k8s_shared::keyvault::changes::watched;
use akv2k8s_shared::keyvault::{Collection, Listing};
use akv2k8s_shared::readers::Reader;
use akv2k8s_shared::reference::{ObjectName, ObjectRef};

use crate::sight::Sight;

/// What the last LIST of each collection named, for each reader: nobody is told names that only somebody else may list.
/// Filled by the poller: no request is made for it, and a restart forgets it.
#[derive(Default)]
pub(crate) struct Names(Mutex<Known>);

/// One text per collection, a name on each line: a fraction of the memory that ten thousand strings would take.
type Known = HashMap<(Sight, Collection), String>;

impl Names {
    /// Takes over the names of a whole LIST.
    pub(crate) fn listed(&self, sight: &Sight, collection: Collection, listing: &Listing) {
        let mut text = String::new();
        for name in listing.items.keys() {
            text.push_str(name.as_str());
            text.push('\n');
        }
        self.known().insert((sight.clone(), collection), text);
    }

    /// Forgets what this reader may no longer list.
    pub(crate) fn forget(&self, sight: &Sight, collection: Collection) {
        self.known().remove(&(sight.clone(), collection));
    }

    /// Forgets everything that this reader listed: it is somebody else now.
    pub(crate) fn forget_all(&self, sight: &Sight) {
        self.known().retain(|(known, _), _| known != sight);
    }

    /// Forgets what nobody looks at any more.
    pub(crate) fn retain(&self, looked_at: impl Fn(&Sight) -> bool) {
        self.known().retain(|(sight, _), _| looked_at(sight));
    }

    /// Adds to "there is none" what `reader` may know of the vault's names; of others than `granted` ones nothing is said.
    pub(crate) fn advise(
        &self,
        reader: &Reader,
        object: &ObjectRef,
        mut diagnosis: Diagnosis,
        granted: impl Fn(&ObjectRef) -> bool,
    ) -> Diagnosis {
        if diagnosis.code != Code::ObjectNotFound {
            return diagnosis;
        }
        let sight = Sight {
            vault: object.vault.as_str().to_owned(),
            reader: reader.clone(),
        };
        let known = self.known();
        let Some(names) = watched(object.kind).first().and_then(|it| known.get(&(sight, *it))) else {
            return diagnosis;
        };
        let wanted = object.name.as_str();
        if names.lines().any(|name| name.eq_ignore_ascii_case(wanted)) {
            if object.version.is_some() {
                let Explanation { cause, fix, .. } = case::VersionNotFound.into();
                (diagnosis.cause, diagnosis.fix) = (cause, fix);
            }
        } else if let Some(name) = nearest(wanted, names.lines(), |name| {
            named(object, name).is_some_and(|it| granted(&it))
        }) {
            let near = case::NameMisspelt {
                near: &name,
                fix: &diagnosis.fix,
            };
            diagnosis.fix = Explanation::from(near).fix;
        }
        diagnosis
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The object called `name` in the place of `object`.
fn named(object: &ObjectRef, name: &str) -> Option<ObjectRef> {
    Some(ObjectRef {
        name: ObjectName::parse(name).ok()?,
        ..object.clone()
    })
}

/// The `granted` name that takes the fewest typing errors (a letter added, left out, replaced, or two swapped; case does not count) to
/// become `wanted`: at most one for every three letters, and never more than three. The first in the alphabet among equals.
fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>, granted: impl Fn(&str) -> bool) -> Option<&'n str> {
    let limit = (wanted.len() / 3).clamp(1, 3);
    let wanted = wanted.to_ascii_lowercase();
    let near = names.filter(|name| name.len().abs_diff(wanted.len()) <= limit);
    let measured = near.map(|name| (strsim::osa_distance(&name.to_ascii_lowercase(), &wanted), name));
    measured
        .filter(|(distance, name)| *distance <= limit && granted(name))
        .min()
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::keyvault::Listed;
    use akv2k8s_shared::keyvault::model::Fingerprint;
    use akv2k8s_shared::reference::{ObjectKind, ObjectVersion, VaultName};

    use super::*;
    use akv2k8s_shared::readers::Account;

    #[test]
    fn the_nearest_name_is_the_one_with_the_fewest_typing_errors() {
        let names = ["db-password", "db-user", "my-secret", "my-secrets", "x"];
        for (wanted, meant) in [
            ("my-secert", Some("my-secret")),
            ("MY-SECRE", Some("my-secret")),
            ("my-secretz", Some("my-secret")),
            ("my-secretss", Some("my-secrets")),
            ("db-pasword", Some("db-password")),
            ("db-passwd", Some("db-password")),
            ("y", Some("x")),
            ("something-else", None),
            ("db", None),
        ] {
            assert_eq!(nearest(wanted, names.into_iter(), |_| true), meant, "{wanted}");
        }
    }

    fn names(listed: &[&str]) -> Names {
        let mark = || Listed {
            fingerprint: Fingerprint("f".to_owned()),
            settled: true,
            enabled: true,
        };
        let items = listed.iter().map(|name| (ObjectName::parse(name).unwrap(), mark()));
        let names = Names::default();
        let listing = Listing {
            items: items.collect(),
            pages: 1,
        };
        names.listed(&sight("kv1"), Collection::Secrets, &listing);
        names
    }

    fn sight(vault: &str) -> Sight {
        Sight {
            vault: vault.to_owned(),
            reader: Reader::Program,
        }
    }

    fn advise(names: &Names, object: &ObjectRef, diagnosis: Diagnosis) -> Diagnosis {
        names.advise(&Reader::Program, object, diagnosis, |_| true)
    }

    fn object(kind: ObjectKind, name: &str, version: Option<&str>) -> ObjectRef {
        ObjectRef {
            vault: VaultName::parse("kv1").unwrap(),
            kind,
            name: ObjectName::parse(name).unwrap(),
            version: version.map(|it| ObjectVersion::parse(it).unwrap()),
        }
    }

    fn diagnosis(code: Code) -> Diagnosis {
        let message = "There is none. Cause: Wrong name. Fix: az keyvault secret list";
        Diagnosis::told(code.as_str(), message).expect("a code of this version")
    }

    #[test]
    fn advice_is_given_for_what_is_missing_in_the_collection_it_was_looked_for_in() {
        let names = names(&["my-secret"]);
        let missing = object(ObjectKind::Secret, "my-secert", None);
        assert_eq!(
            advise(&names, &missing, diagnosis(Code::ObjectNotFound)).fix,
            "Did you mean 'my-secret'? Else look it up: az keyvault secret list"
        );
        let untouched = |object: &ObjectRef, code| advise(&names, object, diagnosis(code)) == diagnosis(code);
        assert!(untouched(&missing, Code::Throttled));
        assert!(untouched(
            &object(ObjectKind::Key, "my-secert", None),
            Code::ObjectNotFound
        ));
        // It was there when the vault was listed: deleted since.
        assert!(untouched(
            &object(ObjectKind::Secret, "my-secret", None),
            Code::ObjectNotFound
        ));
    }

    #[test]
    fn what_others_keep_in_a_shared_vault_is_not_told() {
        let missing = object(ObjectKind::Secret, "team-a-dc", None);
        let plain = diagnosis(Code::ObjectNotFound);
        let names = names(&["team-b-db", "team-a-db"]);
        let ours = |object: &ObjectRef| object.name.as_str().starts_with("team-a");
        assert!(
            names
                .advise(&Reader::Program, &missing, plain.clone(), ours)
                .fix
                .contains("team-a-db")
        );
        let nobodys = names.advise(&Reader::Program, &missing, plain.clone(), |_| false);
        assert_eq!(nobodys, plain);
    }

    #[test]
    fn a_version_that_is_missing_is_told_from_a_name_that_is() {
        let pinned = object(ObjectKind::Secret, "my-secret", Some(&"0".repeat(32)));
        let advised = advise(&names(&["My-Secret"]), &pinned, diagnosis(Code::ObjectNotFound));
        assert!(advised.cause.contains("not this version"), "{advised}");
    }

    #[test]
    fn what_may_no_longer_be_listed_is_forgotten() {
        let missing = object(ObjectKind::Secret, "my-secert", None);
        let plain = diagnosis(Code::ObjectNotFound);
        let forbidden = names(&["my-secret"]);
        forbidden.forget(&sight("kv1"), Collection::Secrets);
        assert_eq!(advise(&forbidden, &missing, plain.clone()), plain);
        let unused = names(&["my-secret"]);
        unused.retain(|it| *it == sight("kv1"));
        assert_ne!(advise(&unused, &missing, plain.clone()), plain);
        unused.retain(|it| *it == sight("kv2"));
        assert_eq!(advise(&unused, &missing, plain.clone()), plain);
    }
    #[test]
    fn nobody_is_told_the_names_that_somebody_else_may_list() {
        let names = names(&["my-secret"]);
        let missing = object(ObjectKind::Secret, "my-secert", None);
        let plain = diagnosis(Code::ObjectNotFound);
        let stranger = Reader::ServiceAccount(Account::new("bank", "reader"));
        assert_eq!(names.advise(&stranger, &missing, plain.clone(), |_| true), plain);
        assert_ne!(advise(&names, &missing, plain.clone()), plain);
    }
}
