//! `examples/sync`, file by file: which Secrets and ConfigMaps come of it, with type, keys and values. And what is written for these objects:
//! a mistake, and an application.

use std::collections::{BTreeMap, BTreeSet};

use akv2k8s_shared::api::condition;
use akv2k8s_testbed::container::Container;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::demo::seed;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::helm::objects;
use akv2k8s_testbed::stack::Stack;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::bed::{path, text};

/// The vault that the examples name.
const VAULT: &str = "akv2k8s-demo";

type Data = BTreeMap<String, String>;

/// An output.
struct Written {
    /// As kubectl names it.
    name: &'static str,
    /// Of a Secret.
    secret_type: Option<&'static str>,
    holds: Holds,
}

/// All that is in it.
enum Holds {
    /// These keys with these values.
    Values(&'static [(&'static str, &'static str)]),
    /// A server's certificate with its chain, and its private key.
    Pair,
    /// Such a server's certificate alone under this key.
    Certificate(&'static str),
    /// The public part of an RSA key under this key.
    PublicKey(&'static str),
}

const fn secret(name: &'static str, secret_type: &'static str, holds: Holds) -> Written {
    Written {
        name,
        secret_type: Some(secret_type),
        holds,
    }
}

const fn config_map(name: &'static str, holds: Holds) -> Written {
    Written {
        name,
        secret_type: None,
        holds,
    }
}

const TLS: &str = "kubernetes.io/tls";
const DOCKER: &str = r#"{"auths":{"registry.example.com":{"auth":"ZGVtbzpkZW1vLXBhc3N3b3Jk"}}}"#;
const DOCKER_CFG: &str = r#"{"registry.example.com":{"auth":"ZGVtbzpkZW1vLXBhc3N3b3Jk"}}"#;
const SSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nonly a demonstration\n-----END OPENSSH PRIVATE KEY-----\n";

const EXAMPLES: &[(&str, &[Written])] = &[
    (
        "sync/01-secret.yaml",
        &[secret(
            "secret/my-secret-from-akv",
            "Opaque",
            Holds::Values(&[("secret-value", "My super secret")]),
        )],
    ),
    (
        "sync/02-secret-types.yaml",
        &[
            secret(
                "secret/my-basic-auth",
                "kubernetes.io/basic-auth",
                Holds::Values(&[("username", "demo-user"), ("password", "pass:with:colons")]),
            ),
            secret(
                "secret/my-docker-config",
                "kubernetes.io/dockerconfigjson",
                Holds::Values(&[(".dockerconfigjson", DOCKER)]),
            ),
            secret(
                "secret/my-docker-cfg",
                "kubernetes.io/dockercfg",
                Holds::Values(&[(".dockercfg", DOCKER_CFG)]),
            ),
            secret(
                "secret/my-ssh-key",
                "kubernetes.io/ssh-auth",
                Holds::Values(&[("ssh-privatekey", SSH)]),
            ),
        ],
    ),
    (
        "sync/03-certificate-tls.yaml",
        &[secret("secret/my-certificate-tls", TLS, Holds::Pair)],
    ),
    (
        "sync/04-certificate-public.yaml",
        &[config_map(
            "configmap/my-certificate-public",
            Holds::Certificate("my-certificate.pem"),
        )],
    ),
    (
        "sync/05-key.yaml",
        &[secret(
            "secret/my-signing-key",
            "Opaque",
            Holds::PublicKey("signing-key.pem"),
        )],
    ),
    (
        "sync/06-multi-key-value-secret.yaml",
        &[
            secret(
                "secret/my-multi-key-json",
                "Opaque",
                Holds::Values(&[("user", "demo"), ("password", "demo-password")]),
            ),
            secret(
                "secret/my-multi-key-yaml",
                "Opaque",
                Holds::Values(&[("host", "db.example.com"), ("port", "5432")]),
            ),
        ],
    ),
    (
        "sync/07-two-to-one.yaml",
        &[secret(
            "secret/my-database",
            "Opaque",
            Holds::Values(&[("user", "demo"), ("password", "demo-password")]),
        )],
    ),
    (
        "sync/08-secret-to-configmap.yaml",
        &[config_map(
            "configmap/my-setting",
            Holds::Values(&[("setting", "plain text, trimmed")]),
        )],
    ),
    (
        "sync/09-pfx-in-secret.yaml",
        &[secret("secret/my-pfx-tls", TLS, Holds::Pair)],
    ),
];

impl Holds {
    fn check(&self, data: &Data) -> anyhow::Result<()> {
        let keys: BTreeSet<_> = match self {
            Self::Values(values) => values.iter().map(|(key, _)| *key).collect(),
            Self::Pair => BTreeSet::from(["tls.crt", "tls.key"]),
            Self::Certificate(key) | Self::PublicKey(key) => BTreeSet::from([*key]),
        };
        ensure!(data.keys().map(String::as_str).eq(keys), "{:?}", data.keys());
        match self {
            Self::Values(values) => {
                for (key, value) in *values {
                    ensure!(data[*key] == *value, "{key}: {}", data[*key]);
                }
            }
            Self::Pair => {
                let chain = chain(&data["tls.crt"])?;
                ensure!(chain.len() > 1, "its issuer is not in it");
                let key = PrivateKeyDer::from_pem_slice(data["tls.key"].as_bytes())?;
                // As a server would load them: it fails when the key is another certificate's.
                CertifiedKey::from_der(chain, key, &default_provider())?.keys_match()?;
            }
            Self::Certificate(key) => {
                ensure!(!data[*key].contains("PRIVATE"), "a private key");
                ensure!(chain(&data[*key])?.len() == 1, "{}", data[*key]);
            }
            Self::PublicKey(key) => {
                let key = SubjectPublicKeyInfoDer::from_pem_slice(data[*key].as_bytes())?;
                let (_, key) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&key)?;
                ensure!(matches!(key.parsed()?, x509_parser::public_key::PublicKey::RSA(_)));
            }
        }
        Ok(())
    }
}

/// The certificates in `pem`: the server's first, then who signed it.
fn chain(pem: &str) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let parsed = chain.iter().map(|it| Ok(X509Certificate::from_der(it)?.1));
    let parsed: Vec<_> = parsed.collect::<anyhow::Result<_>>()?;
    let subject = parsed.first().context("no certificate")?.subject().to_string();
    ensure!(subject == "CN=demo.example.com", "{subject}");
    for pair in parsed.windows(2) {
        pair[0].verify_signature(Some(pair[1].public_key()))?;
    }
    Ok(chain)
}

/// Type and data of an object, as kubectl shows them.
async fn shown(cluster: &ControlPlane, namespace: &str, name: &str) -> anyhow::Result<(Option<String>, Data)> {
    let line = ["--namespace", namespace, "get", name, "--output=json"];
    let object: Value = serde_json::from_str(&cluster.kubectl(&line).await?.success()?)?;
    let secret_type = object["type"].as_str().map(str::to_owned);
    let data = object["data"].as_object().context("no data")?.iter();
    let data = data.map(|(key, value)| {
        let value = value.as_str().context("no text")?;
        let value = match secret_type {
            Some(_) => String::from_utf8(STANDARD.decode(value)?)?,
            None => value.to_owned(),
        };
        Ok((key.clone(), value))
    });
    let data = data.collect::<anyhow::Result<_>>()?;
    Ok((secret_type, data))
}

/// Applies an example; gives the names of its objects.
async fn apply(stage: &Stage, file: &str) -> anyhow::Result<Vec<String>> {
    let file_path = path(file).display().to_string();
    let line = ["--namespace", stage.namespace.name(), "apply", "-f", &file_path];
    stage.cluster.kubectl(&line).await?.success()?;
    let names = objects(&text(file)?)?.into_iter();
    names
        .map(|it| Ok(it["metadata"]["name"].as_str().context("a name")?.to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_example_writes_just_what_it_says() -> anyhow::Result<()> {
    let stage = Stage::new("sync").await?;
    seed::fill(&stage.vault(VAULT))?;
    let controller = stage.controller(&[]).await?;
    for (file, written) in EXAMPLES {
        for name in apply(&stage, file).await? {
            stage.wait_for_reason(&name, "Synced").await.context(*file)?;
        }
        for it in *written {
            let (secret_type, data) = shown(&stage.cluster, stage.namespace.name(), it.name).await?;
            ensure!(
                secret_type.as_deref() == it.secret_type,
                "{file}: {} is {secret_type:?}",
                it.name
            );
            it.holds.check(&data).with_context(|| format!("{file}: {}", it.name))?;
        }
    }

    // And nothing else.
    let line = [
        "--namespace",
        stage.namespace.name(),
        "get",
        "secrets,configmaps",
        "--field-selector=metadata.name!=kube-root-ca.crt",
        "--output=name",
    ];
    let there = stage.cluster.kubectl(&line).await?.success()?;
    let expected: BTreeSet<_> = EXAMPLES
        .iter()
        .flat_map(|(_, written)| *written)
        .map(|it| it.name)
        .collect();
    ensure!(there.lines().collect::<BTreeSet<_>>() == expected, "{there}");
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_object_is_told_with_the_name_that_is_meant() -> anyhow::Result<()> {
    let stage = Stage::new("misspelt").await?;
    let vault = stage.vault(VAULT);
    seed::fill(&vault)?;
    let controller = stage.controller(&[]).await?;
    // Names are known from lists, which tell of changes.
    apply(&stage, "sync/01-secret.yaml").await?;
    stage.wait_for_reason("secret-sync", "Synced").await?;
    vault.set_secret("my-secret", seed::ROTATED_VALUE, SecretOptions::default())?;
    stage
        .wait_for_key("my-secret-from-akv", "secret-value", seed::ROTATED_VALUE)
        .await?;
    apply(&stage, "mistakes/misspelt-object.yaml").await?;
    let akvs = stage.wait_for_reason("misspelt", "ObjectNotFound").await?;
    let status = akvs.status.context("a status")?;
    let ready = condition::get(&status.conditions, condition::READY).context("a condition")?;
    ensure!(ready.message.contains("my-secret"), "{}", ready.message);
    ensure!(stage.secret("misspelt").await?.is_none());
    controller.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_beside_them_gets_its_value_from_the_env_injector() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    seed::fill(&stack.vault(VAULT))?;
    let injector = stack.injector(&[]).await?;
    let namespace = injector.namespace(&stack.cluster, "app").await?;
    for file in ["sync/01-secret.yaml", "injector/app.yaml"] {
        let file = path(file).display().to_string();
        let line = ["--namespace", namespace.name(), "apply", "-f", &file];
        stack.cluster.kubectl(&line).await?.success()?;
    }
    let line = [
        "--namespace",
        namespace.name(),
        "get",
        "pods",
        "--selector=app=app",
        "--output=json",
    ];
    let pod = until("the Deployment's pod", PATIENCE, async || {
        let pods: Value = serde_json::from_str(&stack.cluster.kubectl(&line).await.ok()?.success().ok()?).ok()?;
        pods["items"].get(0).cloned()
    });
    let container = Container::new(&stack.cluster, &injector, &pod.await?, "app").await?;
    let mut program = container.command().spawn()?;
    let output = program.stdout.take().context("its output is a pipe")?;
    let said = tokio::time::timeout(PATIENCE, BufReader::new(output).lines().next_line()).await??;
    let expected = format!("DB_PASSWORD has {} characters", seed::FIRST_VALUE.len());
    ensure!(said.as_deref() == Some(expected.as_str()), "{said:?}");
    Ok(program.kill().await?)
}
