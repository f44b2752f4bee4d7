//! `caBundle` of our `MutatingWebhookConfiguration`, which the API server trusts when it calls.

use akv2k8s_shared::diagnosis::Diagnosis;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tracing::info;

use super::secret::of_api;

/// Writes `bundle` (PEM) into every webhook of the configuration `name` that has another one. One that does not exist is left so:
/// it may be installed later.
pub(super) async fn publish(client: &kube::Client, name: &str, bundle: &str) -> Result<(), Box<Diagnosis>> {
    let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
    let failed = |verb: &str, error: &kube::Error| {
        let what = format!("The caBundle of MutatingWebhookConfiguration '{name}' cannot be kept up to date.");
        of_api(what, &format!("{verb} mutatingwebhookconfigurations"), error)
    };
    let found = api.get_opt(name).await.map_err(|error| failed("get", &error))?;
    let Some(patch) = found.and_then(|found| patch(&found, bundle)) else {
        return Ok(());
    };
    match api.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(_) => {
            info!(configuration = name, "caBundle is up to date");
            Ok(())
        }
        // It changed since it was read: the next look sees it as it is.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => Ok(()),
        Err(error) => Err(failed("patch", &error).into()),
    }
}

/// The strategic merge patch that is needed, if any: webhooks are told apart by name. The resource version in it makes the API
/// server refuse it when the configuration has changed since.
fn patch(found: &MutatingWebhookConfiguration, bundle: &str) -> Option<Value> {
    let wanted = ByteString(bundle.as_bytes().to_vec());
    let others = found.webhooks.iter().flatten();
    let others = others.filter(|webhook| webhook.client_config.ca_bundle.as_ref() != Some(&wanted));
    let webhooks: Vec<_> = others
        .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": wanted}}))
        .collect();
    let version = &found.metadata.resource_version;
    (!webhooks.is_empty()).then(|| json!({"metadata": {"resourceVersion": version}, "webhooks": webhooks}))
}
