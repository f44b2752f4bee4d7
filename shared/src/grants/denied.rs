//! Why something is not granted, in words.

use super::{Namespace, type_of};
use crate::diagnosis::{Code, Diagnosis, tidy};
use crate::reference::ObjectRef;

/// How far the nearest rule went: the part that did not fit. Later ones are nearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Namespace,
    Vault,
    Type,
    Object,
    /// All else fits, and whether the labels do is not known.
    Labels,
}

/// No rule allows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    namespace: String,
    object: ObjectRef,
    step: Step,
    /// Why the namespace's labels are not known; empty when they are.
    labels: String,
}

impl Denied {
    pub(super) fn new(namespace: &Namespace<'_>, object: &ObjectRef, step: Step) -> Self {
        Self {
            namespace: namespace.name.to_owned(),
            object: object.clone(),
            step,
            labels: namespace.labels.err().map(tidy).unwrap_or_default(),
        }
    }

    /// What is missing, and the rule that would allow just this. `file` is where the rules are.
    pub fn explain(&self, file: &str) -> Diagnosis {
        let Self { namespace, object, .. } = self;
        let (vault, name) = (&object.vault, &object.name);
        let type_ = type_of(object.kind).as_str();
        let cause = match self.step {
            Step::Namespace => format!("No rule in {file} is for namespace '{namespace}'."),
            Step::Vault => format!("The rules in {file} for namespace '{namespace}' do not name vault '{vault}'."),
            Step::Type => {
                format!(
                    "The rules in {file} for namespace '{namespace}' and vault '{vault}' do not name type '{type_}'."
                )
            }
            Step::Object => format!(
                "The rules in {file} for namespace '{namespace}' and {type_}s of vault '{vault}' do not name '{name}'."
            ),
            Step::Labels => format!(
                "A rule in {file} selects namespaces by label, and the labels of namespace '{namespace}' are not known: {}.",
                self.labels
            ),
        };
        let fix = if self.step == Step::Labels {
            "Give the controller the right to list and watch namespaces; it looks again by itself.".to_owned()
        } else {
            format!(
                "Ask whoever runs akv2k8s for a rule in that file: \
                 {{namespaces: [{namespace}], vaults: [{vault}], types: [{type_}], objects: [{name}]}}"
            )
        };
        let what = format!("Namespace '{namespace}' may not use {object}.");
        Diagnosis::new(Code::VaultNotGranted, what, cause, fix)
    }
}

impl super::ObjectType {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Key => "key",
        }
    }
}
