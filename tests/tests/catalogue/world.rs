//! An emulator, a vault `kv1` with a secret `s`, an application that may read it, and tokens of a real API server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::diagnosis::{AUDIENCE, AssertionClaims, Diagnosis};
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Environment, Provider};
use akv2k8s_shared::keyvault::{Fetched, KeyVault, Priority, Settings};
use akv2k8s_shared::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::emulator::{
    AppHandle, CertificatePolicy, Emulator, FederatedCredential, Options, Principal, Role, SecretOptions, VaultHandle,
};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, anyhow};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use tempfile::TempDir;

/// Variables of a program.
pub(crate) type Variables = Vec<(String, String)>;

/// A failed token request is shared for some seconds; what was repaired is seen long before this, however busy the machine.
const HEALED: Duration = Duration::from_mins(2);

pub(crate) struct World {
    /// The `AUTH_TYPE` of every program here.
    pub(crate) auth_type: AuthType,
    pub(crate) emulator: Emulator,
    pub(crate) vault: VaultHandle,
    /// What is read.
    pub(crate) object: ObjectRef,
    pub(crate) app: AppHandle,
    /// A client secret of `app` that works.
    pub(crate) secret: String,
    /// Issuer of [`Self::token`]: a real API server.
    pub(crate) issuer: String,
    /// `system:serviceaccount:…:default`.
    pub(crate) subject: String,
    /// A ServiceAccount token as the webhook mounts it.
    pub(crate) token: String,
    /// The same for an audience that Entra does not want.
    pub(crate) elsewhere: String,
    directory: TempDir,
}

