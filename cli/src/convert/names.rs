//! Names that are given in one run, so that no two things get the same.

use std::collections::{BTreeMap, BTreeSet};

/// The names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// AKVS, by namespace.
    akvs: BTreeSet<(String, String)>,
    /// What a path of bank-vaults is called in Key Vault.
    secrets: BTreeMap<String, String>,
    /// The AKVS of such a path, by namespace.
    paths: BTreeMap<(String, String), String>,
}

/// What a path of bank-vaults became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathNames {
    /// The AKVS.
    pub(super) akvs: String,
    /// The secret in Key Vault.
    pub(super) secret: String,
    /// Whether the AKVS was named just now.
    pub(super) is_new: bool,
}

impl Names {
    /// `wanted` for an AKVS of `namespace`, or with a number behind it when that is taken.
    pub(super) fn akvs(&mut self, namespace: &str, wanted: &str) -> String {
        let is_taken = |name: &str| self.akvs.contains(&(namespace.to_owned(), name.to_owned()));
        let name = free(wanted, is_taken);
        self.akvs.insert((namespace.to_owned(), name.clone()));
        name
    }

    /// The names for `path` in `namespace`: the same whenever it is asked for. `wanted` is what it would be called.
    pub(super) fn path(&mut self, namespace: &str, path: &str, wanted: &str) -> PathNames {
        let taken: BTreeSet<_> = self.secrets.values().cloned().collect();
        let secret = self.secrets.entry(path.to_owned());
        let secret = secret
            .or_insert_with(|| free(wanted, |name| taken.contains(name)))
            .clone();
        let key = (namespace.to_owned(), path.to_owned());
        if let Some(akvs) = self.paths.get(&key).cloned() {
            return PathNames {
                akvs,
                secret,
                is_new: false,
            };
        }
        let akvs = self.akvs(namespace, &secret);
        self.paths.insert(key, akvs.clone());
        PathNames {
            akvs,
            secret,
            is_new: true,
        }
    }
}

/// `name`, or with the first number behind it with which it is not taken.
fn free(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let all = std::iter::once(name.to_owned()).chain(numbered);
    all.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_given_once_in_each_namespace() {
        let mut names = Names::default();
        let given: Vec<_> = ["a", "a", "b", "a"].iter().map(|name| names.akvs("x", name)).collect();
        assert_eq!(given, ["a", "a-2", "b", "a-3"]);
        assert_eq!(names.akvs("y", "a"), "a");
    }

    #[test]
    fn a_path_has_one_secret_everywhere_and_one_akvs_in_each_namespace() {
        let mut names = Names::default();
        let path = |akvs: &str, secret: &str, is_new| PathNames {
            akvs: akvs.to_owned(),
            secret: secret.to_owned(),
            is_new,
        };
        assert_eq!(names.path("x", "shop/db", "shop-db"), path("shop-db", "shop-db", true));
        assert_eq!(names.path("x", "shop/db", "shop-db"), path("shop-db", "shop-db", false));
        assert_eq!(
            names.path("x", "shop-db", "shop-db"),
            path("shop-db-2", "shop-db-2", true)
        );
        assert_eq!(
            names.path("y", "shop-db", "shop-db"),
            path("shop-db-2", "shop-db-2", true)
        );
        assert_eq!(names.akvs("x", "shop-db"), "shop-db-3");
    }
}
