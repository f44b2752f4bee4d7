//! `examples/migration/default-azure-credential`, step by step: from a service principal that is set up in part to no secret at all.

use std::path::{Path, PathBuf};

use akv2k8s_testbed::helm::objects;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::bed::Bed;

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../examples/migration/default-azure-credential")
        .join(file)
}

/// A pod of the Deployment in a file as the workload identity webhook leaves it: what is there already, it does not touch.
fn with_webhook(file: &str, name: &str) -> anyhow::Result<Value> {
    let all = objects(&std::fs::read_to_string(example(file))?)?;
    let account = all
        .iter()
        .find(|it| it["kind"] == "ServiceAccount")
        .context("an account")?;
    let client_id = &account["metadata"]["annotations"]["azure.workload.identity/client-id"];
    let deployment = all
        .iter()
        .find(|it| it["kind"] == "Deployment")
        .context("a Deployment")?;
    let mut pod = deployment["spec"]["template"].clone();
    ensure!(pod["metadata"]["labels"]["azure.workload.identity/use"] == "true");
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!(name);
    let folder = "/var/run/secrets/azure/tokens";
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().context("containers")? {
            ensure!(
                container["env"].is_null(),
                "the step takes all variables out: {container}"
            );
            container["env"] = json!([
                {"name": "AZURE_CLIENT_ID", "value": client_id},
                {"name": "AZURE_TENANT_ID", "value": "00000000-0000-0000-0000-000000000001"},
                {"name": "AZURE_FEDERATED_TOKEN_FILE", "value": format!("{folder}/azure-identity-token")},
                {"name": "AZURE_AUTHORITY_HOST", "value": "https://login.microsoftonline.com/"},
            ]);
            container["volumeMounts"] =
                json!([{"name": "azure-identity-token", "mountPath": folder, "readOnly": true}]);
        }
    }
    let token =
        json!({"serviceAccountToken": {"audience": "api://AzureADTokenExchange", "path": "azure-identity-token"}});
    pod["spec"]["volumes"] = json!([{"name": "azure-identity-token", "projected": {"sources": [token]}}]);
    Ok(pod)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_doctor_says_at_each_step_from_a_service_principal_to_workload_identity() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-migration").await?;
    akv2k8s_testbed::crd::install(&bed.cluster.client()?).await?;
    let readme = std::fs::read_to_string(example("README.md"))?;
    // What the page quotes is what the program says.
    let quoted = |said: &str| {
        said.lines()
            .filter(|line| line.starts_with(['✓', '✗']))
            .all(|line| readme.contains(line))
    };
    let shown = |said: &str, pod: &str| said.replace(bed.ns(), "shop").replace(pod, "backend-6d5f");

    bed.apply_file(&example("before.yaml")).await?;
    let before = bed.pod("app=backend").await?;
    let said = bed.run(&["doctor", "pod", &before]).await?;
    ensure!(said.text.contains("Next (EnvironmentIncomplete)"), "{said:?}");
    ensure!(
        said.has_line(&format!(
            "✗ Container migrate of pod {}/{before} lacks AZURE_CLIENT_SECRET.",
            bed.ns()
        )),
        "{said:?}"
    );
    ensure!(quoted(&shown(&said.text, &before)), "{}", shown(&said.text, &before));

    bed.apply_file(&example("1-secret-from-vault.yaml")).await?;
    let first = bed.pod_but("app=backend", &before).await?;
    let said = bed.run(&["doctor", "pod", &first]).await?;
    ensure!(
        said.code == Some(0) && said.has_line("✓ The variables of an application's credential are all set."),
        "{said:?}"
    );
    ensure!(quoted(&shown(&said.text, &first)), "{}", said.text);

    // Half way: the secret was left in the manifest.
    bed.apply_file(&example("2-workload-identity.yaml")).await?;
    let mut half = with_webhook("2-workload-identity.yaml", "half")?;
    let variables = half["spec"]["containers"][0]["env"]
        .as_array_mut()
        .context("variables")?;
    variables.push(json!({"name": "AZURE_CLIENT_SECRET", "value": "backend-client-secret@azurekeyvault"}));
    bed.apply(&half.to_string()).await?;
    let said = bed.run(&["doctor", "pod", "half"]).await?;
    ensure!(said.text.contains("Next (SecretShadowsWorkloadIdentity)"), "{said:?}");
    let line = said.text.lines().find(|line| line.starts_with('✗')).unwrap_or_default();
    ensure!(quoted(&shown(line, "half")), "{line}");

    bed.apply(&with_webhook("2-workload-identity.yaml", "second")?.to_string())
        .await?;
    let said = bed.run(&["doctor", "pod", "second"]).await?;
    ensure!(said.code == Some(0) && !said.text.contains('✗'), "{said:?}");
    for passed in [
        "✓ The pod carries the label azure.workload.identity/use=true.",
        "✓ The pod was given variables and a token.",
        "✓ No secret, certificate or password goes before workload identity.",
    ] {
        ensure!(said.has_line(passed) && readme.contains(passed), "{passed}: {said:?}");
    }
    Ok(())
}
