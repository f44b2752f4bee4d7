//! An emulator, an identity that may read its vaults, and a client.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Environment, Identity, Provider};
use akv2k8s_shared::keyvault::model::VaultObject;
use akv2k8s_shared::keyvault::{Collection, Fetched, KeyVault, Listing, Priority, Settings, VaultError};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, ObjectVersion, VaultName};
use akv2k8s_testbed::emulator::{AppHandle, Emulator, Options, Role, SecretOptions, VaultHandle};
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) emulator: Emulator,
    pub(crate) app: AppHandle,
    pub(crate) vault: VaultHandle,
    pub(crate) identity: Identity,
    pub(crate) client: KeyVault,
    pub(crate) http: HttpClient,
    directory: TempDir,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::default()).await
    }

    /// A vault `kv1` whose secrets the application with a client secret may read.
    pub(crate) async fn with(settings: Settings) -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let app = emulator.entra().register_app();
        let vault = emulator.vault("kv1");
        vault.grant(app.principal(), Role::Administrator);
        let directory = TempDir::new().unwrap();
        let ca = directory.path().join("ca.pem");
        emulator.write_ca_file(&ca).unwrap();
        emulator.write_cloud_file(&directory.path().join("cloud.json")).unwrap();
        let environment = Environment::from_iter([("SSL_CERT_FILE", ca.to_str().unwrap())]);
        let limits = Limits {
            exchange: settings.call_deadline,
            ..Limits::default()
        };
        let http = HttpClient::from_environment(&environment, limits).unwrap();
        let secret = app.add_secret();
        let entra = emulator.entra();
        let variables = [
            ("AZURE_CLIENT_ID", app.client_id()),
            ("AZURE_TENANT_ID", entra.tenant_id()),
            ("AZURE_CLIENT_SECRET", &secret),
        ];
        Self {
            identity: identity(&directory.path().join("cloud.json"), &variables, &http).await,
            client: KeyVault::new(http.clone(), settings),
            emulator,
            app,
            vault,
            http,
            directory,
        }
    }

    /// Somebody else, as these variables describe.
    pub(crate) async fn with_variables(&self, variables: &[(&str, &str)]) -> Identity {
        identity(&self.path("cloud.json"), variables, &self.http).await
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// A secret written so long ago that its mark is settled.
    pub(crate) fn set(&self, name: &str, value: &str) {
        let options = SecretOptions {
            written_at: Some(self.emulator.clock().now() - 100),
            ..SecretOptions::default()
        };
        self.vault.set_secret(name, value, options).unwrap();
    }

    pub(crate) async fn secret(&self, name: &str) -> Result<Arc<Fetched>, VaultError> {
        self.get(&secret("kv1", name)).await
    }

    pub(crate) async fn get(&self, object: &ObjectRef) -> Result<Arc<Fetched>, VaultError> {
        self.client.get(&self.identity, object, Priority::New).await
    }

    pub(crate) async fn failure(&self, name: &str) -> VaultError {
        match self.secret(name).await {
            Ok(_) => panic!("{name} was read"),
            Err(error) => error,
        }
    }

    pub(crate) async fn list(&self, collection: Collection) -> Result<Listing, VaultError> {
        let vault = VaultName::parse("kv1").unwrap();
        self.client
            .list(&self.identity, &vault, collection, Priority::Refresh)
            .await
    }
}

/// Whoever these variables describe, in the cloud that a file describes.
pub(crate) async fn identity(cloud: &Path, variables: &[(&str, &str)], http: &HttpClient) -> Identity {
    let described = ("AZURE_ENVIRONMENT_FILEPATH", cloud.to_str().unwrap());
    let environment = std::iter::once(&described).chain(variables).copied().collect();
    let provider = Provider::new(environment, AuthType::Environment, "/nowhere".into(), http.clone());
    provider.identity().await.unwrap()
}

pub(crate) fn object(vault: &str, kind: ObjectKind, name: &str) -> ObjectRef {
    ObjectRef {
        vault: VaultName::parse(vault).unwrap(),
        kind,
        name: ObjectName::parse(name).unwrap(),
        version: None,
    }
}

pub(crate) fn secret(vault: &str, name: &str) -> ObjectRef {
    object(vault, ObjectKind::Secret, name)
}

pub(crate) fn pinned(object: &ObjectRef, version: &str) -> ObjectRef {
    ObjectRef {
        version: Some(ObjectVersion::parse(version).unwrap()),
        ..object.clone()
    }
}

pub(crate) fn value(fetched: &Fetched) -> &str {
    match &fetched.object {
        VaultObject::Secret(secret) => secret.value.expose_str().unwrap(),
        _ => panic!("not a secret"),
    }
}

pub(crate) fn short() -> Settings {
    Settings {
        call_deadline: Duration::from_secs(2),
        ..Settings::default()
    }
}

pub(crate) fn assert_code(error: &VaultError, code: Code) {
    assert_eq!(error.diagnosis.code, code, "{error}");
}
