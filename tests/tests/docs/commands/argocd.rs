//! `examples/argocd`, followed where Argo CD's ConfigMap has something in it already.

use std::fs;

use akv2k8s_testbed::controlplane::ControlPlane;
use anyhow::ensure;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use super::reader::Reader;
use super::shell::{ends_well, shell_for};
use crate::page::root;

const INSTALLED: &str = "kubectl create namespace argocd && \
                         kubectl create configmap argocd-cm --namespace argocd --from-literal=url=https://argocd.example.com";

#[tokio::test(flavor = "multi_thread")]
async fn the_script_is_in_argo_cds_configuration_beside_what_was_there() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let shell = tokio::task::block_in_place(|| shell_for(cluster))?;
    ends_well(&shell, INSTALLED).await?;
    let mut page = Reader::of("examples/argocd/README.md", &shell);
    page.runs("kubectl create configmap argocd-cm").await?;
    page.runs("kubectl patch configmap argocd-cm").await?;
    page.ends()?;

    let maps: Api<ConfigMap> = Api::namespaced(cluster.client()?, "argocd");
    let data = maps.get("argocd-cm").await?.data.unwrap_or_default();
    let script = fs::read_to_string(root().join("examples/argocd/health.lua"))?;
    let key = "resource.customizations.health.spv.no_AzureKeyVaultSecret";
    ensure!(data.get(key) == Some(&script), "{data:?}");
    ensure!(
        data.get("url").is_some_and(|it| it == "https://argocd.example.com"),
        "{data:?}"
    );
    Ok(())
}
