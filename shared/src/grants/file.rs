//! The rule file: YAML → rules. Whatever is not understood is an error; nothing is skipped, since a key that is overlooked could
//! allow too much.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::glob::Pattern;
use super::selector::Selector;
use super::{Grants, GrantsError, ObjectType, Rule};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "'grants:' and a list of rules")]
struct File {
    #[serde(deserialize_with = "sequence")]
    grants: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a rule")]
struct Written {
    #[serde(default, deserialize_with = "list")]
    namespaces: Option<Vec<NamespacePattern>>,
    #[serde(default, deserialize_with = "some")]
    namespace_selector: Option<Selector>,
    #[serde(deserialize_with = "list")]
    vaults: Option<Vec<VaultPattern>>,
    #[serde(default, deserialize_with = "list")]
    types: Option<Vec<ObjectType>>,
    #[serde(default, deserialize_with = "list")]
    objects: Option<Vec<ObjectPattern>>,
}

pub(super) fn parse(text: &str) -> Result<Grants, GrantsError> {
    let file: File = serde_yaml::from_str(text).map_err(|error| of_yaml(&error))?;
    let rules = file.grants.into_iter().enumerate();
    let rules: Result<Vec<_>, _> = rules.map(|(number, written)| rule(number, written)).collect();
    rules.map(|rules| Grants { rules })
}

fn rule(number: usize, written: Written) -> Result<Rule, GrantsError> {
    if written.namespaces.is_none() && written.namespace_selector.is_none() {
        return Err(GrantsError(format!(
            "grants[{number}]: it does not say for which namespaces: write 'namespaces' or 'namespaceSelector'"
        )));
    }
    Ok(Rule {
        namespaces: written.namespaces.map(|all| all.into_iter().map(|it| it.0).collect()),
        selector: written.namespace_selector,
        vaults: written.vaults.into_iter().flatten().map(|it| it.0).collect(),
        types: written.types,
        objects: written.objects.map(|all| all.into_iter().map(|it| it.0).collect()),
    })
}

/// The place first: that is what people look for.
fn of_yaml(error: &serde_yaml::Error) -> GrantsError {
    let text = error.to_string();
    let Some(at) = error.location() else {
        return GrantsError(text);
    };
    let place = format!(" at line {} column {}", at.line(), at.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    GrantsError(format!("line {}, column {}: {text}", at.line(), at.column()))
}

/// A list, be it empty. A key without a value is none: the rest of the file may be missing.
fn sequence<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(Sequence {
        may_be_empty: true,
        items: PhantomData,
    })
}

/// A list within a rule has something in it: an empty one is a mistake.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    items(deserializer).map(Some)
}

/// The same where leaving the key out means no items.
pub(super) fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(Sequence {
        may_be_empty: false,
        items: PhantomData,
    })
}

struct Sequence<T> {
    may_be_empty: bool,
    items: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Sequence<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        if all.is_empty() && !self.may_be_empty {
            return Err(A::Error::custom(
                "the list is empty: name at least one, or leave the key out",
            ));
        }
        Ok(all)
    }
}

/// A key that is written has a value.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A text with rules of its own, checked where it stands, so that an error names its line.
pub(super) trait Text: Sized {
    fn parse(text: &str) -> Result<Self, String>;
}

pub(super) fn text<'de, D: Deserializer<'de>, T: Text>(deserializer: D) -> Result<T, D::Error> {
    struct Of<T>(PhantomData<T>);
    impl<T: Text> Visitor<'_> for Of<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            T::parse(text).map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Of(PhantomData))
}

/// Declares a text that is a pattern of some kind of name.
macro_rules! patterns {
    ($($name:ident = $parse:path;)*) => {
        $(
            struct $name(Pattern);

            impl Text for $name {
                fn parse(text: &str) -> Result<Self, String> {
                    $parse(text).map(Self)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    text(deserializer)
                }
            }
        )*
    };
}

patterns! {
    NamespacePattern = Pattern::namespace;
    VaultPattern = Pattern::vault;
    ObjectPattern = Pattern::object;
}
