//! A YAML mapping of scalars, each with its text as written.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::nested;
use crate::diagnosis::{Explanation, case};
use crate::object::SecretData;
use crate::secret::SecretBytes;

/// Two passes, because a YAML reader either says what a value is or gives its text, never both: the first finds the
/// kinds, the second reads the text of the scalars.
pub(super) fn parse(text: &str) -> Result<SecretData, Explanation> {
    check_nesting(text)?;
    let Kinds(kinds) = serde_yaml::from_str(text).map_err(|error| unreadable(&error))?;
    if let Some((key, _)) = kinds
        .iter()
        .find(|(_, kind)| matches!(kind, Kind::List | Kind::Mapping))
    {
        return Err(nested(key));
    }
    Texts(&kinds)
        .deserialize(serde_yaml::Deserializer::from_str(text))
        .map_err(|error| unreadable(&error))
}

/// The YAML scanner's time per token grows with the brackets that are open.
const MAX_OPEN_BRACKETS: usize = 1000;

pub(super) fn check_nesting(text: &str) -> Result<(), Explanation> {
    if nests_too_deep(text) {
        let brackets = &MAX_OPEN_BRACKETS;
        return Err(case::PairsTooNested { brackets }.into());
    }
    Ok(())
}

pub(super) fn unreadable(error: &serde_yaml::Error) -> Explanation {
    let place = error.location().map_or_else(String::new, |at| {
        format!(" (line {}, column {})", at.line(), at.column())
    });
    case::PairsNotYaml { place: &place }.into()
}

/// Counts brackets wherever they stand; brackets in strings are closed again, or are few.
fn nests_too_deep(text: &str) -> bool {
    let mut open: usize = 0;
    text.bytes().any(|byte| {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open > MAX_OPEN_BRACKETS
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Scalar,
    List,
    Mapping,
}

/// The kinds of a mapping's values, in document order.
pub(super) struct Kinds(pub(super) Vec<(String, Kind)>);

impl<'de> Deserialize<'de> for Kinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MappingVisitor;
        impl<'de> Visitor<'de> for MappingVisitor {
            type Value = Kinds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kinds, A::Error> {
                let mut kinds = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    kinds.push(pair);
                }
                Ok(Kinds(kinds))
            }
        }
        deserializer.deserialize_any(MappingVisitor)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

/// Visitor methods for scalars, whose value does not matter.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Kind, E> { Ok(Kind::Scalar) })*
    };
}

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128, visit_f64: f64, visit_str: &str);

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Kind, A::Error> {
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Kind::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Kind::Mapping)
    }

    /// A value with a tag of the user's own (`!tag value`): the tag says nothing to us.
    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Kind, A::Error> {
        let (_, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant()
    }
}

/// Reads the pairs of a mapping whose kinds are known.
struct Texts<'a>(&'a [(String, Kind)]);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = SecretData;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<SecretData, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = SecretData;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SecretData, A::Error> {
        let mut data = SecretData::new();
        for (_, kind) in self.0 {
            let Some(key) = map.next_key::<String>()? else { break };
            let value = if *kind == Kind::Null {
                map.next_value::<IgnoredAny>()?;
                SecretBytes::from("")
            } else {
                SecretBytes::from(map.next_value::<String>()?)
            };
            data.insert(key, value);
        }
        // The kinds came from the same text, so the mapping is at its end; asking tells the parser so.
        map.next_key::<IgnoredAny>()?;
        Ok(data)
    }
}
