//! What is put into a pod.

use akv2k8s_shared::injection::names;
use serde_json::{Value, json};

use super::settings::{Security, Settings};

/// The user that the init container runs as where the pod's own would be root: any will do.
const NOBODY: u32 = 65532;
/// Room for the wrapper, several times over.
const VOLUME_SIZE: &str = "16Mi";
/// Seconds for which a token is valid; the kubelet renews it long before, so that a container can restart at any time.
const TOKEN_SECONDS: u32 = 3600;

/// The init container that puts the wrapper into the volume. It has neither shell nor anything of the pod's but its user.
pub(super) fn init_container(settings: &Settings, pod: &Value) -> Value {
    let resources = &settings.resources;
    json!({
        "name": names::INIT_CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "command": [format!("/usr/local/bin/{}", names::PROGRAM), "--copy", names::DIRECTORY],
        "resources": {
            "requests": {"cpu": resources.requests_cpu, "memory": resources.requests_memory},
            "limits": {"memory": resources.limits_memory},
        },
        "securityContext": security_context(&settings.security, &pod["spec"]["securityContext"]),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": names::VOLUME, "mountPath": names::DIRECTORY}],
    })
}

fn security_context(security: &Security, pods: &Value) -> Value {
    let mut context = json!({
        "capabilities": {"drop": ["ALL"]},
        "privileged": security.privileged,
        "readOnlyRootFilesystem": security.read_only,
        "runAsNonRoot": security.non_root,
    });
    if let Some(allow) = security.allow_privilege_escalation {
        context["allowPrivilegeEscalation"] = allow.into();
    }
    let pod_is_root = pods["runAsUser"].as_u64() == Some(0);
    if let Some(user) = security.user.or((security.non_root && pod_is_root).then_some(NOBODY)) {
        context["runAsUser"] = user.into();
    }
    if let Some(group) = security.group {
        context["runAsGroup"] = group.into();
    }
    if security.seccomp_runtime_default {
        context["seccompProfile"] = json!({"type": "RuntimeDefault"});
    }
    context
}

/// The volume with the wrapper.
pub(super) fn volume() -> Value {
    json!({"name": names::VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": VOLUME_SIZE}})
}

/// The volume with the token for the broker.
pub(super) fn token_volume() -> Value {
    let token = json!({
        "audience": names::TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": names::TOKEN_FILE,
    });
    json!({"name": names::TOKEN_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}})
}

/// A read-only mount of one of them.
pub(super) fn mount(volume: &str, directory: &str) -> Value {
    json!({"name": volume, "mountPath": directory, "readOnly": true})
}

/// A variable with this value, whatever characters it has: the kubelet expands `$(NAME)` in values.
pub(super) fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": verbatim(value)})
}

/// A variable with the value of a field of the pod, which may not be known yet.
pub(super) fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// The text that the kubelet turns into `text`, in `args` and values of variables.
pub(super) fn verbatim(text: &str) -> String {
    text.replace('$', "$$")
}