impl World {
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let cluster = ControlPlane::shared().await?;
        let namespace = "default";
        let emulator = Emulator::start(Options::default()).await?;
        let (app, vault) = (emulator.entra().register_app(), emulator.vault("kv1"));
        vault.grant(app.principal(), Role::SecretsUser);
        vault.grant(app.principal(), Role::CertificateUser);
        vault.set_secret("s", "value", SecretOptions::default())?;
        let mut policy = CertificatePolicy::default();
        policy.key_props.kty = "EC".into();
        policy.key_props.crv = Some("P-256".into());
        policy.key_props.exportable = true;
        policy.x509_props.subject = "CN=app.example".into();
        vault.create_certificate("c", &policy)?;
        let directory = TempDir::new()?;
        emulator.write_ca_file(&directory.path().join("ca.pem"))?;
        emulator.write_cloud_file(&directory.path().join("cloud.json"))?;
        let issuer = cluster.issuer().await?;
        emulator.entra().trust_issuer_ca(cluster.ca_pem());
        app.add_federated_credential(FederatedCredential::service_account(&issuer, namespace, "default"));
        Ok(Self {
            auth_type: AuthType::Environment,
            secret: app.add_secret(),
            subject: format!("system:serviceaccount:{namespace}:default"),
            token: cluster.service_account_token(namespace, "default", AUDIENCE).await?,
            elsewhere: cluster
                .service_account_token(namespace, "default", "api://other")
                .await?,
            object: object(ObjectKind::Secret, "s"),
            issuer,
            emulator,
            vault,
            app,
            directory,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the test's own directory is writable");
        path.display().to_string()
    }

    /// Client id and tenant of the application, and what else is given.
    pub(crate) fn application(&self, more: &[(&str, &str)]) -> Variables {
        let mut variables = vec![
            ("AZURE_CLIENT_ID".to_owned(), self.app.client_id().to_owned()),
            (
                "AZURE_TENANT_ID".to_owned(),
                self.emulator.entra().tenant_id().to_owned(),
            ),
        ];
        for (name, value) in more {
            variables.retain(|(known, _)| known != name);
            variables.push(((*name).to_owned(), (*value).to_owned()));
        }
        variables
    }

    /// A working set-up by client secret.
    pub(crate) fn with_secret(&self) -> Variables {
        self.application(&[("AZURE_CLIENT_SECRET", &self.secret)])
    }

    /// Workload identity with this token in its file.
    pub(crate) fn with_token(&self, token: &str) -> Variables {
        let file = self.write("token", token);
        self.application(&[("AZURE_FEDERATED_TOKEN_FILE", &file)])
    }

    /// A token that says of itself what it likes. Nobody signed it.
    pub(crate) fn unsigned(&self, issuer: &str, audience: &str, age: i64) -> String {
        let now = self.emulator.clock().now();
        let claims = serde_json::json!({
            "iss": issuer, "sub": self.subject, "aud": [audience], "iat": now - age, "exp": now - age + 3600,
        });
        let part = |text: String| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = part(serde_json::json!({"alg": "RS256", "kid": "k"}).to_string());
        format!("{header}.{}.{}", part(claims.to_string()), part("signature".to_owned()))
    }

    /// A managed identity of the node that may read the vault.
    pub(crate) fn assign(&self) -> Principal {
        let principal = self.emulator.imds().assign_user_identity();
        self.vault.grant(&principal, Role::SecretsUser);
        principal
    }

    /// Replaces the application's federated credentials by this one.
    pub(crate) fn federate(&self, issuer: &str, subject: &str, audience: &str) {
        self.app.remove_federated_credentials();
        self.app.add_federated_credential(FederatedCredential {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audiences: vec![audience.to_owned()],
        });
    }

    /// As it should be.
    pub(crate) fn federate_well(&self) {
        self.federate(&self.issuer, &self.subject, AUDIENCE);
    }

    /// A cloud whose file differs in one key.
    pub(crate) fn cloud_with(&self, key: &str, value: &str) -> Variables {
        let mut cloud = self.emulator.cloud();
        cloud[key] = value.into();
        let file = self.write("other.json", &cloud.to_string());
        vec![("AZURE_ENVIRONMENT_FILEPATH".to_owned(), file)]
    }

    /// A cloud in which vaults have another DNS suffix.
    pub(crate) fn vaults_at(&self, suffix: &str) -> Variables {
        self.cloud_with("keyVaultDNSSuffix", suffix)
    }

    pub(crate) fn environment(&self, variables: &Variables) -> Environment {
        let file = |name: &str| self.path(name).display().to_string();
        let base = [
            ("SSL_CERT_FILE".to_owned(), file("ca.pem")),
            ("AZURE_ENVIRONMENT_FILEPATH".to_owned(), file("cloud.json")),
            ("AUTH_TYPE".to_owned(), self.auth_type.as_str().to_owned()),
        ];
        base.into_iter().chain(variables.iter().cloned()).collect()
    }

    /// A program that was started with these variables.
    pub(crate) fn start(&self, variables: &Variables) -> Result<Program, Diagnosis> {
        let environment = self.environment(variables);
        let http = HttpClient::from_environment(&environment, Limits::default()).map_err(|it| *it)?;
        let auth_type = AuthType::from_environment(&environment).map_err(|it| *it)?;
        Ok(Program {
            provider: Provider::new(environment, auth_type, self.path("azure.json"), http.clone()),
            vaults: KeyVault::new(http, Settings::default()),
        })
    }

    /// Reads [`Self::object`] once.
    pub(crate) async fn read(&self, variables: &Variables) -> Result<Arc<Fetched>, Diagnosis> {
        self.start(variables)?.read(&self.object).await
    }

    /// `{client_id}` and the like in what a row expects.
    pub(crate) fn named(&self, text: &str) -> String {
        let principal = self.app.principal();
        [
            ("{client_id}", principal.client_id.as_str()),
            ("{object_id}", &principal.object_id),
            ("{tenant_id}", &principal.tenant_id),
            ("{issuer}", &self.issuer),
            ("{subject}", &self.subject),
            ("{directory}", &self.directory.path().display().to_string()),
        ]
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

/// A program at work.
pub(crate) struct Program {
    provider: Provider,
    vaults: KeyVault,
}

impl Program {
    pub(crate) async fn read(&self, object: &ObjectRef) -> Result<Arc<Fetched>, Diagnosis> {
        let identity = self.provider.identity().await.map_err(|it| *it)?;
        let fetched = self.vaults.get(&identity, object, Priority::New).await;
        fetched.map_err(|error| error.diagnosis)
    }

    /// Reads until it works, with nothing restarted.
    pub(crate) async fn heals(&self, object: &ObjectRef) -> anyhow::Result<()> {
        let what = format!("{object} to be read again");
        let read = until(&what, HEALED, async || self.read(object).await.ok()).await;
        match read {
            Ok(_) => Ok(()),
            Err(error) => Err(anyhow!("{error}: {:?}", self.read(object).await.err())).context("it does not heal"),
        }
    }
}

pub(crate) fn object(kind: ObjectKind, name: &str) -> ObjectRef {
    ObjectRef {
        vault: VaultName::parse("kv1").expect("a vault's name"),
        kind,
        name: ObjectName::parse(name).expect("an object's name"),
        version: None,
    }
}

/// What the ServiceAccount token in the variables' file says of itself that is wrong.
pub(crate) fn findings_of_token(token: &str) -> Vec<Diagnosis> {
    let claims = AssertionClaims::decode(token).expect("a ServiceAccount token");
    claims.findings("The token.")
}
