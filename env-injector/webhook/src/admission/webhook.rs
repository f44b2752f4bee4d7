//! The thin shell around [`super::mutate`]: gathers what is to be known, and counts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::diagnosis::{Code, Diagnosis, Explanation, case};
use akv2k8s_shared::span;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::lookup::{ImageConfig, ImageLookup, LookupError};
use super::review::Review;
use super::wanted::{mentioned, questions, wanted};
use super::{Denial, Facts, Metrics, Outcome, Settings, mutate};
use crate::cluster::{Cluster, Knowledge, Specs};
use crate::label::NamespaceLabel;

/// How long the API server may take to say whether what the watch has not shown is there after all.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of how many names that is asked.
const MOST: usize = 16;
/// Images that are looked up for one pod.
const MOST_IMAGES: usize = 16;
/// Questions about namespaces to the API server at the same time.
const QUESTIONS: usize = 8;

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
    /// Turns to ask about a namespace's label: [`Webhook::turns`].
    pub questions: Semaphore,
}

impl Webhook {
    /// As many as questions may be asked at the same time.
    pub fn turns() -> Semaphore {
        Semaphore::new(QUESTIONS)
    }

    /// The answer to a body of `POST /pods`. Nothing is written anywhere, so a dry run is like any other.
    ///
    /// # Errors
    /// The body cannot be understood; the text says why.
    pub async fn answer(&self, body: &[u8]) -> Result<Value, String> {
        let start = Instant::now();
        let review = Review::read(body)?;
        let span = span!("admission", namespace = review.namespace);
        let decided = span::within(span, |denial: &Denial| denial.0.code, self.decide(&review));
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

    async fn decide(&self, review: &Review) -> Result<Outcome, Denial> {
        let (pod, namespace) = (&review.pod, review.namespace.as_str());
        if pod.is_null() {
            return Ok(Outcome::nothing());
        }
        if self.cluster.knowledge(namespace) == Knowledge::NotServed {
            return not_served(pod, namespace);
        }
        // First of all: nothing is told of a namespace that did not switch injection on, whoever asks.
        if !self.is_labelled(namespace).await? {
            return Ok(not_enabled(namespace, self.cluster.label()));
        }
        let images = self.images(pod, namespace).await?;
        let authorities = (self.authorities)();
        let specs = self.specs(pod, namespace).await;
        let facts = Facts {
            settings: &self.settings,
            authorities: &authorities,
            namespace,
            specs: &specs,
            images: &images,
        };
        mutate(pod, &facts)
    }

    async fn images(
        &self,
        pod: &Value,
        namespace: &str,
    ) -> Result<HashMap<String, Result<ImageConfig, LookupError>>, Denial> {
        let ask = async |(container, query)| {
            let answer = self.images.config(&query).await;
            self.metrics.looked_up(answer.is_ok());
            (container, answer)
        };
        let questions = questions(pod, namespace)?;
        let images: BTreeSet<_> = questions.iter().map(|(_, query)| &query.image).collect();
        if images.len() > MOST_IMAGES {
            let what = format!(
                "What {} images start would have to be looked up for one pod.",
                images.len()
            );
            return Err(Denial::new(Diagnosis::of(Code::ImageLookUpsExceeded, what, &[])));
        }
        let answers = join_all(questions.into_iter().map(ask)).await;
        Ok(answers.into_iter().collect())
    }

    /// The AKVS of the namespace. One that was created a moment before the pod, as when a folder is applied, may not have been seen
    /// yet: those are asked for.
    async fn specs(&self, pod: &Value, namespace: &str) -> Arc<Specs> {
        let known = self.cluster.specs(namespace);
        let missing: Vec<_> = mentioned(pod)
            .into_iter()
            .filter(|name| !known.contains_key(name))
            .take(MOST)
            .collect();
        if missing.is_empty() {
            return known;
        }
        let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &resource);
        let get = async |name: String| {
            let found = tokio::time::timeout(PATIENCE, api.get_opt(&name)).await.ok()?.ok()??;
            Some((name, Arc::new(found.data["spec"].clone())))
        };
        let mut specs = known;
        for (name, spec) in join_all(missing.into_iter().map(get)).await.into_iter().flatten() {
            Arc::make_mut(&mut specs).insert(name, spec);
        }
        specs
    }

    /// Whether injection is switched on in `namespace`. A label that was set a moment ago may not have been seen yet, so the API server
    /// is asked before that is denied.
    async fn is_labelled(&self, namespace: &str) -> Result<bool, Denial> {
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
            let _turn = self.questions.acquire().await.expect("the semaphore is never closed");
            Api::<Namespace>::all(self.client.clone())
                .get_metadata_opt(namespace)
                .await
        };
        match tokio::time::timeout(PATIENCE, ask).await {
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
