//! What the examples expect to find in the vault.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::emulator::crypto::KeyType;
use crate::emulator::{CertificatePolicy, SecretOptions, TEST_ISSUER, VaultHandle};

/// The value of `my-secret` before the rotation.
pub const FIRST_VALUE: &str = "My super secret";
/// And after it.
pub const ROTATED_VALUE: &str = "My rotated secret";

/// Fills the vault.
///
/// # Errors
/// Something of it is there and deleted.
pub fn fill(vault: &VaultHandle) -> anyhow::Result<()> {
    let docker = STANDARD.encode("demo:demo-password");
    let docker_cfg = format!(r#"{{"registry.example.com":{{"auth":"{docker}"}}}}"#);
    let docker = format!(r#"{{"auths":{docker_cfg}}}"#);
    let ssh_key = STANDARD
        .encode("-----BEGIN OPENSSH PRIVATE KEY-----\nonly a demonstration\n-----END OPENSSH PRIVATE KEY-----\n");
    let secrets = [
        ("my-secret", FIRST_VALUE),
        ("my-basic-auth", "demo-user:pass:with:colons"),
        ("my-docker-config", docker.as_str()),
        ("my-docker-cfg", docker_cfg.as_str()),
        ("my-ssh-key", ssh_key.as_str()),
        ("my-multi-key-json", r#"{"user": "demo", "password": "demo-password"}"#),
        ("my-multi-key-yaml", "host: db.example.com\nport: 5432\n"),
        ("my-database-user", "demo"),
        ("my-database-password", "demo-password"),
        ("my-setting", "  plain text, trimmed  "),
    ];
    for (name, value) in secrets {
        vault.set_secret(name, value, SecretOptions::default())?;
    }
    let policy = CertificatePolicy::self_signed("CN=demo.example.com").issued_by(TEST_ISSUER);
    vault.create_certificate("my-certificate", &policy)?;
    vault.create_certificate("my-pfx-source", &policy)?;
    // The secret behind a certificate is its PFX in base64: what people keep as a plain secret, too.
    let pfx = vault
        .secret_value("my-pfx-source")
        .context("a certificate has a secret behind it")?;
    vault.set_secret("my-pfx-secret", &pfx, SecretOptions::default())?;
    vault.create_key("my-key", KeyType::Rsa(2048))?;
    Ok(())
}
