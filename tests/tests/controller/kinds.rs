//! Every kind of vault object in every form an output can have: first sync and rotation, as kubectl shows the result, and as
//! openssl reads certificates and keys.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use akv2k8s_testbed::emulator::crypto::{Curve, KeyType};
use akv2k8s_testbed::emulator::{CertificatePolicy, SecretOptions, VaultHandle};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

type Data = BTreeMap<String, Vec<u8>>;

/// What is in the vault, and what becomes of it.
struct Row {
    /// Name of vault object, AKVS and output.
    name: &'static str,
    /// `vault.object` without its name.
    object: &'static str,
    /// `output` without the output's name, which stands for `NAME`.
    output: &'static str,
    /// What kubectl calls the output.
    resource: &'static str,
    /// Writes the version of a round.
    put: fn(&VaultHandle, &str, u8) -> anyhow::Result<()>,
    /// Whether this is what the version of that round has to become.
    check: fn(&Data, u8) -> anyhow::Result<()>,
}

const SECRET: &str = "type: secret";
const CERTIFICATE: &str = "type: certificate";
const TLS: &str = "{secret: {name: NAME, type: kubernetes.io/tls}}";
const MULTI: &str = "type: multi-key-value-secret, contentType: application/x-yaml";

const ROWS: &[Row] = &[
    Row {
        name: "tls-pfx-rsa",
        object: CERTIFICATE,
        output: TLS,
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PFX, None),
        check: is_pair,
    },
    Row {
        name: "tls-pfx-ec",
        object: CERTIFICATE,
        output: TLS,
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PFX, Some(Curve::P256)),
        check: is_pair,
    },
    Row {
        name: "tls-pem-rsa",
        object: CERTIFICATE,
        output: TLS,
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PEM, None),
        check: is_pair,
    },
    Row {
        name: "tls-pem-ec",
        object: CERTIFICATE,
        output: TLS,
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PEM, Some(Curve::P384)),
        check: is_pair,
    },
    Row {
        name: "certificate-public",
        object: CERTIFICATE,
        output: "{secret: {name: NAME, dataKey: v}}",
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PFX, Some(Curve::P256)),
        check: |data, round| {
            let pem = only(data, "v")?;
            ensure!(!text(pem)?.contains("PRIVATE"), "a private key");
            is_of_round(pem, round)
        },
    },
    Row {
        name: "certificate-opaque-pem",
        object: CERTIFICATE,
        output: "{secret: {name: NAME, type: Opaque, dataKey: v}}",
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PEM, Some(Curve::P256)),
        check: |data, round| {
            let pem = only(data, "v")?;
            ensure!(text(pem)?.contains("PRIVATE KEY"), "no private key");
            is_of_round(pem, round)
        },
    },
    Row {
        name: "certificate-opaque-pfx",
        object: CERTIFICATE,
        output: "{secret: {name: NAME, type: Opaque, dataKey: v}}",
        resource: "secret",
        put: |vault, name, round| certificate(vault, name, round, PFX, Some(Curve::P256)),
        check: |data, round| {
            let pem = openssl("pkcs12 -legacy -nodes -passin pass:", only(data, "v")?)?;
            ensure!(text(&pem)?.contains("PRIVATE KEY"), "no private key");
            is_of_round(&pem, round)
        },
    },
    Row {
        name: "key-rsa",
        object: "type: key",
        output: "{keyFormat: pem, secret: {name: NAME, dataKey: v}}",
        resource: "secret",
        put: |vault, name, round| key(vault, name, KeyType::Rsa(if round == 1 { 2048 } else { 3072 })),
        check: |data, round| {
            let bits = if round == 1 { "(2048 bit)" } else { "(3072 bit)" };
            says(&openssl("pkey -pubin -noout -text", only(data, "v")?)?, bits)
        },
    },
    Row {
        name: "key-ec",
        object: "type: key",
        output: "{secret: {name: NAME, dataKey: v}}",
        resource: "secret",
        put: |vault, name, round| {
            key(
                vault,
                name,
                KeyType::Ec(if round == 1 { Curve::P256 } else { Curve::P521 }),
            )
        },
        check: |data, round| {
            let curve = if round == 1 {
                "NIST CURVE: P-256"
            } else {
                "NIST CURVE: P-521"
            };
            says(&openssl("pkey -pubin -noout -text", only(data, "v")?)?, curve)
        },
    },
    Row {
        name: "multi-key",
        object: MULTI,
        output: "{secret: {name: NAME}}",
        resource: "secret",
        put: multi_key,
        check: is_multi_key,
    },
    Row {
        name: "multi-key-map",
        object: MULTI,
        // The field is required, and has no effect here.
        output: "{configMap: {name: NAME, dataKey: unused}}",
        resource: "configmap",
        put: multi_key,
        check: is_multi_key,
    },
    Row {
        name: "docker",
        object: SECRET,
        output: "{secret: {name: NAME, type: kubernetes.io/dockerconfigjson}}",
        resource: "secret",
        put: |vault, name, round| secret(vault, name, &docker(round)),
        check: |data, round| is(data, &[(".dockerconfigjson", &docker(round))]),
    },
    Row {
        name: "basic-auth",
        object: SECRET,
        output: "{secret: {name: NAME, type: kubernetes.io/basic-auth}}",
        resource: "secret",
        put: |vault, name, round| secret(vault, name, &format!("user{round}:pass:{round}")),
        check: |data, round| {
            let (user, password) = (format!("user{round}"), format!("pass:{round}"));
            is(data, &[("username", &user), ("password", &password)])
        },
    },
    Row {
        name: "ssh-auth",
        object: SECRET,
        output: "{transform: [base64decode], secret: {name: NAME, type: kubernetes.io/ssh-auth}}",
        resource: "secret",
        put: |vault, name, round| secret(vault, name, &STANDARD.encode(ssh(round))),
        check: |data, round| is(data, &[("ssh-privatekey", &ssh(round))]),
    },
];

