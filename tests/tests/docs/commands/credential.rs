//! From a client secret in variables to no secret: the example's README, with our env injector. What `doctor` says on the way is compared
//! with the page by `doctor/migration.rs`; that the programs get the value, by `injector_node/examples.rs`.

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stack::prepares;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::ensure;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::migration::{Bed, SHOP};
use super::reader::Reader;

/// Waits for a pod of the application of which this holds.
async fn pod(bed: &Bed, what: &str, holds: impl Fn(&Pod) -> bool) -> anyhow::Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(bed.stack.cluster.client()?, SHOP);
    let of_the_application = ListParams::default().labels("app=backend");
    let found = until(what, PATIENCE, async || {
        let pods = pods.list(&of_the_application).await.ok()?;
        pods.items.into_iter().find(|it| holds(it))
    });
    Ok(found.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_goes_step_by_step_to_no_secret() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let injector = bed.stack.injector(&[]).await?;
    let before = format!("kubectl apply --namespace {SHOP} -f examples/migration/default-azure-credential/before.yaml");
    bed.run(&before).await?;

    let mut page = Reader::of("examples/migration/default-azure-credential/README.md", &bed.shell);
    page.passes_over("az keyvault secret set")?;
    bed.vault
        .set_secret("backend-client-secret", "s3cret", SecretOptions::default())?;
    page.runs("kubectl label namespace").await?;
    prepares(&bed.stack.cluster, SHOP).await?;
    page.runs("kubectl apply").await?;
    let prepared = pod(&bed, "a prepared pod", |pod| {
        let first = pod.spec.as_ref().and_then(|it| it.init_containers.as_ref()?.first());
        first.is_some_and(|it| it.name == names::INIT_CONTAINER)
    });
    let prepared = serde_json::to_string(&prepared.await?)?;
    ensure!(
        prepared.contains("backend-client-secret@azurekeyvault") && !prepared.contains("s3cret"),
        "{prepared}"
    );
    page.runs("kubectl delete secret").await?;
    bed.is_gone("azure-credentials").await?;

    let said = page.ends_with("kubectl akv2k8s doctor identity", 1).await?;
    ensure!(
        said.contains("az identity federated-credential create") && said.contains("system:serviceaccount:shop:backend"),
        "{said}"
    );
    page.runs("kubectl apply").await?;
    pod(&bed, "a pod of the ServiceAccount without variables", |pod| {
        let Some(spec) = &pod.spec else { return false };
        let mut containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        spec.service_account_name.as_deref() == Some("backend") && containers.all(|it| it.env.is_none())
    })
    .await?;
    page.runs("kubectl delete azurekeyvaultsecret").await?;
    drop(injector);
    page.ends()
}
