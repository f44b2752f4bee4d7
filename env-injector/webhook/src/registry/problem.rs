//! Why a look-up failed, and how the pod's author is told.

use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::http::{Failure, FailureKind};

use super::name::Repository;

/// Why a look-up failed. It is kept and shared, and holds nothing secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// The registry wants other credentials; a clause about what it said.
    Denied(String),
    /// The registry has no such image.
    NotFound,
    /// 429.
    Throttled,
    /// No answer, or one of an error; a clause.
    Unavailable(String),
    /// It is where strangers may not send us; a clause.
    NotAllowed(String),
    /// Too many others are being looked up.
    Busy,
    /// None fits, or those that fit differ.
    Platform(Explanation),
    /// What the registry gave cannot be used; a clause.
    Unusable(String),
}

impl Problem {
    /// No exchange took place.
    pub(super) fn unanswered(failure: &Failure) -> Self {
        match failure.kind {
            FailureKind::TooLarge => Self::Unusable(format!("what {} gave is too large", failure.host)),
            FailureKind::NotEncrypted => {
                Self::Denied("it wants credentials, and they never travel without TLS".to_owned())
            }
            FailureKind::NotOutward => Self::NotAllowed(failure.to_string()),
            _ => Self::Unavailable(failure.to_string()),
        }
    }

    /// Whether other credentials may do better: some registries hide what one may not read.
    pub(super) fn is_about_credentials(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::NotFound)
    }

    /// For how long the same question gets the same answer: what may pass by itself is soon asked again.
    pub(super) fn keeps(&self) -> Duration {
        match self {
            Self::Unavailable(_) => Duration::from_secs(5),
            _ => Duration::from_secs(30),
        }
    }

    /// The denial of a pod whose container has this `image`; `notes` are sentences about credentials that were not used.
    pub(super) fn explain(&self, image: &str, repository: &Repository, notes: &[String]) -> Diagnosis {
        let registry = repository.registry();
        let why: Explanation = match self {
            Self::Denied(detail) => case::ImageNotGivenOut { detail }.into(),
            Self::NotFound => case::ImageHidden.into(),
            Self::Throttled => case::RegistryThrottles.into(),
            Self::Unavailable(detail) => case::RegistrySilent { detail }.into(),
            Self::NotAllowed(detail) => case::RegistryNotOutward { detail }.into(),
            Self::Busy => case::LookUpsWaiting.into(),
            Self::Platform(unclear) => unclear.clone(),
            Self::Unusable(flaw) => case::ImageFlawed { flaw }.into(),
        };
        let diagnosis = Diagnosis::case(why, unknown(image, registry));
        if self.is_about_credentials() && !notes.is_empty() {
            diagnosis.after(&notes.join(" "))
        } else {
            diagnosis
        }
    }
}

/// The denial of a pod whose container's image has a name that is none; `flaw` is a clause.
pub(super) fn no_name(image: &str, flaw: &str) -> Diagnosis {
    let shown: String = image.chars().filter(|c| !c.is_control()).take(300).collect();
    let unreadable = case::ImageNameUnreadable { flaw: &flaw };
    Diagnosis::case(unreadable, format!("'{shown}' is no name of an image."))
}

fn unknown(image: &str, registry: &str) -> String {
    format!("What the image '{image}' starts could not be looked up in the registry {registry}.")
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;

    use super::super::name::ImageName;
    use super::*;

    #[test]
    fn every_denial_names_image_and_registry_and_says_that_command_helps() {
        let repository = ImageName::parse("ghcr.io/team/app:1").unwrap().repository;
        let notes = ["Secret 'pull' was not found.".to_owned()];
        for (problem, code, notes_shown) in [
            (Problem::Denied("401".to_owned()), Code::ImagePullDenied, true),
            (Problem::NotFound, Code::ImageNotFound, true),
            (Problem::Throttled, Code::RegistryUnavailable, false),
            (Problem::Busy, Code::ImageLookUpsExceeded, false),
            (
                Problem::NotAllowed("127.0.0.1".to_owned()),
                Code::RegistryNotAllowed,
                false,
            ),
            (
                Problem::Unavailable("no route".to_owned()),
                Code::RegistryUnavailable,
                false,
            ),
            (
                Problem::Platform(case::ArchitectureExcluded.into()),
                Code::ImagePlatformUnclear,
                false,
            ),
            (
                Problem::Unusable("it is a chart".to_owned()),
                Code::ImageUnusable,
                false,
            ),
        ] {
            let diagnosis = problem.explain("ghcr.io/team/app:1", &repository, &notes);
            assert_eq!(diagnosis.code, code);
            assert!(diagnosis.what.contains("'ghcr.io/team/app:1'") && diagnosis.what.contains("registry ghcr.io"));
            assert!(diagnosis.fix.contains("et command in the container"), "{diagnosis}");
            assert_eq!(diagnosis.cause.contains("Secret 'pull'"), notes_shown, "{diagnosis}");
        }
    }

    #[test]
    fn a_name_that_is_none_is_shown_on_one_line() {
        let diagnosis = no_name("a\nb", "it has a line break");
        assert_eq!(diagnosis.code, Code::ImageNameInvalid);
        assert!(diagnosis.what.contains("'ab'"), "{diagnosis}");
    }
}
