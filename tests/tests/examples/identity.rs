//! Every way of `examples/identity` to become somebody reads the vault as just that.

use std::path::Path;

use akv2k8s_shared::identity::Method;
use akv2k8s_testbed::crd::install_definitions;
use akv2k8s_testbed::emulator::{Operation, Service};
use akv2k8s_testbed::stack::prepares;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::bed::{Azure, CLIENT, RELEASE, TENANT, World, path, text};
use crate::openssl::OpenSsl;

/// The object that all of them read.
const OBJECT: &str = "identity/db-password.yaml";
const RESTRICTED: &str = "injector/namespace.yaml";
const PRIVILEGED: &str = "identity/azure-json/namespace.yaml";
/// What aad-pod-identity is told of the pods.
const POD_IDENTITY: &str = "identity/pod-identity/identity.yaml";
/// Its resources: an API server that knows them refuses what is no field of theirs.
const DEFINITIONS: [&str; 2] = [include_str!("pod_identity.yaml"), include_str!("../chart/foreign.yaml")];
/// What has to be there before, in Azure or in the cluster.
#[derive(Clone, Copy)]
enum Given {
    FederatedCredential,
    ClientSecret,
    Certificate,
    /// A node with the identity, and with another one.
    NodeIdentity,
    /// The same, and the node's file that names it.
    NodeFile,
    PodIdentity,
}

struct Journey {
    values: &'static str,
    given: Given,
    method: Method,
    namespace: &'static str,
}

const fn journey(values: &'static str, given: Given, method: Method) -> Journey {
    let namespace = RESTRICTED;
    Journey {
        values,
        given,
        method,
        namespace,
    }
}

const JOURNEYS: [Journey; 9] = [
    journey(
        "identity/workload-identity/values.yaml",
        Given::FederatedCredential,
        Method::WorkloadIdentity,
    ),
    journey(
        "identity/workload-identity/values-without-webhook.yaml",
        Given::FederatedCredential,
        Method::WorkloadIdentity,
    ),
    journey(
        "identity/service-principal/values.yaml",
        Given::ClientSecret,
        Method::ClientSecret,
    ),
    journey(
        "identity/client-certificate/values.yaml",
        Given::Certificate,
        Method::ClientCertificate,
    ),
    journey(
        "identity/managed-identity/values.yaml",
        Given::NodeIdentity,
        Method::ManagedIdentity,
    ),
    journey(
        "identity/managed-identity/values-user-defined-msi.yaml",
        Given::NodeIdentity,
        Method::ManagedIdentity,
    ),
    journey(
        "identity/pod-identity/values.yaml",
        Given::PodIdentity,
        Method::ManagedIdentity,
    ),
    journey(
        "identity/pod-identity/values-exception.yaml",
        Given::NodeIdentity,
        Method::ManagedIdentity,
    ),
    Journey {
        namespace: PRIVILEGED,
        ..journey(
            "identity/azure-json/values.yaml",
            Given::NodeFile,
            Method::ManagedIdentity,
        )
    },
];

/// The command of the folder's README that makes this Secret, without its first word, where it takes the reader's file from `folder`.
fn command(secret: &str, file: &str, folder: &Path) -> anyhow::Result<String> {
    let page = text("identity/README.md")?.replace("\\\n", " ");
    let start = format!("kubectl create secret generic {secret} ");
    let line = page.lines().find(|it| it.starts_with(&start)).context(start)?;
    ensure!(line.ends_with(&format!("={file}")), "{line}: {file}");
    let path = folder.join(file).display().to_string();
    Ok(line.trim_start_matches("kubectl ").replace(file, &path))
}

/// What the folder's README says to write into a file.
fn credentials() -> anyhow::Result<String> {
    let page = text("identity/README.md")?;
    let block = page.split("```text\n").nth(1).and_then(|it| it.split("```").next());
    Ok(block.context("a block of text")?.to_owned())
}

