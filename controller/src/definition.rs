//! `CRD_UPGRADE=true`: keeps the definition of `AzureKeyVaultSecret` as new as this program. helm installs definitions and never upgrades them.
//!
//! It needs the rights to get and patch that one definition. A newer one is left alone, so going back to an older program loses nothing.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::api::crd::{REVISION, REVISION_ANNOTATION, crd};
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tracing::{info, warn};

use crate::health::Health;

/// What the problem is called in `/readyz` and metrics.
const SUBJECT: &str = "definition of AzureKeyVaultSecret";
/// How often a replacement that failed is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// API servers take up a new definition a moment after they stored it. Until then they drop fields that the old one did not know.
const SETTLING: Duration = Duration::from_secs(2);

/// Keeps one definition up to date.
pub(crate) struct Definition {
    api: Api<CustomResourceDefinition>,
    health: Arc<Health>,
}

/// What is to be done about a definition.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is as new as this program, or newer.
    Keep,
    /// It is older, or another program's.
    Replace,
    /// There is none. helm or a person installs the first one: nobody can be given the right to create just this definition.
    Wait,
}

impl Step {
    fn about(found: Option<&CustomResourceDefinition>) -> Self {
        let Some(found) = found else { return Self::Wait };
        let revision = found
            .annotations()
            .get(REVISION_ANNOTATION)
            .and_then(|it| it.parse().ok());
        if revision.is_some_and(|revision: u32| revision >= REVISION) {
            Self::Keep
        } else {
            Self::Replace
        }
    }
}

impl Definition {
    pub(crate) fn new(client: kube::Client, health: Arc<Health>) -> Self {
        Self {
            api: Api::all(client),
            health,
        }
    }

    /// Replaces the definition if it is older; true when nothing is left to do. What keeps it from that is told.
    pub(crate) async fn upgrade(&self) -> bool {
        let (problem, is_done) = match self.attempt().await {
            Ok(Step::Wait) => (None, false),
            Ok(Step::Keep) => (None, true),
            Ok(Step::Replace) => {
                info!(
                    revision = REVISION,
                    "the definition of AzureKeyVaultSecret has been replaced by this program's"
                );
                tokio::time::sleep(SETTLING).await;
                (None, true)
            }
            Err(error) => (Some(problem(&error)), false),
        };
        if self.health.report(SUBJECT, problem.clone())
            && let Some(problem) = problem
        {
            warn!(code = problem.code.as_str(), error = %problem, "the definition of AzureKeyVaultSecret is not replaced");
        }
        is_done
    }

    /// Tries again until it is done; never ends.
    pub(crate) async fn follow(self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            if self.upgrade().await {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn attempt(&self) -> kube::Result<Step> {
        let ours = crd();
        let found = self.api.get_opt(&ours.name_any()).await?;
        let step = Step::about(found.as_ref());
        if let (Step::Replace, Some(found)) = (&step, found) {
            // A merge patch replaces lists as a whole, so nothing of the old versions stays; and only if nobody changed it meanwhile.
            let patch = json!({
                "metadata": {"resourceVersion": found.resource_version(), "annotations": ours.annotations()},
                "spec": ours.spec,
            });
            let parameters = PatchParams::default();
            self.api
                .patch(&ours.name_any(), &parameters, &Patch::Merge(patch))
                .await?;
        }
        Ok(step)
    }
}

fn problem(error: &kube::Error) -> Diagnosis {
    let what = "The definition of AzureKeyVaultSecret could not be replaced by a newer one.";
    match error {
        kube::Error::Api(status) if status.is_forbidden() => Diagnosis::case(case::DefinitionNotOurs, what),
        error => Diagnosis::case(case::DefinitionRefused { error }, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_or_anothers_is_replaced_and_nothing_is_made_older() {
        assert_eq!(Step::about(None), Step::Wait);
        for (revision, step) in [
            (None, Step::Replace),
            (Some(""), Step::Replace),
            (Some("0"), Step::Replace),
            (Some("1"), Step::Keep),
            (Some("2"), Step::Keep),
        ] {
            let mut found = crd();
            found.metadata.annotations = revision.map(|it| [(REVISION_ANNOTATION.to_owned(), it.to_owned())].into());
            assert_eq!(Step::about(Some(&found)), step, "{revision:?}");
        }
    }
}
