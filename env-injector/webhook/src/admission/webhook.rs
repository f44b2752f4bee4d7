//! The thin shell around [`super::mutate`]: gathers what is to be known, and counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::injection::names;
use futures::future::join_all;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;
use tracing::{info, warn};

use super::lookup::{ImageConfig, ImageLookup, LookupError};
use super::review::Review;
use super::wanted::{mentioned, questions};
use super::{Denial, Facts, Metrics, Outcome, Settings, mutate};
use crate::cluster::{Cluster, Specs};

/// How long the API server may take to say whether an AKVS that the watch has not shown is there after all.
const PATIENCE: Duration = Duration::from_secs(3);
/// Of how many names that is asked.
const MOST: usize = 16;

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
}

impl Webhook {
    /// The answer to a body of `POST /pods`. Nothing is written anywhere, so a dry run is like any other.
    ///
    /// # Errors
    /// The body cannot be understood; the text says why.
    pub async fn answer(&self, body: &[u8]) -> Result<Value, String> {
        let start = Instant::now();
        let review = Review::read(body)?;
        let answer = match self.decide(&review).await {
            Ok(outcome) => {
                self.metrics.inspected(outcome.containers > 0);
                tell(&review, &outcome);
                review.allow(&outcome.patch, &outcome.warnings)
            }
            Err(denial) => {
                self.metrics.inspected(false);
                self.metrics.failed();
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
        let mut outcome = mutate(pod, &facts)?;
        if outcome.containers > 0 && self.settings.broker.is_some() && !self.is_labelled(namespace) {
            outcome.warnings.push(format!(
                "The broker gives values to namespaces with the label {}={} only, and '{namespace}' does not have it.",
                names::LABEL,
                names::ENABLED
            ));
        }
        Ok(outcome)
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
        let answers = join_all(questions(pod, namespace)?.into_iter().map(ask)).await;
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

    fn is_labelled(&self, namespace: &str) -> bool {
        let labels = self.cluster.labels(namespace);
        // One that was not seen yet is a moment old; the API server has seen its label, or it would not ask.
        labels.is_none_or(|labels| labels.get(names::LABEL).is_some_and(|value| value == names::ENABLED))
    }
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