const PFX: &str = "application/x-pkcs12";
const PEM: &str = "application/x-pem-file";

fn certificate(
    vault: &VaultHandle,
    name: &str,
    round: u8,
    content_type: &str,
    curve: Option<Curve>,
) -> anyhow::Result<()> {
    let mut policy = CertificatePolicy::self_signed(&format!("CN=round-{round}.example.com"));
    content_type.clone_into(&mut policy.secret_props.content_type);
    if let Some(curve) = curve {
        policy = policy.curve(curve);
    }
    vault.create_certificate(name, &policy)?;
    Ok(())
}

fn key(vault: &VaultHandle, name: &str, kind: KeyType) -> anyhow::Result<()> {
    vault.create_key(name, kind)?;
    Ok(())
}

fn secret(vault: &VaultHandle, name: &str, value: &str) -> anyhow::Result<()> {
    vault.set_secret(name, value, SecretOptions::default())?;
    Ok(())
}

/// The second round lacks a key of the first and has one more.
fn multi_key(vault: &VaultHandle, name: &str, round: u8) -> anyhow::Result<()> {
    secret(
        vault,
        name,
        &format!("host: db{round}.example.com\nport: 5432\nonly-{round}: x\n"),
    )
}

fn is_multi_key(data: &Data, round: u8) -> anyhow::Result<()> {
    let (host, only) = (format!("db{round}.example.com"), format!("only-{round}"));
    is(data, &[("host", &host), ("port", "5432"), (&only, "x")])
}

fn docker(round: u8) -> String {
    format!(
        r#"{{"auths":{{"registry.example.com":{{"auth":"{}"}}}}}}"#,
        STANDARD.encode(format!("user:{round}"))
    )
}

fn ssh(round: u8) -> String {
    format!("-----BEGIN OPENSSH PRIVATE KEY-----\nround {round}\n-----END OPENSSH PRIVATE KEY-----\n")
}

/// Exactly these keys with these values.
fn is(data: &Data, expected: &[(&str, &str)]) -> anyhow::Result<()> {
    let expected: Data = expected
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
        .collect();
    ensure!(*data == expected, "{data:?}");
    Ok(())
}

fn only<'a>(data: &'a Data, key: &str) -> anyhow::Result<&'a [u8]> {
    ensure!(data.len() == 1, "{:?}", data.keys());
    Ok(data.get(key).with_context(|| format!("no key {key}"))?)
}

