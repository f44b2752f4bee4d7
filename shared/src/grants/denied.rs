//! Why something is not granted, in words.

use super::{Namespace, type_of};
use crate::diagnosis::{Diagnosis, Explanation, case, tidy};
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
        let (file, namespace) = (&file, &self.namespace);
        let (vault, object) = (&self.object.vault, &self.object.name);
        let kind = &type_of(self.object.kind).as_str();
        let why: Explanation = match self.step {
            Step::Namespace => case::NamespaceNotGranted {
                file,
                namespace,
                vault,
                kind,
                object,
            }
            .into(),
            Step::Vault => case::VaultNotNamed {
                file,
                namespace,
                vault,
                kind,
                object,
            }
            .into(),
            Step::Type => case::TypeNotNamed {
                file,
                namespace,
                vault,
                kind,
                object,
            }
            .into(),
            Step::Object => case::ObjectNotNamed {
                file,
                namespace,
                vault,
                kind,
                object,
            }
            .into(),
            Step::Labels => {
                let reason = &self.labels;
                case::LabelsUnknown {
                    file,
                    namespace,
                    reason,
                }
                .into()
            }
        };
        Diagnosis::case(why, format!("Namespace '{namespace}' may not use {}.", self.object))
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
