//! AzureKeyVaultSecrets of every kind, and what akv2k8s' controller made of them.

use std::collections::BTreeMap;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use anyhow::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

/// The vault that all of them name.
pub(crate) const VAULT: &str = "kv1";

// Keys, certificates and their files, as OpenSSL writes them: the bytes that Go's are equal to.
macro_rules! testdata {
    ($path:literal) => {
        include_bytes!(concat!("../../../shared/src/object/testdata/", $path)).as_slice()
    };
}
pub(crate) const PFX: &[u8] = testdata!("pfx/legacy-vault.pfx");
const PFX_CERTIFICATE: &[u8] = testdata!("pfx/legacy-vault.crt.pem");
const RSA_KEY: &[u8] = testdata!("keys/rsa2048.key.pem");
const RSA_MODULUS: &[u8] = testdata!("keys/rsa2048.n.bin");
const EC_CERTIFICATE: &[u8] = testdata!("keys/p256.crt.pem");
const EC_KEY_IN_VAULT: &[u8] = testdata!("keys/p256.pkcs8.pem");
const EC_KEY: &[u8] = testdata!("keys/p256.key.pem");
const DOCKER: &str = r#"{"auths":{"registry.example.com":{"auth":"dXNlcjpwYXNz"}}}"#;
const DOCKER_OF_OLD: &str = r#"{"registry.example.com":{"auth":"dXNlcjpwYXNz"}}"#;
const SSH: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";

/// Name, `vault.object` and `output` of AzureKeyVaultSecrets.
pub(crate) const OBJECTS: &[(&str, &str, &str)] = &[
    (
        "db",
        "{name: db, type: secret}",
        "{transform: [trim], secret: {name: db, dataKey: password}}",
    ),
    (
        "tls",
        "{name: web, type: certificate}",
        "{secret: {name: tls, type: kubernetes.io/tls}}",
    ),
    (
        "tls-ec",
        "{name: web-ec, type: certificate}",
        "{secret: {name: tls-ec, type: kubernetes.io/tls}}",
    ),
    (
        "tls-of-pfx",
        "{name: pfx, type: secret}",
        "{secret: {name: tls-of-pfx, type: kubernetes.io/tls}}",
    ),
    (
        "public",
        "{name: web, type: certificate}",
        "{secret: {name: public, dataKey: web.pem}}",
    ),
    (
        "keystore",
        "{name: web, type: certificate}",
        "{secret: {name: keystore, type: Opaque, dataKey: web.pfx}}",
    ),
    (
        "signing-key",
        "{name: web, type: key}",
        "{secret: {name: signing-key, dataKey: signing-key}}",
    ),
    (
        "registry",
        "{name: registry, type: secret}",
        "{secret: {name: registry, type: kubernetes.io/dockerconfigjson}}",
    ),
    (
        "registry-of-old",
        "{name: registry-of-old, type: secret}",
        "{secret: {name: registry-of-old, type: kubernetes.io/dockercfg}}",
    ),
    (
        "login",
        "{name: login, type: secret}",
        "{secret: {name: login, type: kubernetes.io/basic-auth}}",
    ),
    (
        "ssh",
        "{name: ssh, type: secret}",
        "{secret: {name: ssh, type: kubernetes.io/ssh-auth}}",
    ),
    (
        "settings",
        "{name: settings, type: multi-key-value-secret, contentType: application/x-json}",
        "{secret: {name: settings}}",
    ),
    (
        "options",
        "{name: options, type: multi-key-value-secret, contentType: application/x-yaml}",
        "{configMap: {name: options, dataKey: unused}}",
    ),
    (
        "greeting",
        "{name: greeting, type: secret}",
        "{configMap: {name: greeting, dataKey: text}}",
    ),
    (
        "both",
        "{name: greeting, type: secret}",
        "{secret: {name: both, dataKey: text}, configMap: {name: both, dataKey: text}}",
    ),
    (
        "user",
        "{name: user, type: secret}",
        "{secret: {name: shared, dataKey: user}}",
    ),
    (
        "password",
        "{name: db, type: secret}",
        "{transform: [trim], secret: {name: shared, dataKey: password}}",
    ),
];

/// A Secret or ConfigMap that akv2k8s' controller wrote.
pub(crate) struct Made {
    kind: &'static str,
    name: &'static str,
    /// Nothing for a ConfigMap.
    pub(crate) secret_type: Option<&'static str>,
    /// AzureKeyVaultSecrets.
    owners: &'static [&'static str],
    data: Vec<(&'static str, Vec<u8>)>,
}

fn secret(owner: &'static [&'static str; 1], secret_type: &'static str, data: &[(&'static str, &[u8])]) -> Made {
    Made {
        kind: "Secret",
        name: owner[0],
        secret_type: Some(secret_type),
        owners: owner,
        data: data.iter().map(|(key, value)| (*key, value.to_vec())).collect(),
    }
}

