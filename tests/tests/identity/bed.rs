//! An emulator with a vault `kv1`, and whoever some variables make of us.

use std::time::Duration;

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Cloud, Environment, Identity, Method, Provider};
use akv2k8s_shared::keyvault::model::VaultObject;
use akv2k8s_shared::keyvault::{KeyVault, Priority, Settings, VaultError};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};
use akv2k8s_testbed::emulator::{AppHandle, Emulator, Options, Role, SecretOptions, VaultHandle};
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

    /// Whoever these variables describe, in upstream's order.
    pub(crate) async fn identity(&self, variables: &[(&str, &str)]) -> Identity {
        self.chosen(AuthType::Environment, variables).await.unwrap()
    }

    /// Whoever `AUTH_TYPE` and these variables make of us; `azure.json` is a file of the bed.
    pub(crate) fn provider(&self, auth_type: AuthType, variables: &[(&str, &str)]) -> Provider {
        let cloud = ("AZURE_ENVIRONMENT_FILEPATH", self.path("cloud.json"));
        let own = std::iter::once((cloud.0.to_owned(), cloud.1));
        let more = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Provider::new(
            own.chain(more).collect(),
            auth_type,
            self.path("azure.json").into(),
            self.http.clone(),
        )
    }

    /// The same, asked once.
    pub(crate) async fn chosen(
        &self,
        auth_type: AuthType,
        variables: &[(&str, &str)],
    ) -> Result<Identity, Box<Diagnosis>> {
        self.provider(auth_type, variables).identity().await
    }

    /// Waits until `provider` has found an identity of this method.
    pub(crate) async fn becomes(&self, provider: &Provider, method: Method) -> Identity {
        let found = async || provider.identity().await.ok().filter(|it| it.info().method == method);
        let what = format!("the method {method:?}");
        wait::until(&what, Duration::from_mins(1), found).await.unwrap()
    }

    /// A cloud file that describes this emulator off Azure: no metadata service answers.
    pub(crate) fn cloud_without_imds(&self) -> String {
        // Port 1 of this machine refuses every connection.
        self.cloud_with_imds_at("http://127.0.0.1:1/")
    }

    /// A cloud file that describes this emulator with another address of the metadata service.
    pub(crate) fn cloud_with_imds_at(&self, address: &str) -> String {
        let path = self.path("other-imds.json");
        let text = std::fs::read(self.path("cloud.json")).unwrap();
        let mut cloud: serde_json::Value = serde_json::from_slice(&text).unwrap();
        cloud["imdsEndpoint"] = address.into();
        std::fs::write(&path, cloud.to_string()).unwrap();
        path
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
        wait::until(&what, Duration::from_mins(1), fails).await.unwrap()
    }

    /// Waits until reading succeeds.
    pub(crate) async fn heals(&self, identity: &Identity) {
        let reads = async || self.read(identity).await.ok();
        wait::until("a token", Duration::from_mins(2), reads).await.unwrap();
    }
}

/// An application that may read the vault, and the variables that name it.
pub(crate) struct App {
    pub(crate) handle: AppHandle,
    variables: Vec<(&'static str, String)>,
}

impl App {
    pub(crate) fn register(bed: &Bed) -> Self {
        let handle = bed.emulator.entra().register_app();
        bed.vault.grant(handle.principal(), Role::SecretsUser);
        let variables = vec![
            ("AZURE_CLIENT_ID", handle.client_id().to_owned()),
            ("AZURE_TENANT_ID", bed.emulator.entra().tenant_id().to_owned()),
        ];
        Self { handle, variables }
    }

    /// The variables, and more.
    pub(crate) fn with<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = self.variables.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain(more.iter().copied()).collect()
    }
}

pub(crate) fn client(variables: &[(&str, &str)]) -> HttpClient {
    HttpClient::from_environment(&variables.iter().copied().collect(), Limits::default()).unwrap()
}

pub(crate) fn assert_code(error: &VaultError, code: Code) {
    assert_eq!(error.diagnosis.code, code, "{error}");
}
