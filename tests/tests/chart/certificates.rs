//! From one way to the webhook's certificate to another.

use akv2k8s_testbed::helm::RELEASE;
use akv2k8s_testbed::provision::Program;
use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::installing::{Bed, authority};
use crate::learn_of_others;

const BY_CERT_MANAGER: &str = "env_injector: {certificate: {useCertManager: true}}";
const OF_CERT_MANAGER: &str = "secret/akv2k8s-envinjector-tls";

fn secret(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": name, "namespace": RELEASE},
        "stringData": {"ca.crt": "theirs", "tls.crt": "theirs", "tls.key": "theirs"},
    })
}

/// Whether the Secret that the env injector's pods mount is there, with this certificate.
async fn serves(bed: &Bed, certificate: &str) -> anyhow::Result<()> {
    let deployment = bed.there("deployment/akv2k8s-envinjector").await?;
    let volumes = &deployment["spec"]["template"]["spec"]["volumes"];
    let name = volumes[0]["secret"]["secretName"]
        .as_str()
        .with_context(|| volumes.to_string())?;
    let data = &bed.there(&format!("secret/{name}")).await?["data"]["tls.crt"];
    ensure!(*data == *certificate, "{name}: {data}");
    Ok(())
}

async fn there_and_back(program: Program) -> anyhow::Result<()> {
    let bed = Bed::new(program).await?;
    learn_of_others(&bed.cluster).await?;
    bed.helm("install", BY_CERT_MANAGER)?;
    // What cert-manager does then, and undoes for nobody.
    bed.cluster
        .kubectl_apply(&secret("akv2k8s-envinjector-tls").to_string())
        .await?;
    serves(&bed, "dGhlaXJz").await?;

    let tls = "server: {tls: {crt: b3Vycw==, key: b3Vycw==}}";
    let own = format!(
        "env_injector: {{certificate: {{custom: {{enabled: true, {tls}, ca: {{crt: {}}}}}}}}}",
        authority()
    );
    bed.helm("upgrade", &own)?;
    serves(&bed, "b3Vycw==").await?;
    bed.there(OF_CERT_MANAGER).await?;

    bed.helm("upgrade", BY_CERT_MANAGER)?;
    serves(&bed, "dGhlaXJz").await?;
    bed.helm("upgrade", "{}")?;
    bed.helm("upgrade", &own)?;
    serves(&bed, "b3Vycw==").await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_goes_from_cert_manager_to_certificates_of_ones_own_and_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_goes_from_cert_manager_to_certificates_of_ones_own_and_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm4).await
}