fn config_map(owner: &'static [&'static str; 1], data: &[(&'static str, &[u8])]) -> Made {
    Made {
        kind: "ConfigMap",
        secret_type: None,
        ..secret(owner, "", data)
    }
}

/// What became of [`OBJECTS`]; `keystore` is the PFX as the vault gives it out.
pub(crate) fn made(keystore: &[u8]) -> Vec<Made> {
    let pair = [("tls.crt", PFX_CERTIFICATE), ("tls.key", RSA_KEY)];
    vec![
        secret(&["db"], "Opaque", &[("password", b"s3cret")]),
        secret(&["tls"], "kubernetes.io/tls", &pair),
        secret(
            &["tls-ec"],
            "kubernetes.io/tls",
            &[("tls.crt", EC_CERTIFICATE), ("tls.key", EC_KEY)],
        ),
        secret(&["tls-of-pfx"], "kubernetes.io/tls", &pair),
        secret(&["public"], "Opaque", &[("web.pem", PFX_CERTIFICATE)]),
        secret(&["keystore"], "Opaque", &[("web.pfx", keystore)]),
        secret(&["signing-key"], "Opaque", &[("signing-key", RSA_MODULUS)]),
        secret(
            &["registry"],
            "kubernetes.io/dockerconfigjson",
            &[(".dockerconfigjson", DOCKER.as_bytes())],
        ),
        secret(
            &["registry-of-old"],
            "kubernetes.io/dockercfg",
            &[(".dockercfg", DOCKER_OF_OLD.as_bytes())],
        ),
        secret(
            &["login"],
            "kubernetes.io/basic-auth",
            &[("username", b"me"), ("password", b"hunter2")],
        ),
        secret(
            &["ssh"],
            "kubernetes.io/ssh-auth",
            &[("ssh-privatekey", SSH.as_bytes())],
        ),
        secret(
            &["settings"],
            "Opaque",
            &[("host", b"db.example.com"), ("user", b"shop")],
        ),
        config_map(&["options"], &[("port", b"5432"), ("ssl", b"yes")]),
        config_map(&["greeting"], &[("text", b"hello")]),
        secret(&["both"], "Opaque", &[("text", b"hello")]),
        config_map(&["both"], &[("text", b"hello")]),
        Made {
            name: "shared",
            owners: &["user", "password"],
            ..secret(&["user"], "Opaque", &[("user", b"shop"), ("password", b"s3cret")])
        },
    ]
}

/// Puts into the vault what [`OBJECTS`] name; gives the PFX that the vault makes of the one that was imported.
pub(crate) fn fill(vault: &VaultHandle) -> anyhow::Result<Vec<u8>> {
    let pfx = STANDARD.encode(PFX);
    let pem = [EC_CERTIFICATE, EC_KEY_IN_VAULT].concat();
    vault.import_certificate("web", &pfx, "", true)?;
    vault.import_certificate("web-ec", &String::from_utf8(pem)?, "", true)?;
    for (name, value) in [
        ("db", "  s3cret\n"),
        ("pfx", pfx.as_str()),
        ("registry", DOCKER),
        ("registry-of-old", DOCKER_OF_OLD),
        ("login", "me:hunter2"),
        ("ssh", SSH),
        ("settings", r#"{"host": "db.example.com", "user": "shop"}"#),
        ("options", "port: 5432\nssl: yes\n"),
        ("greeting", "hello"),
        ("user", "shop"),
    ] {
        vault.set_secret(name, value, SecretOptions::default())?;
    }
    let stored = vault.secret_value("web").context("a certificate has a secret")?;
    Ok(STANDARD.decode(stored)?)
}

impl Made {
    /// The whole object, as it is sent.
    pub(crate) fn written(&self, objects: &BTreeMap<String, AzureKeyVaultSecret>) -> anyhow::Result<Value> {
        let mut owners = Vec::new();
        for name in self.owners {
            let owner = objects[*name].owner_ref(&()).context("it has a uid")?;
            let mut owner = serde_json::to_value(owner)?;
            owner["controller"] = json!(false);
            owner["blockOwnerDeletion"] = json!(true);
            owners.push(owner);
        }
        let last = &objects[self.owners[self.owners.len() - 1]];
        let data: BTreeMap<_, _> = self.data.iter().map(|(key, value)| self.encoded(key, value)).collect();
        let mut whole = json!({
            "apiVersion": "v1", "kind": self.kind, "data": data,
            "metadata": {
                "name": self.name, "labels": last.labels(), "annotations": last.annotations(), "ownerReferences": owners,
            },
        });
        if let Some(secret_type) = self.secret_type {
            whole["type"] = json!(secret_type);
        }
        Ok(whole)
    }

    fn encoded(&self, key: &str, value: &[u8]) -> (String, String) {
        let text = match self.secret_type {
            Some(_) => STANDARD.encode(value),
            None => String::from_utf8_lossy(value).into_owned(),
        };
        (key.to_owned(), text)
    }
}
