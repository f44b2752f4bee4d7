//! References in the values of environment variables: the one grammar for webhook, broker and exec wrapper.
//!
//! ```text
//!  NAME@azurekeyvault[?[QUERY]]                                                  an AzureKeyVaultSecret of the pod's namespace
//!  azurekeyvault://VAULT/secrets|certificates|keys/NAME[/VERSION][?[QUERY]]      an object of a vault, in direct mode only
//!
//!  NAME:  letters, digits, '-' and '.', at most 255, beginning and ending with a letter or digit
//!  QUERY: letters, digits, '_', '-' and '.', beginning with a letter or '_'
//! ```
//!
//! The first form is akv2k8s 1.x's, which had no dots in names and no hyphens in queries. What has neither form is an ordinary value,
//! as it was there; what begins with `azurekeyvault://` and has a mistake in it is an error.

use std::fmt;

use thiserror::Error;

use crate::reference::{ObjectKind, ObjectName, ObjectRef, ObjectVersion, VaultName};

/// What follows the name of an AKVS.
const MARK: &str = "@azurekeyvault";
/// What a direct reference begins with.
const SCHEME: &str = "azurekeyvault://";
/// Longest name of an AKVS that is looked at, as in akv2k8s 1.x.
const LONGEST_NAME: usize = 255;

/// What a variable's whole value refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// `NAME@azurekeyvault?QUERY`.
    Akvs {
        /// The AKVS, in the pod's own namespace. Upper case is kept, although no AKVS has it in its name.
        name: String,
        /// The part of the object that is meant.
        query: Option<Query>,
    },
    /// `azurekeyvault://VAULT/secrets/NAME/VERSION?QUERY`.
    Direct {
        /// The object; a certificate always [`ObjectKind::Certificate`], since what is read of it depends on the query.
        object: ObjectRef,
        /// The part of the object that is meant.
        query: Option<Query>,
    },
}

/// The part of an object that is meant: `tls.key`, `username`, a key of a multi-key value, a path in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Query(String);

/// Why a value that begins with `azurekeyvault://` is no reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// The parts are not there.
    #[error(
        "write it as azurekeyvault://VAULT/secrets/NAME, with certificates or keys in place of secrets, and /VERSION at its end if need be"
    )]
    Form,
    /// Neither `secrets`, `certificates` nor `keys`.
    #[error("between the vault's name and the object's stands secrets, certificates or keys, in lower case")]
    Collection,
    /// The query has other characters.
    #[error("after the question mark stand letters, digits, '_', '-' and '.', and the first is a letter or '_'")]
    Query,
    /// A name is not one Azure could have given.
    #[error(transparent)]
    Name(#[from] crate::reference::ReferenceError),
}

