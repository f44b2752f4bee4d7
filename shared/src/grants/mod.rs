//! Who may use which vault: the rule file of `--vault-grants`, and the one function that every program asks before any request
//! to a vault or for a token.
//!
//! ```yaml
//! grants:
//!   - namespaces: [payments, "team-a-*"]                      # names or patterns
//!     namespaceSelector: {matchLabels: {stage: prod}}         # and these labels; one of the two may be left out
//!     vaults: [payments-kv]                                   # names or patterns
//!     types: [secret, certificate]                            # left out: all
//!     objects: ["db-*"]                                       # names or patterns; left out: all
//! ```
//!
//! No rule at all allows everything; with the first one, everything that no rule allows is denied. Rules only ever add. Names are
//! compared as Azure compares them, without regard to case, and only parsed names ([`ObjectRef`]) get here at all, so that
//! there is one spelling of each.

mod denied;
mod file;
mod glob;
mod rule_file;
pub mod rules;
mod selector;

use std::collections::BTreeMap;

pub use denied::Denied;
use denied::Step;
use glob::Pattern;
pub use glob::fits;
pub use rule_file::RuleFile;
use selector::Selector;
use serde::Deserialize;
use thiserror::Error;

use crate::reference::{ObjectKind, ObjectRef, VaultName};

/// The rules of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    rules: Vec<Rule>,
}

/// Why a rule file cannot be used: the line, the key, and what to write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct GrantsError(String);

/// A namespace that asks.
#[derive(Debug, Clone, Copy)]
pub struct Namespace<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.labels`, or why they are not known. A rule with a selector then does not apply.
    pub labels: Result<&'a BTreeMap<String, String>, &'a str>,
}

/// One rule: it allows what fits all of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    /// `None`: any, as far as the selector goes.
    namespaces: Option<Vec<Pattern>>,
    selector: Option<Selector>,
    vaults: Vec<Pattern>,
    types: Option<Vec<ObjectType>>,
    objects: Option<Vec<Pattern>>,
}

/// What may be read, in the words of `spec.vault.object.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ObjectType {
    /// Secrets, be their value one text or many pairs.
    Secret,
    /// Certificates, with their private keys: these are read from the secret behind the certificate.
    Certificate,
    /// Public keys.
    Key,
}

impl Grants {
    /// Parses a rule file.
    ///
    /// # Errors
    /// Anything that is not understood, unknown keys too, with its line. Also a file without `grants:`, an empty one among them:
    /// who wants to allow everything writes `grants: []`.
    pub fn parse(text: &str) -> Result<Self, GrantsError> {
        file::parse(text)
    }

    /// Whether there is no rule, so that everything is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether a rule asks for the labels of namespaces.
    pub fn needs_labels(&self) -> bool {
        self.rules.iter().any(|rule| rule.selector.is_some())
    }

    /// What the rules let `namespace` have of `vault`, in words, one entry a rule; none: nothing. Rules that select by labels which are
    /// not known are left out.
    pub fn of_vault(&self, namespace: &Namespace<'_>, vault: &VaultName) -> Vec<String> {
        let covers = |rule: &&Rule| rule.selects(namespace) == Some(true) && one_of_azure(&rule.vaults, vault.as_str());
        self.rules.iter().filter(covers).map(Rule::describe).collect()
    }

    /// Whether `namespace` may read `object`, in whatever version.
    ///
    /// # Errors
    /// No rule allows it; [`Denied::explain`] says what is missing.
    pub fn allows(&self, namespace: &Namespace<'_>, object: &ObjectRef) -> Result<(), Box<Denied>> {
        if self.is_empty() {
            return Ok(());
        }
        let mut farthest = Step::Namespace;
        for rule in &self.rules {
            match rule.allows(namespace, object) {
                Ok(()) => return Ok(()),
                Err(step) => farthest = farthest.max(step),
            }
        }
        Err(Box::new(Denied::new(namespace, object, farthest)))
    }
}

impl Rule {
    /// The types and names it is for: `secrets and keys: db-*, tls`.
    fn describe(&self) -> String {
        let all = [ObjectType::Secret, ObjectType::Certificate, ObjectType::Key];
        let types = self.types.as_deref().unwrap_or(&all);
        let types: Vec<_> = types.iter().map(|it| format!("{}s", it.as_str())).collect();
        let names: Vec<_> = self.objects.iter().flatten().map(Pattern::as_str).collect();
        match names.as_slice() {
            [] => types.join(" and "),
            _ => format!("{} named {}", types.join(" and "), names.join(" or ")),
        }
    }

    /// Whether it is for `namespace`; `None`: it selects by labels, and they are not known.
    fn selects(&self, namespace: &Namespace<'_>) -> Option<bool> {
        if !self.namespaces.as_deref().is_none_or(|all| one_of(all, namespace.name)) {
            return Some(false);
        }
        match (&self.selector, namespace.labels) {
            (None, _) => Some(true),
            (Some(selector), Ok(labels)) => Some(selector.matches(labels)),
            (Some(_), Err(_)) => None,
        }
    }

    /// `Err`: the part that did not fit.
    fn allows(&self, namespace: &Namespace<'_>, object: &ObjectRef) -> Result<(), Step> {
        match self.selects(namespace) {
            Some(true) => self.covers(object),
            Some(false) => Err(Step::Namespace),
            // It matters only if all else fits.
            None => Err(self.covers(object).map_or(Step::Namespace, |()| Step::Labels)),
        }
    }

    fn covers(&self, object: &ObjectRef) -> Result<(), Step> {
        let types = self.types.as_deref();
        let objects = self.objects.as_deref();
        if !one_of_azure(&self.vaults, object.vault.as_str()) {
            Err(Step::Vault)
        } else if types.is_some_and(|all| !all.contains(&type_of(object.kind))) {
            Err(Step::Type)
        } else if objects.is_some_and(|all| !one_of_azure(all, object.name.as_str())) {
            Err(Step::Object)
        } else {
            Ok(())
        }
    }
}

fn one_of(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|it| it.matches(name))
}

/// The same for Azure's names, in which case does not count. (It does in Kubernetes'.)
fn one_of_azure(patterns: &[Pattern], name: &str) -> bool {
    one_of(patterns, &name.to_ascii_lowercase())
}

fn type_of(kind: ObjectKind) -> ObjectType {
    match kind {
        ObjectKind::Secret => ObjectType::Secret,
        ObjectKind::Certificate | ObjectKind::CertificateWithKey => ObjectType::Certificate,
        ObjectKind::Key => ObjectType::Key,
    }
}

#[cfg(test)]
mod tests;
