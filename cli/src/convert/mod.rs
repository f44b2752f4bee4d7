//! `convert`: manifests of other projects → AKVS, and AKVS → ExternalSecrets. Pure: documents in, documents and notes out.
//!
//! What has no equivalent is never left out in silence: it is a note that counts in the exit code.

mod akvs;
mod bank_vaults;
mod external_secret;
mod names;
mod provider_class;
mod store;
mod to_external_secret;

use names::{Names, PathNames};
use serde_json::Value;

pub(crate) use to_external_secret::to_external_secrets;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Converted {
    /// Manifests, in the order of what they come from.
    pub(crate) documents: Vec<Value>,
    /// What is to be known.
    pub(crate) notes: Vec<Note>,
    /// Names that are taken by now.
    names: Names,
}

/// Something to know about a document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// `Kind NAMESPACE/NAME`, or `Kind NAME`.
    pub(crate) about: String,
    /// One sentence.
    pub(crate) text: String,
    /// Whether something of the document is not in what came of it.
    pub(crate) is_lost: bool,
}

impl Converted {
    /// 0: everything has an equivalent. 2: something has none.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.notes.iter().any(|note| note.is_lost) {
            2
        } else {
            0
        }
    }

    /// The name for an AKVS that comes of `document`: `wanted`, unless another has it.
    fn name(&mut self, document: &Value, wanted: &str) -> String {
        let name = self.names.akvs(text(document, "/metadata/namespace"), wanted);
        if name != wanted {
            self.differs(
                document,
                format!("AzureKeyVaultSecret {name}: the name {wanted} is another's already"),
            );
        }
        name
    }

    /// The names for a path of bank-vaults that `document` refers to.
    fn path(&mut self, document: &Value, path: &str, wanted: &str) -> PathNames {
        let names = self.names.path(text(document, "/metadata/namespace"), path, wanted);
        if names.is_new && (names.secret != wanted || names.akvs != wanted) {
            let PathNames { akvs, secret, .. } = &names;
            self.differs(
                document,
                format!("{path}: the name {wanted} is another's already, so it is secret '{secret}' by AzureKeyVaultSecret {akvs}"),
            );
        }
        names
    }

    fn lost(&mut self, of: &Value, text: impl Into<String>) {
        self.note(of, text, true);
    }

    fn differs(&mut self, of: &Value, text: impl Into<String>) {
        self.note(of, text, false);
    }

    fn note(&mut self, of: &Value, text: impl Into<String>, is_lost: bool) {
        let note = Note {
            about: about(of),
            text: text.into(),
            is_lost,
        };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// `documents` as AKVS; `vault` is the vault of those that name none.
pub(crate) fn to_akvs(documents: &[Value], vault: Option<&str>) -> Converted {
    let stores = store::stores(documents);
    let mut converted = Converted::default();
    for document in documents {
        match (group(document), text(document, "/kind")) {
            ("external-secrets.io", "ExternalSecret") => {
                external_secret::convert(document, &stores, vault, &mut converted);
            }
            ("external-secrets.io", "SecretStore" | "ClusterSecretStore") => {}
            ("secrets-store.csi.x-k8s.io", "SecretProviderClass") => {
                provider_class::convert(document, &mut converted);
            }
            (_, kind) if bank_vaults::has_references(document) => {
                bank_vaults::convert(document, kind, vault, &mut converted);
            }
            _ => converted.lost(
                document,
                "it is nothing that can be converted, and holds no reference vault:PATH#KEY",
            ),
        }
    }
    converted
}

/// `Kind NAMESPACE/NAME`.
fn about(document: &Value) -> String {
    let (kind, name) = (text(document, "/kind"), text(document, "/metadata/name"));
    match text(document, "/metadata/namespace") {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

/// The group in `apiVersion`; empty for the core group.
fn group(document: &Value) -> &str {
    text(document, "/apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group)
}

/// The text at a JSON pointer (RFC 6901), or nothing.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The same; `None` where there is none, or an empty one.
fn some_text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    Some(text(value, pointer)).filter(|text| !text.is_empty())
}

/// The list at a JSON pointer, or an empty one.
fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// `text` as a part of a name: lower case, and hyphens for all that is neither letter nor digit.
fn slug(text: &str) -> String {
    let hyphened: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let words: Vec<_> = hyphened.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}

/// `name` with `suffix` behind it, as far as there is anything of that.
fn suffixed(name: &str, suffix: &str) -> String {
    match slug(suffix).as_str() {
        "" => name.to_owned(),
        suffix => format!("{name}-{suffix}"),
    }
}

#[cfg(test)]
mod tests;
