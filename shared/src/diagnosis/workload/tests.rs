//! Pods as their users wrote them and as the webhook left them: what is said of each.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::*;
use crate::diagnosis::{Code, Diagnosis};
use crate::doctor::Outcome;

fn yaml<T: DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap()
}

/// Adds what the webhook adds to a container and a pod, in the names of its version 1.
const INJECTED: &str = "
apiVersion: v1
kind: Pod
metadata:
  {name: web-0, namespace: shop, creationTimestamp: '2026-05-02T00:00:00Z', labels: {azure.workload.identity/use: 'true'}}
spec:
  serviceAccountName: web
  containers:
  - name: web
    env:
    - {name: AZURE_CLIENT_ID, value: c-1}
    - {name: AZURE_TENANT_ID, value: t-1}
    - {name: AZURE_FEDERATED_TOKEN_FILE, value: /var/run/secrets/azure/tokens/azure-identity-token}
    - {name: AZURE_AUTHORITY_HOST, value: https://login.microsoftonline.com/}
    volumeMounts: [{name: azure-identity-token, mountPath: /var/run/secrets/azure/tokens, readOnly: true}]
  volumes:
  - name: azure-identity-token
    projected: {sources: [{serviceAccountToken: {audience: 'api://AzureADTokenExchange', path: azure-identity-token}}]}
";

/// The same pod when the webhook did not touch it.
const BARE: &str = "
apiVersion: v1
kind: Pod
metadata:
  {name: web-0, namespace: shop, creationTimestamp: '2026-05-02T00:00:00Z', labels: {azure.workload.identity/use: 'true'}}
spec: {serviceAccountName: web, containers: [{name: web}]}
";

const ACCOUNT: &str = "
metadata: {name: web, namespace: shop, annotations: {azure.workload.identity/client-id: c-1}}
";

const WEBHOOK: &str = "
metadata: {name: azure-wi-webhook-mutating-webhook-configuration, creationTimestamp: '2026-05-01T00:00:00Z'}
webhooks:
- name: mutation.azure-workload-identity.io
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: {}
  objectSelector: {matchLabels: {azure.workload.identity/use: 'true'}}
";

fn workload(pod: &str) -> Workload {
    Workload {
        pod: yaml(pod),
        service_account: Seen::Found(yaml(ACCOUNT)),
        namespace: Seen::Found(yaml(
            "metadata: {name: shop, labels: {kubernetes.io/metadata.name: shop}}",
        )),
        owner: Seen::Found(deployment()),
        webhooks: Seen::Found(vec![yaml(WEBHOOK)]),
    }
}

fn deployment() -> Owner {
    Owner {
        kind: "Deployment".into(),
        name: "web".into(),
        template_labels: [(USE_LABEL.to_owned(), "true".to_owned())].into(),
        ..Owner::default()
    }
}

fn next(workload: &Workload) -> Option<Diagnosis> {
    checks(workload).iter().find_map(Check::failure).cloned()
}

/// `pod` with `from` replaced, which must be there.
fn with(pod: &str, from: &str, to: &str) -> Workload {
    assert!(pod.contains(from), "{from}");
    workload(&pod.replacen(from, to, 1))
}

/// Code, words of what and why, words of the fix, and who has it.
type Case = (Code, &'static str, &'static str, Workload);

/// The webhook and the ServiceAccount.
fn broken_in_the_cluster() -> Vec<Case> {
    let mut no_webhook = workload(BARE);
    no_webhook.webhooks = Seen::Found(vec![yaml("{metadata: {name: other}, webhooks: []}")]);
    let mut blind = workload(BARE);
    blind.webhooks = Seen::Found(vec![yaml(&format!(
        "{WEBHOOK}  namespaceSelector: {{matchExpressions: [{{key: control-plane, operator: Exists}}]}}\n"
    ))]);
    let mut not_annotated = workload(BARE);
    not_annotated.service_account = Seen::Found(yaml("metadata: {name: web, namespace: shop}"));
    let mut as_label = workload(BARE);
    as_label.service_account = Seen::Found(yaml("metadata: {labels: {azure.workload.identity/client-id: c-1}}"));
    let mut gone = workload(BARE);
    gone.service_account = Seen::Missing;
    let mut quoted = workload(INJECTED);
    quoted.service_account = Seen::Found(yaml(
        "metadata: {annotations: {azure.workload.identity/client-id: '\"c-1\"'}}",
    ));
    vec![
        (
            Code::WorkloadIdentityWebhookMissing,
            "not installed",
            "--enable-workload-identity",
            no_webhook,
        ),
        (
            Code::WorkloadIdentityWebhookMissing,
            "does not look at namespace shop",
            "selector",
            blind,
        ),
        (
            Code::ServiceAccountNotFound,
            "shop/web does not exist",
            "kubectl create serviceaccount web -n shop",
            gone,
        ),
        (
            Code::ServiceAccountNotAnnotated,
            "shop/web lacks",
            "kubectl annotate serviceaccount web -n shop",
            not_annotated,
        ),
        (
            Code::ServiceAccountNotAnnotated,
            "only an annotation is read",
            "azure.workload.identity/client-id=",
            as_label,
        ),
        (Code::VariableMalformed, "quotes", "client-id=c-1", quoted),
    ]
}

/// The label, everywhere but on the pod.
fn broken_by_the_label() -> Vec<Case> {
    let label = "labels: {azure.workload.identity/use: 'true'}";
    let mut on_deployment = with(BARE, label, "labels: {app: web}");
    on_deployment.owner = Seen::Found(Owner {
        labels: [(USE_LABEL.to_owned(), "true".to_owned())].into(),
        template_labels: BTreeMap::new(),
        ..deployment()
    });
    let mut on_account = with(BARE, label, "labels: {app: web}");
    on_account.owner = Seen::Missing;
    on_account.service_account = Seen::Found(yaml(
        "metadata: {labels: {azure.workload.identity/use: 'true'}, annotations: {azure.workload.identity/client-id: c-1}}",
    ));
    vec![
        (
            Code::WorkloadIdentityLabelMissing,
            "on the Deployment web itself",
            "kubectl patch deployment web -n shop",
            on_deployment,
        ),
        (
            Code::WorkloadIdentityLabelMissing,
            "on the ServiceAccount web",
            "metadata.labels",
            on_account,
        ),
        (
            Code::WorkloadIdentityLabelMissing,
            "'True'; only 'true'",
            "kubectl rollout restart deployment/web -n shop",
            with(BARE, "'true'", "'True'"),
        ),
        (
            Code::WorkloadIdentityLabelMissing,
            "this pod is older",
            "kubectl rollout restart deployment/web -n shop",
            with(BARE, label, "labels: {app: web}"),
        ),
    ]
}

/// Pods that are older than what they need.
fn broken_by_age() -> Vec<Case> {
    let mut older_than_webhook = workload(BARE);
    older_than_webhook.webhooks = Seen::Found(vec![yaml(&WEBHOOK.replace("05-01", "05-03"))]);
    let mut older_than_annotation = workload(BARE);
    older_than_annotation.service_account = Seen::Found(yaml(
        "metadata:
  annotations: {azure.workload.identity/client-id: c-1}
  managedFields:
  - {manager: kubectl, operation: Update, time: '2026-05-03T00:00:00Z', fieldsV1: {'f:metadata': {'f:annotations': {'f:azure.workload.identity/client-id': {}}}}}",
    ));
    vec![
        (
            Code::PodOlderThanSetUp,
            "webhook was installed after",
            "kubectl rollout restart deployment/web -n shop",
            older_than_webhook,
        ),
        (
            Code::PodOlderThanSetUp,
            "was annotated after",
            "kubectl rollout restart deployment/web -n shop",
            older_than_annotation,
        ),
        (
            Code::PodOlderThanSetUp,
            "did not answer",
            "kubectl rollout restart",
            workload(BARE),
        ),
        (
            Code::PodOlderThanSetUp,
            "AZURE_CLIENT_ID",
            "kubectl rollout restart",
            with(INJECTED, "value: c-1", "value: ''"),
        ),
    ]
}

/// What the webhook gave, and what became of it.
fn broken_in_the_pod() -> Vec<Case> {
    let file = "{name: AZURE_FEDERATED_TOKEN_FILE, value: /var/run/secrets/azure/tokens/azure-identity-token}";
    let secret = |value: &str| format!("{file}\n    - {{name: AZURE_CLIENT_SECRET, value: '{value}'}}");
    vec![
        (
            Code::WorkloadIdentityIncomplete,
            "AZURE_TENANT_ID",
            "azure.workload.identity/tenant-id=",
            with(INJECTED, "value: t-1", "value: ''"),
        ),
        (
            Code::WorkloadIdentityIncomplete,
            "no AZURE_FEDERATED_TOKEN_FILE",
            "webhook",
            with(INJECTED, file, "{name: OTHER, value: x}"),
        ),
        (
            Code::ClientIdMismatch,
            "AZURE_CLIENT_ID=c-2",
            "kubectl rollout restart deployment/web -n shop",
            with(INJECTED, "value: c-1", "value: c-2"),
        ),
        (
            Code::TokenFileUnreadable,
            "no token at /var/run/secrets/azure/tokens/azure-identity-token",
            "webhook",
            with(
                INJECTED,
                "mountPath: /var/run/secrets/azure/tokens",
                "mountPath: /elsewhere",
            ),
        ),
        (
            Code::FederatedAudienceWrong,
            "this one's audience is https://kubernetes.default.svc",
            "api://AzureADTokenExchange",
            with(INJECTED, "api://AzureADTokenExchange", "https://kubernetes.default.svc"),
        ),
        (
            Code::FederatedAudienceWrong,
            "this one's audience is api://AKSIdentityBinding",
            "api://AzureADTokenExchange",
            // The name of drafts, which no SDK reads: tokens go to Entra.
            with(
                &INJECTED.replace("api://AzureADTokenExchange", "api://AKSIdentityBinding"),
                "    volumeMounts",
                "    - {name: AZURE_KUBERNETES_TOKEN_ENDPOINT, value: https://proxy}\n    volumeMounts",
            ),
        ),
        (
            Code::SecretShadowsWorkloadIdentity,
            "sets AZURE_CLIENT_SECRET",
            "Remove AZURE_CLIENT_SECRET",
            with(INJECTED, file, &secret("s")),
        ),
        (
            Code::VariableMalformed,
            "AZURE_TENANT_ID in container web",
            "quotes",
            with(INJECTED, "value: t-1", "value: ' t-1'"),
        ),
    ]
}

/// An application's own credential.
fn broken_variables() -> Vec<Case> {
    let of_variables = |variables: &str| {
        let mut workload = workload(&format!(
            "{{metadata: {{name: web-0, namespace: shop}}, spec: {{containers: [{{name: web, env: [{variables}]}}]}}}}"
        ));
        workload.owner = Seen::Missing;
        workload.service_account = Seen::Found(yaml("metadata: {name: default, namespace: shop}"));
        workload
    };
    vec![
        (
            Code::EnvironmentIncomplete,
            "lacks AZURE_CLIENT_SECRET",
            "doctor identity --serviceaccount shop/default",
            of_variables("{name: AZURE_CLIENT_ID, value: c}, {name: AZURE_TENANT_ID, value: t}"),
        ),
        (
            Code::EnvironmentIncomplete,
            "lacks AZURE_TENANT_ID",
            "Set AZURE_TENANT_ID",
            of_variables("{name: AZURE_CLIENT_ID, value: c}, {name: AZURE_CLIENT_SECRET, value: s}"),
        ),
        (
            Code::EnvironmentIncomplete,
            "lacks AZURE_PASSWORD",
            "Set AZURE_PASSWORD",
            of_variables(
                "{name: AZURE_CLIENT_ID, value: c}, {name: AZURE_TENANT_ID, value: t}, {name: AZURE_USERNAME, value: u}",
            ),
        ),
        (
            Code::ClientSecretIsId,
            "AZURE_CLIENT_SECRET in container web",
            "az ad app credential reset",
            of_variables(
                "{name: AZURE_CLIENT_ID, value: c}, {name: AZURE_TENANT_ID, value: t}, \
                 {name: AZURE_CLIENT_SECRET, value: 0d6a3b1e-1111-2222-3333-0123456789ab}",
            ),
        ),
    ]
}

#[test]
fn the_first_cause_is_named_with_the_users_own_names() {
    let all = [
        broken_in_the_cluster(),
        broken_by_the_label(),
        broken_by_age(),
        broken_in_the_pod(),
        broken_variables(),
    ];
    for (code, words, fix, workload) in all.into_iter().flatten() {
        let found = next(&workload).unwrap_or_else(|| panic!("{words}: nothing was found in {:#?}", checks(&workload)));
        assert_eq!(found.code, code, "{found}");
        assert!(
            format!("{} {}", found.what, found.cause).contains(words),
            "{words}: {found}"
        );
        assert!(found.fix.contains(fix), "{fix}: {found}");
    }
}

#[test]
fn no_value_of_a_secret_is_ever_said() {
    let values = [" canary-1", "'canary-2'", "0d6a3b1e-1111-2222-3333-canary"];
    for value in values {
        let pod = INJECTED.replace(
            "    volumeMounts",
            &format!("    - {{name: AZURE_CLIENT_SECRET, value: \"{value}\"}}\n    volumeMounts"),
        );
        assert!(!format!("{:?}", checks(&workload(&pod))).contains("canary"), "{value}");
    }
}

#[test]
fn without_any_right_but_to_the_pod_nothing_is_found_wrong_and_what_was_not_looked_at_is_said() {
    for pod in [INJECTED, &INJECTED.replace("value: c-1", "value: c-2")] {
        let mut workload = workload(pod);
        workload.service_account = Seen::NotAllowed;
        workload.namespace = Seen::NotAllowed;
        workload.owner = Seen::NotAllowed;
        workload.webhooks = Seen::NotAllowed;
        let checks = checks(&workload);
        assert_eq!(checks.iter().find_map(Check::failure), None);
        let ids = |of: fn(&Outcome) -> bool| -> BTreeSet<_> {
            let such = checks.iter().filter(|check| of(&check.outcome));
            such.map(|check| check.id).collect()
        };
        let unseen = ids(|outcome| matches!(outcome, Outcome::NotMade(_)));
        assert_eq!(unseen, ["client-id", "tenant-id", "webhook"].into());
        // Without this one nothing can be said at all.
        let needed = ids(|outcome| matches!(outcome, Outcome::NotAllowed(_)));
        assert_eq!(needed, ["service-account"].into());
    }
}

/// Set-ups in which nothing is wrong.
#[expect(clippy::too_many_lines, reason = "a table of manifests")]
fn healthy() -> Vec<(&'static str, Workload)> {
    let mut all = vec![("as the webhook leaves it", workload(INJECTED))];
    let mut add = |name, workload| all.push((name, workload));

    let newer = INJECTED
        .replace(
            "/var/run/secrets/azure/tokens/azure-identity-token",
            "/var/run/secrets/azure/wi/web-0/token/azure-identity-token",
        )
        .replace(
            "mountPath: /var/run/secrets/azure/tokens",
            "mountPath: /var/run/secrets/azure/wi/web-0",
        )
        .replace("path: azure-identity-token", "path: token/azure-identity-token")
        .replace(
            "name: azure-identity-token",
            "name: azure-workload-identity-reserved-0a1b2c",
        );
    add("a newer webhook's names", workload(&newer));
    add(
        "a government cloud",
        with(INJECTED, "login.microsoftonline.com", "login.microsoftonline.us"),
    );
    add(
        "China",
        with(INJECTED, "login.microsoftonline.com", "login.chinacloudapi.cn"),
    );
    add("ids in upper case", with(INJECTED, "value: c-1", "value: C-1"));
    add(
        "a sidecar that came after the webhook",
        with(
            INJECTED,
            "  volumes:",
            "  - {name: istio-proxy, env: [{name: PROXY, value: x}]}\n  volumes:",
        ),
    );
    add(
        "a container that the webhook is told to skip",
        with(
            &INJECTED.replace(
                "  volumes:",
                "  - {name: logs, env: [{name: AZURE_CLIENT_ID, value: other}]}\n  volumes:",
            ),
            "{name: web-0,",
            "{name: web-0, annotations: {azure.workload.identity/skip-containers: 'a; logs'},",
        ),
    );
    add(
        "an init container and the webhook's proxy",
        with(
            INJECTED,
            "  volumes:",
            "  initContainers: [{name: azwi-proxy-init, env: [{name: PROXY_PORT, value: '8000'}]}, {name: migrate}]\n  volumes:",
        ),
    );
    let mut by_template = with(INJECTED, "value: c-1", "value: c-2");
    by_template.owner = Seen::Found(Owner {
        template_variables: ["AZURE_CLIENT_ID".to_owned()].into(),
        ..deployment()
    });
    add("a client id that the pod template chooses", by_template);
    let mut no_annotation = workload(INJECTED);
    no_annotation.service_account = Seen::Found(yaml("metadata: {name: web, namespace: shop}"));
    add("a client id in the pod, and no annotation", no_annotation);
    let mut with_tenant = workload(INJECTED);
    with_tenant.service_account = Seen::Found(yaml(
        "metadata: {annotations: {azure.workload.identity/client-id: c-1, azure.workload.identity/tenant-id: t-1, \
         azure.workload.identity/service-account-token-expiration: '86400'}, labels: {azure.workload.identity/use: 'true'}}",
    ));
    add(
        "a tenant of its own, longer tokens, a label that does nothing",
        with_tenant,
    );
    let mut by_hand = with(
        INJECTED,
        "labels: {azure.workload.identity/use: 'true'}",
        "labels: {app: web}",
    );
    by_hand.webhooks = Seen::Found(Vec::new());
    by_hand.owner = Seen::Missing;
    add("a token mounted by hand, and no webhook in the cluster", by_hand);
    add(
        "several tokens in one volume",
        with(
            INJECTED,
            "sources: [",
            "sources: [{serviceAccountToken: {audience: vault, path: vault}}, ",
        ),
    );
    add(
        "a token from a CSI driver",
        with(
            &INJECTED.replace(
                "  volumes:",
                "  volumes:\n  - {name: spiffe, csi: {driver: csi.spiffe.io}}",
            ),
            "{name: azure-identity-token, mountPath",
            "{name: spiffe, mountPath",
        ),
    );
    add(
        "variables from a Secret and a ConfigMap",
        with(
            &INJECTED.replace("    env:", "    envFrom: [{configMapRef: {name: azure}}]\n    env:"),
            "{name: AZURE_TENANT_ID, value: t-1}",
            "{name: LOG, value: x}",
        ),
    );
    add(
        "identity binding: tokens are exchanged in the cluster",
        with(
            &INJECTED.replace("api://AzureADTokenExchange", "api://AKSIdentityBinding"),
            "    volumeMounts",
            "    - {name: AZURE_KUBERNETES_TOKEN_PROXY, value: https://proxy}\n    volumeMounts",
        ),
    );
    let mut stateful = workload(INJECTED);
    stateful.owner = Seen::Found(Owner {
        kind: "StatefulSet".into(),
        ..deployment()
    });
    add("a StatefulSet", stateful);
    let bare = |spec: &str| {
        let mut workload = workload(&format!("{{metadata: {{name: web-0, namespace: shop}}, spec: {spec}}}"));
        workload.owner = Seen::Missing;
        workload.service_account = Seen::Found(yaml("metadata: {name: default, namespace: shop}"));
        workload
    };
    let ids = "{name: AZURE_CLIENT_ID, value: c}, {name: AZURE_TENANT_ID, value: t}";
    add(
        "a client secret from a Secret's key",
        bare(&format!(
            "{{containers: [{{name: web, env: [{ids}, {{name: AZURE_CLIENT_SECRET, valueFrom: {{secretKeyRef: {{name: s, key: k}}}}}}]}}]}}"
        )),
    );
    add(
        "a client secret from a whole Secret",
        bare(&format!(
            "{{containers: [{{name: web, env: [{ids}], envFrom: [{{secretRef: {{name: azure}}}}]}}]}}"
        )),
    );
    add(
        "a certificate",
        bare(&format!(
            "{{containers: [{{name: web, env: [{ids}, {{name: AZURE_CLIENT_CERTIFICATE_PATH, value: /c/tls.pem}}]}}]}}"
        )),
    );
    add(
        "user name and password",
        bare(&format!(
            "{{containers: [{{name: web, env: [{ids}, {{name: AZURE_USERNAME, value: u}}, \
             {{name: AZURE_PASSWORD, valueFrom: {{secretKeyRef: {{name: s, key: k}}}}}}]}}]}}"
        )),
    );
    add(
        "a managed identity of the node, named",
        bare("{containers: [{name: web, env: [{name: AZURE_CLIENT_ID, value: c}]}]}"),
    );
    add("nothing of Azure at all", bare("{containers: [{name: web}]}"));
    let mut pod_identity = bare("{containers: [{name: web}]}");
    pod_identity.pod.metadata.labels = Some([("aadpodidbinding".to_owned(), "web".to_owned())].into());
    add("aad-pod-identity", pod_identity);
    let mut shared_account = bare(&format!(
        "{{serviceAccountName: web, containers: [{{name: web, env: [{ids}, {{name: AZURE_CLIENT_SECRET, value: abc~def}}]}}]}}"
    ));
    shared_account.service_account = Seen::Found(yaml(ACCOUNT));
    add("a secret, under a ServiceAccount that others annotated", shared_account);
    all
}

#[test]
fn healthy_set_ups_give_no_finding() {
    let all = healthy();
    for (name, workload) in &all {
        assert_eq!(next(workload), None, "{name}");
    }
    println!("{} healthy set-ups, 0 findings", all.len());
    assert!(all.len() >= 20);
}
