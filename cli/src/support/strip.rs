//! Objects → what support needs of them. Pure, and by what is let through: all else stays behind.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, Pod};
use serde_json::{Value, json};

use super::redact::GONE;

/// Variables of our programs whose values are no secrets; of all others only the name is told.
const OPEN_VARIABLES: [&str; 18] = [
    "AUTH_TYPE",
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_ENVIRONMENT",
    "AZURE_ENVIRONMENT_FILEPATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TENANT_ID",
    "AZURE_TOKEN_CREDENTIALS",
    "HTTP_PORT",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "METRICS_ENABLED",
    "NO_PROXY",
    "OBJECT_LABELS",
    "RUNTIME_NAMESPACE",
    "SSL_CERT_FILE",
    "USE_AUTH_SERVICE",
    "WEBHOOK_FAILURE_POLICY",
];

/// An AKVS: what it asks for and how it stands. Annotations stay behind (`last-applied-configuration` holds whatever was applied), and
/// digests of values that earlier controllers wrote.
pub(super) fn akvs(akvs: &AzureKeyVaultSecret) -> Value {
    let mut status = akvs.status.clone().unwrap_or_default();
    status.secret_hash = None;
    status.config_map_hash = None;
    let metadata = &akvs.metadata;
    json!({
        "namespace": metadata.namespace,
        "name": metadata.name,
        "generation": metadata.generation,
        "created": metadata.creation_timestamp,
        "deleted": metadata.deletion_timestamp,
        "spec": akvs.spec,
        "status": status,
    })
}

/// A Deployment: images, arguments, variables, and how it stands.
pub(super) fn deployment(deployment: &Deployment) -> Value {
    let spec = deployment.spec.as_ref();
    let pod = spec.and_then(|spec| spec.template.spec.as_ref());
    json!({
        "name": deployment.metadata.name,
        "generation": deployment.metadata.generation,
        "replicas": spec.and_then(|spec| spec.replicas),
        "serviceAccount": pod.and_then(|pod| pod.service_account_name.as_ref()),
        "containers": pod.map(|pod| pod.containers.iter().map(container).collect::<Vec<_>>()),
        "status": deployment.status,
    })
}

fn container(container: &Container) -> Value {
    let variables = container.env.iter().flatten().map(|variable| {
        let value = variable.value.as_deref();
        let is_open = OPEN_VARIABLES.contains(&variable.name.as_str());
        json!({
            "name": variable.name,
            "value": value.map(|value| if is_open { value } else { GONE }),
            "from": variable.value_from.is_some(),
        })
    });
    json!({
        "name": container.name,
        "image": container.image,
        "command": container.command,
        "args": container.args,
        "env": variables.collect::<Vec<_>>(),
        "resources": container.resources,
    })
}

/// A pod: where it is, and how its containers stand.
pub(super) fn pod(pod: &Pod) -> Value {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let container = |it: &k8s_openapi::api::core::v1::ContainerStatus| {
        json!({
            "name": it.name, "image": it.image, "imageID": it.image_id, "ready": it.ready, "restarts": it.restart_count,
            "state": it.state, "lastState": it.last_state,
        })
    };
    json!({
        "name": pod.metadata.name,
        "created": pod.metadata.creation_timestamp,
        "node": pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()),
        "phase": status.and_then(|status| status.phase.as_ref()),
        "conditions": status.and_then(|status| status.conditions.as_ref()),
        "containers": containers.map(|all| all.iter().map(container).collect::<Vec<_>>()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_value_stays_behind() {
        let object: AzureKeyVaultSecret = serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": "db", "namespace": "shop", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "canary"}},
            "spec": {"vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}}},
            "status": {"secretHash": "canary", "configMapHash": "canary", "objectVersion": "v1"},
        }))
        .unwrap();
        let stripped = akvs(&object);
        assert!(!stripped.to_string().contains("canary"), "{stripped:#}");
        assert_eq!(stripped["status"]["objectVersion"], "v1");
        let deployed: Deployment = serde_json::from_value(json!({
            "metadata": {"name": "akv2k8s-controller", "annotations": {"a": "canary"}},
            "spec": {"selector": {}, "template": {"metadata": {"annotations": {"a": "canary"}}, "spec": {"containers": [{
                "name": "controller", "image": "i", "env": [
                    {"name": "AUTH_TYPE", "value": "environment"},
                    {"name": "AZURE_CLIENT_SECRET", "value": "canary"},
                    {"name": "HTTPS_PROXY", "value": "http://u:canary@proxy"},
                ],
            }]}}},
        }))
        .unwrap();
        let stripped = deployment(&deployed);
        assert!(!stripped.to_string().contains("canary"), "{stripped:#}");
        assert_eq!(stripped["containers"][0]["env"][0]["value"], "environment");
        assert_eq!(stripped["containers"][0]["env"][1]["value"], GONE);
    }
}
