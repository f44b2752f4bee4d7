//! Our resource on an API server.

use std::time::Duration;

use akv2k8s_shared::api::crd;
use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::{conditions, wait};
use kube::{Api, Client, ResourceExt};

use crate::helm::objects;

/// How long the API server may take to serve a new resource.
const LIMIT: Duration = Duration::from_secs(30);

/// Installs the `CustomResourceDefinition` that the types generate, or brings it up to date, and waits until it is served.
pub async fn install(client: &Client) -> anyhow::Result<()> {
    install_definition(client, &crd()).await
}

/// Installs all definitions of a manifest and waits until they are served.
pub async fn install_definitions(client: &Client, manifest: &str) -> anyhow::Result<()> {
    for definition in objects(manifest)? {
        install_definition(client, &serde_json::from_value(definition)?).await?;
    }
    Ok(())
}

/// Installs any definition and waits until it is served.
pub async fn install_definition(client: &Client, definition: &CustomResourceDefinition) -> anyhow::Result<()> {
    let name = definition.name_any();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let parameters = PatchParams::apply("akv2k8s-testbed").force();
    definitions
        .patch(&name, &parameters, &Patch::Apply(definition))
        .await
        .with_context(|| format!("install CustomResourceDefinition {name}"))?;
    tokio::time::timeout(
        LIMIT,
        wait::await_condition(definitions, &name, conditions::is_crd_established()),
    )
    .await
    .with_context(|| format!("wait {} s for {name} to be established", LIMIT.as_secs()))?
    .with_context(|| format!("watch {name}"))?;
    Ok(())
}
