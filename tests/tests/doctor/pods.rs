//! Other people's pods, broken as the guides describe them: the cause is named, and the printed fix leads on.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde_json::Value;

use crate::bed::Bed;

/// File of `examples/mistakes/identity`, code of the finding, and what the report must say of it.
type Mistake = (&'static str, Option<(&'static str, &'static str)>);

#[rustfmt::skip]
const MISTAKES: [Mistake; 14] = [
    ("annotation-missing.yaml", Some(("ServiceAccountNotAnnotated", "web lacks the annotation azure.workload.identity/client-id"))),
    ("annotation-quoted.yaml", Some(("VariableMalformed", "azure.workload.identity/client-id=00000000-0000-0000-0000-000000000002"))),
    ("audience-wrong.yaml", Some(("FederatedAudienceWrong", "this one's audience is https://vault.azure.net"))),
    ("client-id-differs.yaml", Some(("ClientIdMismatch", "00000000-0000-0000-0000-000000000003"))),
    ("client-secret-id.yaml", Some(("ClientSecretIsId", "AZURE_CLIENT_SECRET"))),
    ("label-on-deployment.yaml", Some(("WorkloadIdentityLabelMissing", "The label is on the Deployment web itself"))),
    ("label-on-service-account.yaml", Some(("WorkloadIdentityLabelMissing", "ServiceAccount web"))),
    ("pod-older-than-set-up.yaml", Some(("PodOlderThanSetUp", "kubectl rollout restart deployment/web"))),
    ("secret-besides-workload-identity.yaml", Some(("SecretShadowsWorkloadIdentity", "AZURE_CLIENT_SECRET"))),
    ("set-up-by-hand.yaml", None),
    ("tenant-empty.yaml", Some(("WorkloadIdentityIncomplete", "AZURE_TENANT_ID"))),
    ("token-elsewhere.yaml", Some(("TokenFileUnreadable", "/var/run/secrets/azure/tokens"))),
    ("variable-quoted.yaml", Some(("VariableMalformed", "AZURE_TENANT_ID"))),
    ("variables-partial.yaml", Some(("EnvironmentIncomplete", "AZURE_CLIENT_SECRET"))),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/mistakes/identity")
}

/// Applies a file of the folder, and waits for its pod.
async fn apply(bed: &Bed, file: &str) -> anyhow::Result<String> {
    bed.apply_file(&folder().join(file)).await?;
    bed.pod("app=web").await
}

fn fix(report: &Value) -> &str {
    report["next"]["fix"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_on_the_deployment_is_found_and_the_printed_command_puts_it_on_the_pods() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-label").await?;
    let pod = apply(&bed, "label-on-deployment.yaml").await?;
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
    let pod = apply(&bed, "annotation-missing.yaml").await?;
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
async fn each_mistake_of_the_examples_is_named_and_what_is_whole_gives_no_finding() -> anyhow::Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(folder())?
        .map(|it| it.map(|it| it.file_name()))
        .collect::<Result<_, _>>()?;
    files.retain(|it| it != "README.md");
    files.sort();
    ensure!(files.iter().eq(MISTAKES.iter().map(|(file, _)| *file)), "{files:?}");
    let table = std::fs::read_to_string(folder().join("README.md"))?;
    for (file, finding) in MISTAKES {
        let bed = Bed::new("doctor-mistake").await?;
        let pod = apply(&bed, file).await?;
        let said = bed.run(&["doctor", "pod", &pod]).await?;
        let report = bed.json(&["doctor", "pod", &pod]).await?;
        ensure!(said.code == Some(i32::from(finding.is_some())), "{file}: {said:?}");
        ensure!(report["healthy"] == finding.is_none(), "{file}: {report:#}");
        let values = ["put-there-by-hand", "00000000-0000-0000-0000-000000000004"];
        ensure!(
            values
                .iter()
                .all(|it| !said.text.contains(it) && !report.to_string().contains(it)),
            "{file}"
        );
        let row = table.lines().find(|line| line.contains(&format!("]({file})")));
        let row = row.unwrap_or_default();
        if let Some((code, says)) = finding {
            ensure!(report["next"]["code"] == code, "{file}: {report:#}");
            ensure!(report["next"].to_string().contains(says), "{file}: {report:#}");
            ensure!(
                row.contains(&format!("`{code}`")),
                "the README's row of {file} is {row:?}"
            );
        } else {
            ensure!(!row.is_empty(), "the README has no row of {file}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_without_any_of_the_variables_is_a_sidecar() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-sidecar").await?;
    let manifest = std::fs::read_to_string(folder().join("set-up-by-hand.yaml"))?;
    let sidecar = "  volumes:\n    - name: azure-identity-token\n      projected";
    let with = manifest.replace(
        sidecar,
        &format!("    - name: proxy\n      image: example.org/proxy\n{sidecar}"),
    );
    ensure!(with != manifest);
    bed.apply(&with).await?;
    let report = bed.json(&["doctor", "pod", "web"]).await?;
    ensure!(report["healthy"] == true, "{report:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_the_namespace_gets_an_answer_and_is_told_what_could_not_be_looked_at() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-reader").await?;
    apply(&bed, "set-up-by-hand.yaml").await?;
    let other = std::fs::read_to_string(folder().join("client-id-differs.yaml"))?;
    bed.apply(&other.replace(
        "kind: Pod\nmetadata:\n  name: web",
        "kind: Pod\nmetadata:\n  name: other",
    ))
    .await?;
    bed.become_reader().await?;
    let said = bed.run(&["doctor", "pod", "web"]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.has_line("– The workload identity webhook: no right to list"),
        "{said:?}"
    );
    let tried = bed.run(&["doctor", "pod", "web", "--mint"]).await?;
    assert_eq!(tried.code, Some(2), "what was asked for was not tried: {tried:?}");
    assert!(
        tried.has_line("? A token of ServiceAccount")
            && tried.text.contains("no right to create serviceaccounts/token"),
        "{tried:?}"
    );
    assert_eq!(
        bed.json(&["doctor", "pod", "other"]).await?["next"]["code"],
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
