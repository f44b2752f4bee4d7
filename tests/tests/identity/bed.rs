//! An emulator with a vault `kv1`, and whoever some variables make of us.

use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{Cloud, Environment, Identity};
use akv2k8s_shared::keyvault::model::VaultObject;
use akv2k8s_shared::keyvault::{KeyVault, Priority, Settings, VaultError};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};
use akv2k8s_testbed::emulator::{Emulator, Options, SecretOptions, VaultHandle};
use akv2k8s_testbed::wait;
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) emulator: Emulator,
    pub(crate) vault: VaultHandle,
    pub(crate) client: KeyVault,
    pub(crate) http: HttpClient,
    pub(crate) directory: TempDir,
}

impl Bed {
    /// The vault holds the secret `s` with the value `v`, and nobody may read it yet.
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let vault = emulator.vault("kv1");
        vault.set_secret("s", "v", SecretOptions::default()).unwrap();
        let directory = TempDir::new().unwrap();
        emulator.write_ca_file(&directory.path().join("ca.pem")).unwrap();
        emulator.write_cloud_file(&directory.path().join("cloud.json")).unwrap();
        let http = client(&[("SSL_CERT_FILE", directory.path().join("ca.pem").to_str().unwrap())]);
        Self {
            client: KeyVault::new(http.clone(), Settings::default()),
            emulator,
            vault,
            http,
            directory,
        }
    }

    /// The emulator's cloud, by the file that `AZURE_ENVIRONMENT_FILEPATH` names.
    pub(crate) fn cloud(&self) -> Cloud {
        let file = self.path("cloud.json");
        Cloud::from_environment(&Environment::from_iter([("AZURE_ENVIRONMENT_FILEPATH", file)])).unwrap()
    }

    /// A file of the bed's own directory.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Whoever these variables describe.
    pub(crate) fn identity(&self, variables: &[(&str, &str)]) -> Identity {
        let environment = variables.iter().copied().collect();
        Identity::from_environment(&environment, self.cloud(), &self.http).unwrap()
    }

    /// Reads the secret.
    pub(crate) async fn read(&self, identity: &Identity) -> Result<String, VaultError> {
        self.read_from("kv1", identity).await
    }

    /// Reads the secret `s` of any vault.
    pub(crate) async fn read_from(&self, vault: &str, identity: &Identity) -> Result<String, VaultError> {
        let object = ObjectRef {
            vault: VaultName::parse(vault).unwrap(),
            kind: ObjectKind::Secret,
            name: ObjectName::parse("s").unwrap(),
            version: None,
        };
        let fetched = self.client.get(identity, &object, Priority::New).await?;
        match &fetched.object {
            VaultObject::Secret(secret) => Ok(secret.value.expose_str().unwrap().to_owned()),
            _ => panic!("not a secret"),
        }
    }

    /// Why the secret cannot be read.
    pub(crate) async fn failure(&self, identity: &Identity) -> VaultError {
        self.read(identity).await.err().unwrap()
    }

    /// Waits until reading fails with `code`: a failure answers for a few seconds after its cause is gone.
    pub(crate) async fn fails_with(&self, identity: &Identity, code: Code) -> VaultError {
        let fails = async || {
            self.read(identity)
                .await
                .err()
                .filter(|error| error.diagnosis.code == code)
        };
        let what = format!("the code {code}");
        wait::until(&what, Duration::from_secs(15), fails).await.unwrap()
    }

    /// Waits until reading succeeds.
    pub(crate) async fn heals(&self, identity: &Identity) {
        let reads = async || self.read(identity).await.ok();
        wait::until("a token", Duration::from_secs(40), reads).await.unwrap();
    }
}

pub(crate) fn client(variables: &[(&str, &str)]) -> HttpClient {
    HttpClient::from_environment(&variables.iter().copied().collect(), Limits::default()).unwrap()
}

pub(crate) fn assert_code(error: &VaultError, code: Code) {
    assert_eq!(error.diagnosis.code, code, "{error}");
}
