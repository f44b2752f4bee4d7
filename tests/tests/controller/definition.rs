//! `CRD_UPGRADE=true`: an older definition of our resource is replaced, by a controller that may do just that.

use akv2k8s_shared::api::crd::{REVISION, REVISION_ANNOTATION, crd};
use akv2k8s_testbed::stack::Controller;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt};

use crate::rights::{Bed, EVERYWHERE, apply, nothing_was_forbidden, readiness};

/// The definition as akv2k8s has it.
const UPSTREAM: &str = include_str!("../crd/upstream.yaml");
const RIGHT: &str = include_str!("../../../examples/install/crd-upgrade-rbac.yaml");
const NAME: &str = "azurekeyvaultsecrets.spv.no";

async fn upgrading(bed: &Bed) -> anyhow::Result<Controller> {
    let launch = bed.stack.controller().arg("--azure-resync-period=1");
    let controller = launch.env("CRD_UPGRADE", "true").start().await?;
    // A replica that stands by is ready too.
    let works = async || {
        let (status, said) = readiness(&controller).await.ok()?;
        (status == 200 && !said.contains("standby")).then_some(())
    };
    until("the controller to work", PATIENCE, works).await?;
    Ok(controller)
}

async fn definition(bed: &Bed) -> anyhow::Result<CustomResourceDefinition> {
    let all: Api<CustomResourceDefinition> = Api::all(bed.stack.cluster.client()?);
    Ok(all.get(NAME).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_definition_is_replaced_and_a_newer_one_is_left_alone() -> anyhow::Result<()> {
    let bed = Bed::with(EVERYWHERE).await?;
    let cluster = &bed.stack.cluster;
    cluster.kubectl(&["delete", "crd", NAME]).await?.success()?;
    cluster.kubectl_apply(UPSTREAM).await?;
    let established = ["wait", "--for=condition=Established", &format!("crd/{NAME}")];
    cluster.kubectl(&established).await?.success()?;

    // Without the right it says so, and works as well as the old definition lets it.
    let controller = upgrading(&bed).await?;
    let (_, said) = readiness(&controller).await?;
    assert!(
        said.contains("CrdNotUpgraded") && said.contains("crds.upgrade=true"),
        "{said}"
    );
    assert!(definition(&bed).await?.annotations().get(REVISION_ANNOTATION).is_none());
    controller.stop().await?;

    cluster.kubectl_apply(RIGHT).await?;
    let controller = upgrading(&bed).await?;
    let found = definition(&bed).await?;
    assert_eq!(found.annotations()[REVISION_ANNOTATION], REVISION.to_string());
    let versions = |it: &CustomResourceDefinition| serde_json::to_value(&it.spec.versions);
    assert_eq!(versions(&found)?, versions(&crd())?);
    apply(&bed.objects, "db", "db", "Opaque").await?;
    bed.wait_for_reason("db", "Synced").await?;
    nothing_was_forbidden(&controller)?;
    let generation = found.metadata.generation.context("it has a generation")?;
    controller.stop().await?;

    let newer = format!("{REVISION_ANNOTATION}={}", REVISION + 1);
    let annotate = ["annotate", "--overwrite", "crd", NAME, &newer];
    cluster.kubectl(&annotate).await?.success()?;
    let controller = upgrading(&bed).await?;
    let found = definition(&bed).await?;
    assert_eq!(found.annotations()[REVISION_ANNOTATION], (REVISION + 1).to_string());
    assert_eq!(found.metadata.generation, Some(generation));
    let (_, said) = readiness(&controller).await?;
    assert!(!said.contains("CrdNotUpgraded"), "{said}");
    controller.stop().await
}
