//! Certificates made by `openssl`, for imports and for applications that authenticate by certificate.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde_json::{Value, json};
use tokio::process::Command;

/// The password of the PFX files.
const PFX_PASSWORD: &str = "conformance password";

/// Files in one folder, which must outlive this.
pub(super) struct Material {
    /// Private key (PKCS#8), certificate and its authority's certificate, in PEM.
    pub(super) pem: PathBuf,
    /// The same as PFX with the encryption of OpenSSL 3 (PBES2, AES-256, SHA-256).
    pub(super) pfx: PathBuf,
    /// The same as PFX with 3DES and SHA-1, as old tools write it.
    pub(super) pfx_legacy: PathBuf,
    /// Private key and self-signed certificate of an application.
    pub(super) application: PathBuf,
    /// Private key and certificate that no application has registered.
    pub(super) unregistered: PathBuf,
}

impl Material {
    /// The part of the target file that imports need.
    pub(super) fn imports(&self) -> Value {
        json!({ "pem": self.pem, "pfx": self.pfx, "pfxLegacy": self.pfx_legacy, "password": PFX_PASSWORD })
    }

    /// Makes everything in `folder`. Needs `openssl` in PATH.
    pub(super) async fn create(folder: &Path) -> anyhow::Result<Self> {
        let openssl = OpenSsl { folder };
        openssl.self_signed("ca", "Conformance CA").await?;
        openssl
            .run("req -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN=imported.example")
            .await?;
        openssl
            .run("x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -set_serial 2 -days 20 -out leaf.crt")
            .await?;
        let export = "pkcs12 -export -inkey leaf.key -in leaf.crt -certfile ca.crt -passout file:password";
        std::fs::write(folder.join("password"), PFX_PASSWORD)?;
        openssl.run(&format!("{export} -out modern.pfx")).await?;
        let legacy = "-keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1";
        openssl.run(&format!("{export} {legacy} -out legacy.pfx")).await?;
        openssl.self_signed("application", "conformance-application").await?;
        openssl.self_signed("unregistered", "conformance-unregistered").await?;
        Ok(Self {
            pem: join(folder, "leaf.pem", &["leaf.key", "leaf.crt", "ca.crt"])?,
            pfx: folder.join("modern.pfx"),
            pfx_legacy: folder.join("legacy.pfx"),
            application: join(folder, "application.pem", &["application.key", "application.crt"])?,
            unregistered: join(folder, "unregistered.pem", &["unregistered.key", "unregistered.crt"])?,
        })
    }
}

/// Writes the texts of `parts` one after the other into the file `name`.
fn join(folder: &Path, name: &str, parts: &[&str]) -> anyhow::Result<PathBuf> {
    let mut text = String::new();
    for part in parts {
        text += &std::fs::read_to_string(folder.join(part)).with_context(|| format!("read {part}"))?;
    }
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

/// The real `openssl`, working in one folder.
struct OpenSsl<'a> {
    folder: &'a Path,
}

impl OpenSsl<'_> {
    /// `NAME.key` and `NAME.crt`: RSA 2048, self-signed, valid for 30 days.
    async fn self_signed(&self, name: &str, common_name: &str) -> anyhow::Result<()> {
        let files = format!("-keyout {name}.key -out {name}.crt");
        let mut command = self.command(&format!("req -x509 -newkey rsa:2048 -nodes {files} -days 30"));
        command.arg("-subj").arg(format!("/CN={common_name}"));
        finish(command).await
    }

    async fn run(&self, arguments: &str) -> anyhow::Result<()> {
        finish(self.command(arguments)).await
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new("openssl");
        command
            .args(arguments.split(' '))
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

async fn finish(mut command: Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .await
        .context("start openssl; install it (Debian: apt-get install openssl) and try again")?;
    if !output.status.success() {
        bail!(
            "{:?}: {}\n{}",
            command.as_std(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn openssl_makes_all_files_and_the_chain_is_in_the_pem() {
        let folder = tempfile::tempdir().unwrap();
        let made = Material::create(folder.path()).await.unwrap();
        let pem = std::fs::read_to_string(made.pem).unwrap();
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(pem.matches("BEGIN PRIVATE KEY").count(), 1);
        for pfx in [made.pfx, made.pfx_legacy] {
            assert!(std::fs::metadata(pfx).unwrap().len() > 1000);
        }
    }
}
