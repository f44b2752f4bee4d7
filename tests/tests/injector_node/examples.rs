//! Every manifest of `examples/env-injection`, and those of `examples/migration` that inject, as a user applies them. A program of ours stands in the
//! place of the user's.

use std::collections::BTreeMap;
use std::path::Path;

use akv2k8s_testbed::controlplane::Namespace;
use akv2k8s_testbed::demo::seed;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::image::{File, Image};
use akv2k8s_testbed::node::guest;
use akv2k8s_testbed::statics;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};

use crate::bed::{PATIENCE, World, in_world};
use crate::secrecy::holds;

/// The vault that the examples name.
const VAULT: &str = "akv2k8s-demo";
/// What their programs are called.
const IMAGE: &str = "example.org/app:1";

/// Pod, container, and a check of what the program finds in its environment.
type Expectation = (&'static str, &'static str, fn(&BTreeMap<String, String>) -> bool);

/// One for each file.
const EXAMPLES: [(&str, Expectation); 8] = [
    (
        "01-secret.yaml",
        ("secret", "app", |it| it["PASSWORD"] == seed::FIRST_VALUE),
    ),
    (
        "02-image-entrypoint.yaml",
        ("entrypoint", "app", |it| it["PASSWORD"] == seed::FIRST_VALUE),
    ),
    ("03-certificate.yaml", ("certificate", "app", is_certificate)),
    (
        "04-signing-key.yaml",
        ("key", "app", |it| {
            it["PUBLIC_KEY"].starts_with("-----BEGIN PUBLIC KEY-----")
        }),
    ),
    (
        "05-multi-key-value-secret.yaml",
        ("pairs", "app", |it| {
            (it["DB_USER"].as_str(), it["DB_PASSWORD"].as_str()) == ("demo", "demo-password")
        }),
    ),
    ("06-pfx-in-secret.yaml", ("pfx", "app", is_certificate)),
    (
        "07-env-from.yaml",
        ("env-from", "app", |it| {
            (it["PASSWORD"].as_str(), it["MODE"].as_str()) == (seed::FIRST_VALUE, "fast")
        }),
    ),
    (
        "08-init-container.yaml",
        ("init-container", "migrate", |it| it["PASSWORD"] == seed::FIRST_VALUE),
    ),
];

/// With its chain: the test's issuer is in it.
fn is_certificate(variables: &BTreeMap<String, String>) -> bool {
    let chain = variables["TLS_CRT"].matches("-----END CERTIFICATE-----").count();
    chain > 1 && variables["TLS_KEY"].contains("PRIVATE KEY-----")
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/env-injection"))
}

/// The manifest with our program in the place of the user's: one that stays, and one that ends, as an init container has to.
fn here(manifest: &str, image: &str) -> String {
    let (stays, ends) = (format!("[{}, live]", guest::PATH), format!("[{}, env]", guest::PATH));
    manifest
        .replace(IMAGE, image)
        .replace("[app]", &stays)
        .replace("[migrate]", &ends)
}

async fn image(world: &World) -> anyhow::Result<String> {
    let program = std::fs::read(statics::guest()?)?;
    let image = Image::scratch([File::program(guest::PATH, program)])
        .entrypoint([guest::PATH])
        .user("65532:65532");
    world.add_image("examples/app", &image).await
}

#[test]
fn every_example_of_injection_starts_its_program_with_its_values() -> anyhow::Result<()> {
    in_world(async |world| {
        let mut files: Vec<_> = std::fs::read_dir(folder())?
            .map(|it| it.map(|it| it.file_name()))
            .collect::<Result<_, _>>()?;
        files.sort();
        ensure!(files.iter().eq(EXAMPLES.iter().map(|(file, _)| *file)), "{files:?}");
        seed::fill(&world.vault(VAULT))?;
        let image = image(world).await?;
        let namespace = world.namespace("examples").await?;
        for (file, _) in EXAMPLES {
            apply(world, &namespace, &folder().join(file), &image).await?;
        }
        for (file, (app, container, check)) in EXAMPLES {
            let variables = variables(world, &namespace, app, container).await.context(file)?;
            ensure!(check(&variables), "{file}: {:?}", variables.keys());
        }
        Ok(())
    })
}

#[test]
fn the_example_of_a_client_secret_from_the_vault_starts_both_programs_with_it_and_no_object_has_it()
-> anyhow::Result<()> {
    in_world(async |world| {
        let canary = "canary-5b1d7e20-of-the-application";
        let vault = world.vault(VAULT);
        vault.set_secret("backend-client-secret", canary, SecretOptions::default())?;
        let image = image(world).await?;
        let namespace = world.namespace("migration").await?;
        let file = folder().join("../migration/default-azure-credential/1-secret-from-vault.yaml");
        apply(world, &namespace, &file, &image).await?;
        for container in ["migrate", "backend"] {
            let variables = variables(world, &namespace, "backend", container).await?;
            ensure!(
                variables["AZURE_CLIENT_SECRET"] == canary,
                "{container}: {:?}",
                variables.keys()
            );
            ensure!(variables.contains_key("AZURE_CLIENT_ID") && variables.contains_key("AZURE_TENANT_ID"));
        }
        let store = world.node.cluster.store().await?;
        let reference = b"backend-client-secret@azurekeyvault";
        ensure!(
            holds(&store, reference)?,
            "the reference is there, so this is where to look"
        );
        ensure!(!holds(&store, canary.as_bytes())?, "the value is in etcd");
        Ok(())
    })
}

async fn apply(world: &World, namespace: &Namespace, file: &Path, image: &str) -> anyhow::Result<()> {
    let manifest = here(&std::fs::read_to_string(file)?, image);
    let line = ["--namespace", namespace.name(), "apply", "-f", "-"];
    let cluster = &world.node.cluster;
    cluster.kubectl_with_input(&line, &manifest).await?.success()?;
    Ok(())
}

/// What a container of this app found in its environment.
async fn variables(
    world: &World,
    namespace: &Namespace,
    app: &str,
    container: &str,
) -> anyhow::Result<BTreeMap<String, String>> {
    let selector = format!("app={app}");
    let line = [
        "--namespace",
        namespace.name(),
        "logs",
        "--selector",
        &selector,
        "--container",
        container,
    ];
    let variables = until("the program", PATIENCE, async || {
        let log = world.node.cluster.kubectl(&line).await.ok()?.success().ok()?;
        akv2k8s_testbed::installation::environment(&log).ok()
    });
    Ok(variables.await?)
}
