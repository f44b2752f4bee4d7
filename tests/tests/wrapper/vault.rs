//! A vault, and somebody who may read it.

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::emulator::{AppHandle, Emulator, Options, Role, VaultHandle};
use tempfile::TempDir;

use crate::bed::{Ended, run};

/// An emulator with a vault `kv1`, and an application that may read it.
pub(crate) struct Bed {
    pub(crate) emulator: Emulator,
    pub(crate) vault: VaultHandle,
    pub(crate) app: AppHandle,
    /// The application's client secret.
    pub(crate) secret: String,
    folder: TempDir,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let vault = emulator.vault("kv1");
        let app = emulator.entra().register_app();
        for role in [Role::SecretsUser, Role::CertificateUser, Role::CryptoUser] {
            vault.grant(app.principal(), role);
        }
        let bed = Self {
            secret: app.add_secret(),
            emulator,
            vault,
            app,
            folder: TempDir::new().unwrap(),
        };
        bed.emulator.write_ca_file(bed.path("ca.pem").as_ref()).unwrap();
        bed.emulator.write_cloud_file(bed.path("cloud.json").as_ref()).unwrap();
        bed
    }

    /// A file of the bed's own.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What every container in direct mode has here: where the vault is, and nothing about who asks.
    pub(crate) fn nobody(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_ENVIRONMENT_FILEPATH", self.path("cloud.json")),
            ("SSL_CERT_FILE", self.path("ca.pem")),
            ("PATH", "/usr/bin:/bin".to_owned()),
            (names::USE_AUTH_SERVICE, "false".to_owned()),
        ]
    }

    /// The same, with the names of the application.
    pub(crate) fn application(&self) -> Vec<(&'static str, String)> {
        let own = [
            ("AZURE_TENANT_ID", self.emulator.entra().tenant_id().to_owned()),
            ("AZURE_CLIENT_ID", self.app.client_id().to_owned()),
        ];
        self.nobody().into_iter().chain(own).collect()
    }

    /// Runs `env` in the wrapper as the application, by its secret; `more` comes on top of its variables, or takes their places.
    pub(crate) async fn env(&self, more: &[(&str, &str)]) -> Ended {
        let secret = [("AZURE_CLIENT_SECRET", self.secret.as_str())];
        env(&self.application(), &[&secret[..], more].concat()).await
    }
}

/// Runs `env` in the wrapper with these variables.
pub(crate) async fn env(variables: &[(&str, String)], more: &[(&str, &str)]) -> Ended {
    let own = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<_> = own.chain(more.iter().copied()).collect();
    run(&all, &["env"]).await
}