impl Given {
    async fn prepare(self, world: &World, azure: &Azure) -> anyhow::Result<()> {
        let imds = azure.emulator.imds();
        match self {
            Self::FederatedCredential => world.federate(RELEASE, azure).await?,
            Self::ClientSecret => {
                azure.app.add_secret_with("CLIENT_SECRET", None);
                let file = "credentials.env";
                std::fs::write(azure.folder.path().join(file), credentials()?)?;
                let command = command("akv2k8s-credentials", file, azure.folder.path())?;
                world.kubectl(&command).await?;
            }
            Self::Certificate => {
                let openssl = OpenSsl::at(azure.folder.path());
                openssl.certificate("client", &["rsa:2048"]);
                openssl.pem("client", "client.pem");
                azure.app.add_certificate(&openssl.der("client"));
                let command = command("akv2k8s-certificate", "client.pem", azure.folder.path())?;
                world.kubectl(&command).await?;
            }
            Self::NodeIdentity => {
                imds.assign(azure.app.principal().clone());
                imds.assign_user_identity();
            }
            Self::NodeFile => {
                imds.assign(azure.app.principal().clone());
                imds.assign_user_identity();
                let folder = azure.folder.path().join("etc/kubernetes");
                std::fs::create_dir_all(&folder)?;
                let file = json!({
                    "cloud": "AzureStackCloud", "tenantId": TENANT, "aadClientId": "msi", "aadClientSecret": "msi",
                    "useManagedIdentityExtension": true, "userAssignedIdentityID": CLIENT,
                });
                std::fs::write(folder.join("azure.json"), file.to_string())?;
            }
            Self::PodIdentity => {
                imds.use_pod_identity();
                imds.assign(azure.app.principal().clone());
                world.apply(POD_IDENTITY).await?;
            }
        }
        Ok(())
    }

    /// Who gives the tokens.
    fn issuer(self) -> Service {
        match self {
            Self::FederatedCredential | Self::ClientSecret | Self::Certificate => Service::Entra,
            Self::NodeIdentity | Self::NodeFile | Self::PodIdentity => Service::Imds,
        }
    }
}

/// Fails unless tokens were asked for there, and nowhere else.
fn asked_only(azure: &Azure, issuer: &Service) -> anyhow::Result<()> {
    for service in [Service::Entra, Service::Imds] {
        let tokens = azure.emulator.journal().counts().service(&service).of(Operation::Token);
        ensure!((tokens > 0) == (service == *issuer), "{service}: {tokens}");
    }
    Ok(())
}

async fn read(world: &World, journey: &Journey) -> anyhow::Result<()> {
    let azure = Azure::start().await?;
    // Another value each time: none is left over.
    azure.set("db-password", journey.values)?;
    world.apply(journey.namespace).await?;
    journey.given.prepare(world, &azure).await?;
    world.install(RELEASE, &[journey.values])?;
    let (_pod, launch) = world.controller(RELEASE, &azure).await?;
    let controller = launch.start().await?;
    let team = world.cluster.namespace("team").await?;
    let label = format!("label namespace {} azure-key-vault-env-injection=enabled", team.name());
    world.kubectl(&label).await?;
    world.apply_in(team.name(), OBJECT).await?;
    let akvs = world
        .becomes(team.name(), "db-password", "Synced")
        .await
        .context(controller.log())?;
    world.holds(team.name(), "db-password", journey.values).await?;
    let read_by = akvs.status.and_then(|it| it.identity).context("who read")?;
    ensure!(read_by.method == journey.method.as_str(), "{read_by:?}");
    ensure!(read_by.client_id.is_none_or(|it| it == CLIENT));
    controller.stop().await?;
    asked_only(&azure, &journey.given.issuer())?;

    azure.emulator.journal().reset();
    let (_pod, mut injector) = world.injector(RELEASE, &azure).await?;
    azure.set("db-password", "new")?;
    prepares(&world.cluster, team.name()).await?;
    world.injects(&injector, team.name(), "new").await?;
    asked_only(&azure, &journey.given.issuer())?;

    let line = format!("delete --namespace {} -f {}", team.name(), path(OBJECT).display());
    world.kubectl(&line).await?;
    injector.stop().await?;
    world.uninstall(RELEASE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_become_somebody_reads_the_vault_in_a_namespace_with_the_standard_it_is_said_to_meet()
-> anyhow::Result<()> {
    let world = World::start().await?;
    for definitions in DEFINITIONS {
        install_definitions(&world.cluster.client()?, definitions).await?;
    }
    for journey in &JOURNEYS {
        read(&world, journey).await.context(journey.values)?;
    }
    Ok(())
}