impl Query {
    /// Parses a query, without its question mark.
    pub fn parse(text: &str) -> Option<Self> {
        let first = text.bytes().next()?;
        let valid = (first.is_ascii_alphabetic() || first == b'_')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        valid.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Reference {
    /// What `value` refers to; `None`: it is an ordinary value.
    pub fn parse(value: &str) -> Option<Result<Self, ReferenceError>> {
        match value.strip_prefix(SCHEME) {
            Some(rest) => Some(direct(rest)),
            None => akvs(value).map(Ok),
        }
    }

    /// The part of the object that is meant.
    pub fn query(&self) -> Option<&Query> {
        match self {
            Self::Akvs { query, .. } | Self::Direct { query, .. } => query.as_ref(),
        }
    }
}

/// As somebody would write it; an empty query is left out.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Akvs { name, .. } => write!(f, "{name}{MARK}")?,
            Self::Direct { object, .. } => {
                let collection = match object.kind {
                    ObjectKind::Secret => "secrets",
                    ObjectKind::Certificate | ObjectKind::CertificateWithKey => "certificates",
                    ObjectKind::Key => "keys",
                };
                write!(f, "{SCHEME}{}/{collection}/{}", object.vault, object.name)?;
                if let Some(version) = &object.version {
                    write!(f, "/{version}")?;
                }
            }
        }
        match self.query() {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

fn akvs(value: &str) -> Option<Reference> {
    let (name, rest) = value.split_at_checked(value.find('@')?)?;
    let query = optional_query(rest.strip_prefix(MARK)?).ok()?;
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
    let valid = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    valid.then(|| Reference::Akvs {
        name: name.to_owned(),
        query,
    })
}

fn direct(rest: &str) -> Result<Reference, ReferenceError> {
    let end = rest.find('?').unwrap_or(rest.len());
    let (path, query) = rest.split_at(end);
    let query = optional_query(query)?;
    let mut parts = path.split('/');
    let (Some(vault), Some(collection), Some(name), version, None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ReferenceError::Form);
    };
    let kind = match collection {
        "secrets" => ObjectKind::Secret,
        "certificates" => ObjectKind::Certificate,
        "keys" => ObjectKind::Key,
        _ => return Err(ReferenceError::Collection),
    };
    let object = ObjectRef {
        vault: VaultName::parse(vault)?,
        kind,
        name: ObjectName::parse(name)?,
        version: version.map(ObjectVersion::parse).transpose()?,
    };
    Ok(Reference::Direct { object, query })
}

/// Nothing, `?`, or `?QUERY`.
///
/// # Errors
/// It is anything else.
fn optional_query(text: &str) -> Result<Option<Query>, ReferenceError> {
    if text.is_empty() || text == "?" {
        return Ok(None);
    }
    let query = text.strip_prefix('?').and_then(Query::parse);
    query.map(Some).ok_or(ReferenceError::Query)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn named(value: &str) -> Option<(String, Option<String>)> {
        match Reference::parse(value)?.ok()? {
            Reference::Akvs { name, query } => Some((name, query.map(|query| query.0))),
            Reference::Direct { .. } => None,
        }
    }

    #[test]
    fn what_akv2k8s_reads_as_a_reference_is_one_and_dots_and_hyphens_as_well() {
        let longest = "a".repeat(255);
        for (value, name, query) in [
            ("db@azurekeyvault", "db", None),
            ("DB-1@azurekeyvault", "DB-1", None),
            ("db@azurekeyvault?", "db", None),
            ("db@azurekeyvault?tls.key", "db", Some("tls.key")),
            ("db@azurekeyvault?_x1", "db", Some("_x1")),
            ("my.db.v1@azurekeyvault?a-b.c", "my.db.v1", Some("a-b.c")),
            (&format!("{longest}@azurekeyvault"), &longest, None),
        ] {
            assert_eq!(
                named(value),
                Some((name.to_owned(), query.map(str::to_owned))),
                "{value}"
            );
        }
    }

    #[test]
    fn what_akv2k8s_leaves_alone_is_an_ordinary_value() {
        let too_long = format!("{}@azurekeyvault", "a".repeat(256));
        for value in [
            "",
            "@azurekeyvault",
            "db",
            "db@azurekeyvaul",
            "db@azurekeyvault.com",
            "db@AzureKeyVault",
            "db@azurekeyvault\n",
            " db@azurekeyvault",
            "-db@azurekeyvault",
            "db-@azurekeyvault",
            ".db@azurekeyvault",
            "d_b@azurekeyvault",
            "dä@azurekeyvault",
            "a@b@azurekeyvault",
            "db@azurekeyvault??",
            "db@azurekeyvault?1",
            "db@azurekeyvault?-a",
            "db@azurekeyvault?a b",
            "db@azurekeyvault?a?b",
            "postgres://u:db@azurekeyvault",
            "Azurekeyvault://v/secrets/s",
            "azurekeyvault:/v/secrets/s",
            &too_long,
        ] {
            assert_eq!(Reference::parse(value), None, "{value}");
        }
    }

    #[test]
    fn a_direct_reference_names_vault_kind_object_and_version() {
        let version = "0123456789ABCDEF0123456789abcdef";
        for (value, kind, pinned, query) in [
            ("azurekeyvault://My-Vault/secrets/db-1", ObjectKind::Secret, false, None),
            (
                "azurekeyvault://my-vault/secrets/db-1?",
                ObjectKind::Secret,
                false,
                None,
            ),
            (
                "azurekeyvault://my-vault/keys/db-1?jwk",
                ObjectKind::Key,
                false,
                Some("jwk"),
            ),
            (
                &format!("azurekeyvault://my-vault/certificates/db-1/{version}?tls.key"),
                ObjectKind::Certificate,
                true,
                Some("tls.key"),
            ),
        ] {
            let Some(Ok(Reference::Direct { object, query: found })) = Reference::parse(value) else {
                unreachable!("{value} is a direct reference");
            };
            assert_eq!(
                (object.vault.as_str(), object.name.as_str()),
                ("my-vault", "db-1"),
                "{value}"
            );
            assert_eq!((object.kind, object.version.is_some()), (kind, pinned), "{value}");
            assert_eq!(found.as_ref().map(Query::as_str), query, "{value}");
        }
    }

    #[test]
    fn a_direct_reference_with_a_mistake_is_an_error_not_a_value() {
        use ReferenceError::{Collection, Form, Query};
        for (value, expected) in [
            ("azurekeyvault://", Form),
            ("azurekeyvault://vault", Form),
            ("azurekeyvault://vault/secrets", Form),
            ("azurekeyvault://vault/secrets/a/b/c", Form),
            ("azurekeyvault://vault/Secrets/a", Collection),
            ("azurekeyvault://vault/secret/a", Collection),
            ("azurekeyvault://vault/secrets/a?b c", Query),
            ("azurekeyvault://vault/secrets/a?1", Query),
        ] {
            assert_eq!(Reference::parse(value), Some(Err(expected)), "{value}");
        }
        for value in [
            "azurekeyvault://v/secrets/a",
            "azurekeyvault://vault.vault.azure.net/secrets/a",
            "azurekeyvault://vault/secrets/",
            "azurekeyvault://vault/secrets/a b",
            "azurekeyvault://vault/secrets/a/",
            "azurekeyvault://vault/secrets/a/latest",
            "azurekeyvault://user@vault/secrets/a",
        ] {
            let error = Reference::parse(value);
            assert!(
                matches!(error, Some(Err(ReferenceError::Name(_)))),
                "{value}: {error:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_somebody_writes_is_read_without_a_panic(value: String) {
            let _ = Reference::parse(&value);
            let _ = Reference::parse(&format!("azurekeyvault://{value}"));
            let _ = Reference::parse(&format!("a@azurekeyvault{value}"));
        }

        /// The expression is the contract's, with dots and hyphens: an independent reading of the same grammar.
        #[test]
        fn every_word_of_the_grammar_is_a_reference(
            name in "[a-zA-Z0-9]([a-zA-Z0-9.-]{0,253}[a-zA-Z0-9])?",
            query in proptest::option::of("([a-zA-Z_][a-zA-Z0-9_.-]{0,40})?"),
        ) {
            let text = query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
            let found = named(&format!("{name}@azurekeyvault{text}"));
            prop_assert_eq!(found, Some((name, query.filter(|query| !query.is_empty()))));
        }

        #[test]
        fn nothing_around_a_reference_is_overlooked(before in "[^a-zA-Z0-9@]", after in "[^a-zA-Z0-9_.?-]") {
            let with_blank = format!("{before}db@azurekeyvault?q{after}");
            prop_assert_eq!(Reference::parse(&with_blank), None);
            let (before, after) = (format!("{before}db@azurekeyvault"), format!("db@azurekeyvault{after}"));
            prop_assert_eq!(Reference::parse(&before), None);
            prop_assert_eq!(Reference::parse(&after), None);
        }

        #[test]
        fn what_is_written_is_read_again(
            vault in "[a-z][a-z0-9]{2,20}", collection in "secrets|certificates|keys", name in "[a-zA-Z0-9-]{1,127}",
            version in proptest::option::of("[0-9a-f]{32}"), query in proptest::option::of("[a-zA-Z_][a-zA-Z0-9_.-]{0,40}"),
        ) {
            let version = version.map_or_else(String::new, |version| format!("/{version}"));
            let query = query.map_or_else(String::new, |query| format!("?{query}"));
            let text = format!("azurekeyvault://{vault}/{collection}/{name}{version}{query}");
            let reference = Reference::parse(&text).expect("a reference").expect("without a mistake");
            prop_assert_eq!(reference.to_string(), text);
        }
    }
}
