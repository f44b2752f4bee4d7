//! `render`: manifests of the Secrets and ConfigMaps themselves, with their values, for people who must do without a controller.

use akv2k8s_controller::output::manifest;
use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::secret::SecretBytes;
use anyhow::{Context, bail};

use crate::args::Render;
use crate::disclose::Consent;
use crate::manifests;
use crate::output::{Output, yaml};
use crate::progress::during;
use crate::style::counted;
use crate::survey::asked;
use crate::vault::Vaults;

/// Everything that the AKVS of the files would make, as YAML documents, or as a list in JSON. No cluster is asked: where neither manifest
/// nor command line names a namespace, there is none in what is made.
///
/// # Errors
/// A file or a vault cannot be read, or nobody agreed to values being printed.
pub(crate) async fn render(
    args: &Render,
    namespace: Option<&str>,
    output: Output,
    environment: &Environment,
) -> anyhow::Result<SecretBytes> {
    let wanted = manifests::akvs(&args.files)?;
    let _consent = Consent::ask(
        &format!("Print the values of {}?", counted(wanted.len(), "object")),
        args.yes,
    )?;
    let vaults = Vaults::new(environment)?;
    let mut documents = Vec::new();
    for akvs in &wanted {
        documents.extend(during("reading", documents_of(akvs, namespace, output, &vaults)).await?);
    }
    if documents.is_empty() {
        bail!("none of these AzureKeyVaultSecrets has an output: they are for the env injector only");
    }
    let text = match output {
        Output::Text | Output::Yaml => documents.join("---\n"),
        Output::Json => format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{}]}}\n",
            documents.join(",")
        ),
    };
    Ok(SecretBytes::from(text))
}

async fn documents_of(
    akvs: &AzureKeyVaultSecret,
    namespace: Option<&str>,
    output: Output,
    vaults: &Vaults,
) -> anyhow::Result<Vec<String>> {
    let name = akvs.metadata.name.as_deref().unwrap_or_default();
    let failed = || format!("AzureKeyVaultSecret {name}");
    let asked = asked(vaults, akvs).await.map_err(|error| *error).with_context(failed)?;
    let read = asked.read.map_err(|error| *error).with_context(failed)?;
    let namespace = akvs.metadata.namespace.as_deref().or(namespace);
    let one = |desired| match output {
        Output::Json => serde_json::to_string(&manifest(namespace, desired)).context("it has no JSON form"),
        Output::Text | Output::Yaml => yaml(&manifest(namespace, desired)),
    };
    read.desired.iter().map(one).collect()
}
