//! The thin shell around [`super::mutate`]: gathers what is to be known, and counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_program::server::places::Places;
use akv2k8s_shared::diagnosis::{Code, Diagnosis, Explanation, case};
use akv2k8s_shared::span;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::lookup::{ImageConfig, ImageLookup, ImageQuery, LookupError};
use super::mutate::check;
use super::review::Review;
use super::specs::{Seen, seen};
use super::wanted::{mentioned, questions, wanted};
use super::{Denial, Facts, Metrics, Outcome, Settings, mutate};
use crate::cluster::{Cluster, Knowledge};
use crate::label::NamespaceLabel;

/// How long the API server may take to say whether what the watch has not shown is there after all.
const PATIENCE: Duration = Duration::from_secs(3);
/// Images that are looked up for one pod.
const MOST_IMAGES: usize = 16;
/// Questions to the API server at the same time, about namespaces and AKVS that the watches have not shown: in all, and for one namespace.
const QUESTIONS: usize = 8;
const QUESTIONS_OF_ONE: usize = 2;

/// Answers the API server.
pub struct Webhook {
    /// How pods are prepared.
    pub settings: Settings,
    /// What is known of namespaces and AKVS.
    pub cluster: Cluster,
    /// For AKVS that are so new that the watch has not shown them.
    pub client: kube::Client,
    /// Authorities of the broker's certificates, at the time of asking: PEM.
    pub authorities: Arc<dyn Fn() -> String + Send + Sync>,
    /// Who asks images' registries.
    pub images: Arc<dyn ImageLookup>,
    /// What is counted.
    pub metrics: Metrics,
    /// Turns to ask the API server, by namespace: [`Webhook::turns`].
    pub questions: Places<String>,
}

impl Webhook {
    /// As many as questions may be asked at the same time.
    pub fn turns() -> Places<String> {
        Places::new(QUESTIONS, QUESTIONS_OF_ONE)
    }

    /// The answer to a body of `POST /pods`, given by `deadline` ([`super::deadline`]). Nothing is written anywhere, so a dry run is like
    /// any other.
    ///
    /// # Errors
    /// The body cannot be understood; the text says why.
    pub async fn answer(&self, body: &[u8], deadline: Instant) -> Result<Value, String> {
        let start = Instant::now();
        let review = Review::read(body)?;
        let span = span!("admission", namespace = review.namespace);
        let decided = span::within(span, |denial: &Denial| denial.0.code, self.decide(&review, deadline));
        let answer = match decided.await {
            Ok(outcome) => {
                self.metrics.inspected(outcome.containers > 0);
                tell(&review, &outcome);
                review.allow(&outcome.patch, &outcome.warnings)
            }
            Err(denial) => {
                self.metrics.inspected(false);
                self.metrics.denied(denial.0.code);
                // A text, and so written with its line breaks escaped: names in it are whatever somebody sent.
                let error = denial.0.to_string();
                warn!(
                    namespace = review.namespace,
                    code = denial.0.code.as_str(),
                    error,
                    "pod denied"
                );
                review.deny(&denial)
            }
        };
        self.metrics.took(start.elapsed());
        Ok(answer)
    }

    async fn decide(&self, review: &Review, deadline: Instant) -> Result<Outcome, Denial> {
        let (pod, namespace) = (&review.pod, review.namespace.as_str());
        if pod.is_null() {
            return Ok(Outcome::nothing());
        }
        if self.cluster.knowledge(namespace) == Knowledge::NotServed {
            return not_served(pod, namespace);
        }
        // First of all: nothing is told of a namespace that did not switch injection on, whoever asks.
        if !self.is_labelled(namespace, deadline).await? {
            return Ok(not_enabled(namespace, self.cluster.label()));
        }
        check(pod)?;
        let to_look_up = to_look_up(pod, namespace)?;
        let (images, Seen { specs, not_told }) = tokio::join!(
            self.images(to_look_up, deadline),
            seen(
                &self.client,
                namespace,
                self.cluster.specs(namespace),
                mentioned(pod),
                &self.questions,
                deadline.min(Instant::now() + PATIENCE),
            ),
        );
        let authorities = (self.authorities)();
        let knowledge = self.cluster.knowledge(namespace);
        let facts = Facts {
            settings: &self.settings,
            authorities: &authorities,
            namespace,
            specs: &specs,
            not_told: &not_told,
            knowledge,
            images: &images,
        };
        mutate(pod, &facts)
    }

