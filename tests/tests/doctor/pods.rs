//! Other people's pods, broken as the guides describe them: the cause is named, and the printed fix leads on.

use serde_json::Value;

use crate::bed::Bed;

const ACCOUNT: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: web, namespace: NS, annotations: {azure.workload.identity/client-id: c-1}}
";

/// A pod as the workload identity webhook leaves it.
const INJECTED: &str = "
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: NS, labels: {azure.workload.identity/use: 'true'}}
spec:
  serviceAccountName: web
  containers:
  - name: web
    image: example.org/web
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

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: NS, labels: {azure.workload.identity/use: 'true'}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: web, image: example.org/web}]}
";

fn fix(report: &Value) -> &str {
    report["next"]["fix"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_on_the_deployment_is_found_and_the_printed_command_puts_it_on_the_pods() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-label").await?;
    bed.apply(ACCOUNT).await?;
    bed.apply(DEPLOYMENT).await?;
    let pod = bed.pod("app=web").await?;
    let said = bed.run(&["doctor", "pod", &pod]).await?;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.text.contains("The label is on the Deployment web itself"),
        "{said:?}"
    );
    let report = bed.json(&["doctor", "pod", &pod]).await?;
    assert_eq!(report["next"]["code"], "WorkloadIdentityLabelMissing", "{report:#}");
    bed.follow(fix(&report)).await?;
    let pod = bed.pod("app=web,azure.workload.identity/use=true").await?;
    let report = bed.json(&["doctor", "pod", &pod]).await?;
    // Nobody answers as the webhook here, so the next link of the chain is what is broken now.
    assert_eq!(report["next"]["code"], "PodOlderThanSetUp", "{report:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_without_annotation_is_found_and_annotating_it_leads_to_re_creating_the_pod()
-> anyhow::Result<()> {
    let bed = Bed::new("doctor-annotation").await?;
    let plain = ACCOUNT.replace(", annotations: {azure.workload.identity/client-id: c-1}", "");
    bed.apply(&plain).await?;
    bed.apply(&DEPLOYMENT.replace(
        "{app: web}}\n    spec",
        "{app: web, azure.workload.identity/use: 'true'}}\n    spec",
    ))
    .await?;
    let pod = bed.pod("app=web").await?;
    let report = bed.json(&["doctor", "pod", &pod]).await?;
    assert_eq!(report["next"]["code"], "ServiceAccountNotAnnotated", "{report:#}");
    // Timestamps have whole seconds: the annotation has to be visibly later than the pod.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let (command, _) = fix(&report).split_once("CLIENT_ID (").unwrap_or_default();
    bed.follow(&format!("{command}c-1")).await?;
    let report = bed.json(&["doctor", "pod", &pod]).await?;
    assert_eq!(report["next"]["code"], "PodOlderThanSetUp", "{report:#}");
    assert!(
        report["next"]["cause"]
            .as_str()
            .is_some_and(|cause| cause.contains("annotated after")),
        "{report:#}"
    );
    bed.follow(fix(&report)).await?;
    bed.pod_but("app=web", &pod).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cause_in_an_injected_pod_is_named_and_a_whole_one_gives_no_finding() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-injected").await?;
    bed.apply(ACCOUNT).await?;
    let file = "    volumeMounts:";
    let cases = [
        ("whole", INJECTED.to_owned(), None),
        ("sidecar", INJECTED.replace("  volumes:", "  - {name: proxy, image: example.org/proxy}\n  volumes:"), None),
        ("other-id", INJECTED.replace("value: c-1", "value: c-2"), Some(("ClientIdMismatch", "c-2"))),
        ("no-tenant", INJECTED.replace("value: t-1", "value: ''"), Some(("WorkloadIdentityIncomplete", "AZURE_TENANT_ID"))),
        (
            "audience",
            INJECTED.replace("'api://AzureADTokenExchange'", "vault"),
            Some(("FederatedAudienceWrong", "vault")),
        ),
        (
            "elsewhere",
            INJECTED.replace("mountPath: /var/run/secrets/azure/tokens", "mountPath: /elsewhere"),
            Some(("TokenFileUnreadable", "/var/run/secrets/azure/tokens")),
        ),
        (
            "shadowed",
            INJECTED.replace(file, &format!("    - {{name: AZURE_CLIENT_SECRET, value: canary}}\n{file}")),
            Some(("SecretShadowsWorkloadIdentity", "AZURE_CLIENT_SECRET")),
        ),
        ("quoted", INJECTED.replace("value: t-1", "value: '\"t-1\"'"), Some(("VariableMalformed", "AZURE_TENANT_ID"))),
        (
            "partial",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME, namespace: NS}\nspec: {containers: [{name: backend, image: \
             example.org/b, env: [{name: AZURE_TENANT_ID, value: t}, {name: AZURE_CLIENT_ID, value: c}]}]}"
                .to_owned(),
            Some(("EnvironmentIncomplete", "AZURE_CLIENT_SECRET")),
        ),
    ];
    for (name, manifest, finding) in cases {
        bed.apply(&manifest.replace("NAME", name)).await?;
        let said = bed.run(&["doctor", "pod", name]).await?;
        let report = bed.json(&["doctor", "pod", name]).await?;
        assert_eq!(said.code, Some(i32::from(finding.is_some())), "{name}: {said:?}");
        assert_eq!(report["healthy"], finding.is_none(), "{name}: {report:#}");
        assert!(
            !said.text.contains("canary") && !report.to_string().contains("canary"),
            "{name}"
        );
        if let Some((code, names)) = finding {
            assert_eq!(report["next"]["code"], code, "{name}: {report:#}");
            assert!(report["next"].to_string().contains(names), "{name}: {report:#}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_namespace_gets_an_answer_and_is_told_what_could_not_be_looked_at() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-reader").await?;
    bed.apply(ACCOUNT).await?;
    bed.apply(&INJECTED.replace("NAME", "web-0")).await?;
    bed.apply(&INJECTED.replace("NAME", "web-1").replace("value: c-1", "value: c-2"))
        .await?;
    bed.become_reader().await?;
    let said = bed.run(&["doctor", "pod", "web-0", "--mint"]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.has_line("– The workload identity webhook: no right to list"),
        "{said:?}"
    );
    assert!(
        said.text.contains("no right to create serviceaccounts/token"),
        "{said:?}"
    );
    assert_eq!(
        bed.json(&["doctor", "pod", "web-1"]).await?["next"]["code"],
        "ClientIdMismatch"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_at_all_is_exit_code_2() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-nothing").await?;
    let said = bed.run(&["doctor", "pod", "nobody"]).await?;
    assert_eq!(said.code, Some(2), "{said:?}");
    assert!(said.error.contains("there is no pod"), "{said:?}");
    assert_eq!(bed.run(&["doctor", "identity"]).await?.code, Some(64));
    bed.kubeconfig = "/does/not/exist".into();
    assert_eq!(bed.run(&["doctor"]).await?.code, Some(2));
    Ok(())
}