/// A certificate of that round, and its private key.
fn is_pair(data: &Data, round: u8) -> anyhow::Result<()> {
    ensure!(data.keys().eq(["tls.crt", "tls.key"]), "{:?}", data.keys());
    is_of_round(&data["tls.crt"], round)?;
    let of_certificate = openssl("x509 -noout -pubkey", &data["tls.crt"])?;
    let of_key = openssl("pkey -pubout", &data["tls.key"])?;
    ensure!(of_certificate == of_key, "the key is another certificate's");
    Ok(())
}

/// The first certificate in `pem` is that of the round.
fn is_of_round(pem: &[u8], round: u8) -> anyhow::Result<()> {
    let subject = openssl("x509 -noout -subject -nameopt RFC2253", pem)?;
    says(&subject, &format!("CN=round-{round}.example.com"))
}

fn says(output: &[u8], expected: &str) -> anyhow::Result<()> {
    let output = text(output)?;
    ensure!(output.contains(expected), "{expected:?} is not in {output}");
    Ok(())
}

fn text(bytes: &[u8]) -> anyhow::Result<&str> {
    Ok(std::str::from_utf8(bytes)?)
}

/// What openssl makes of `input`.
fn openssl(arguments: &str, input: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut child = Command::new("openssl")
        .args(arguments.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("openssl is needed: apt-get install openssl")?;
    // openssl may end before it has read everything; its exit code tells why.
    let _ = child.stdin.take().context("a pipe")?.write_all(input);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// The output's data, as kubectl shows it.
async fn shown(stage: &Stage, row: &Row) -> anyhow::Result<Data> {
    let arguments = [
        "--namespace",
        stage.namespace.name(),
        "get",
        row.resource,
        row.name,
        "--output=json",
    ];
    let json = stage.cluster.kubectl(&arguments).await?.success()?;
    let object: Value = serde_json::from_str(&json)?;
    let data = object["data"].as_object().context("no data")?;
    let decoded = data.iter().map(|(key, value)| {
        let value = value.as_str().context("no text")?;
        let bytes = if row.resource == "secret" {
            STANDARD.decode(value)?
        } else {
            value.as_bytes().to_vec()
        };
        Ok((key.clone(), bytes))
    });
    decoded.collect()
}

async fn wait_for(stage: &Stage, row: &Row, round: u8) -> anyhow::Result<()> {
    let mut last = None;
    let what = format!("{} in round {round}", row.name);
    let arrived = until(&what, PATIENCE, async || {
        let checked = shown(stage, row).await.and_then(|data| (row.check)(&data, round));
        let arrived = checked.is_ok().then_some(());
        last = checked.err();
        arrived
    });
    match (arrived.await, last) {
        (Ok(()), _) => Ok(()),
        (Err(error), Some(last)) => Err(last.context(error)),
        (Err(error), None) => Err(error.into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_object_arrives_in_every_form_and_follows_its_rotation() -> anyhow::Result<()> {
    let stage = Stage::new("kinds").await?;
    let vault = stage.vault("kv1");
    let controller = stage.controller(&[]).await?;
    for round in [1, 2] {
        for row in ROWS {
            (row.put)(&vault, row.name, round).with_context(|| format!("{} in round {round}", row.name))?;
            if round == 1 {
                let output = row.output.replace("NAME", row.name);
                let spec = format!(
                    "{{vault: {{name: kv1, object: {{name: {}, {}}}}}, output: {output}}}",
                    row.name, row.object
                );
                stage.apply(row.name, &spec).await.context(row.name)?;
            }
        }
        for row in ROWS {
            wait_for(&stage, row, round).await?;
            stage.wait_for_reason(row.name, "Synced").await?;
        }
    }
    let types = stage
        .cluster
        .kubectl(&["--namespace", stage.namespace.name(), "get", "secrets"])
        .await?
        .success()?;
    for (name, secret_type) in [
        ("tls-pfx-rsa", "kubernetes.io/tls"),
        ("docker", "kubernetes.io/dockerconfigjson"),
        ("basic-auth", "kubernetes.io/basic-auth"),
        ("ssh-auth", "kubernetes.io/ssh-auth"),
        ("key-ec", "Opaque"),
    ] {
        let has_type = |line: &str| line.split_whitespace().take(2).eq([name, secret_type]);
        ensure!(types.lines().any(has_type), "{name} is no {secret_type}:\n{types}");
    }
    controller.stop().await
}