    async fn images(
        &self,
        questions: Vec<(String, ImageQuery)>,
        deadline: Instant,
    ) -> HashMap<String, Result<ImageConfig, LookupError>> {
        let ask = async |(container, query): (String, ImageQuery)| {
            let answer = timeout_at(deadline, self.images.config(&query)).await;
            let answer = answer.unwrap_or_else(|_| Err(late(&query.image)));
            self.metrics.looked_up(answer.is_ok());
            (container, answer)
        };
        join_all(questions.into_iter().map(ask)).await.into_iter().collect()
    }

    /// Whether injection is switched on in `namespace`. A label that was set a moment ago may not have been seen yet, so the API server
    /// is asked before that is denied.
    async fn is_labelled(&self, namespace: &str, deadline: Instant) -> Result<bool, Denial> {
        let label = self.cluster.label();
        if self
            .cluster
            .labels(namespace)
            .is_some_and(|labels| label.is_on(&labels))
        {
            return Ok(true);
        }
        let unknown = |why: Explanation| {
            let what = format!("Whether injection is switched on in namespace '{namespace}' is not known.");
            Denial::new(Diagnosis::case(why, what))
        };
        let ask = async {
            let _turn = self.questions.take(namespace.to_owned()).await;
            Api::<Namespace>::all(self.client.clone())
                .get_metadata_opt(namespace)
                .await
        };
        match timeout_at(deadline.min(Instant::now() + PATIENCE), ask).await {
            Ok(Ok(found)) => Ok(found
                .and_then(|it| it.metadata.labels)
                .is_some_and(|labels| label.is_on(&labels))),
            Ok(Err(error)) => {
                let forbidden = matches!(&error, kube::Error::Api(status) if status.is_forbidden());
                Err(unknown(if forbidden {
                    case::NamespaceForbidden { error: &error }.into()
                } else {
                    case::NamespaceNotTold { error: &error }.into()
                }))
            }
            Err(_) => {
                let error = &"The API server did not answer in time";
                Err(unknown(case::NamespaceNotTold { error }.into()))
            }
        }
    }
}

/// The images that have to be looked up, by container.
fn to_look_up(pod: &Value, namespace: &str) -> Result<Vec<(String, ImageQuery)>, Denial> {
    let questions = questions(pod, namespace)?;
    let images: BTreeSet<_> = questions.iter().map(|(_, query)| &query.image).collect();
    if images.len() > MOST_IMAGES {
        let what = format!(
            "What {} images start would have to be looked up for one pod.",
            images.len()
        );
        return Err(Denial::new(Diagnosis::of(Code::ImageLookUpsExceeded, what, &[])));
    }
    Ok(questions)
}

fn late(image: &str) -> LookupError {
    let detail = &"it was not found out in the time that the API server gives the webhook";
    let what = format!("What image '{image}' starts is not known.");
    LookupError(Box::new(Diagnosis::case(case::RegistrySilent { detail }, what)))
}

/// What becomes of a pod of a namespace that somebody else serves, if anybody does: one that asks for nothing is left alone.
fn not_served(pod: &Value, namespace: &str) -> Result<Outcome, Denial> {
    if wanted(pod).is_ok_and(|wanted| wanted.is_empty()) {
        return Ok(Outcome::nothing());
    }
    let what =
        format!("The pod asks for values from Azure Key Vault, and pods of namespace '{namespace}' are not prepared.");
    let why = case::NamespaceNotServed { namespace: &namespace };
    Err(Denial::new(Diagnosis::case(why, what)))
}

/// What becomes of a pod where injection is not switched on: nothing.
fn not_enabled(namespace: &str, label: &NamespaceLabel) -> Outcome {
    let mut outcome = Outcome::nothing();
    outcome.warnings.push(format!(
        "Pods of namespace '{namespace}' are not prepared for values from Azure Key Vault: it does not have the label {label}."
    ));
    outcome
}

fn tell(review: &Review, outcome: &Outcome) {
    if outcome.containers == 0 {
        return;
    }
    let metadata = &review.pod["metadata"];
    let pod = metadata["name"]
        .as_str()
        .or(metadata["generateName"].as_str())
        .unwrap_or_default();
    let warnings = outcome.warnings.len();
    info!(
        namespace = review.namespace,
        pod,
        containers = outcome.containers,
        warnings,
        "pod prepared"
    );
}

#[cfg(test)]
mod tests;
