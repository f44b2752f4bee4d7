//! The state of an emulator that the list needs, and the target file that tells the list about it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::issuer::Issuer;
use super::material::Material;
use super::tokens::Tokens;
use crate::controlplane::ControlPlane;
use crate::emulator::{
    Emulator, EntraHandle, Fault, FaultKind, Options, Policy, Principal, Role, SecretOptions, VaultHandle,
};

/// Name and value of the secret every identity reads.
const KNOWN_SECRET: (&str, &str) = ("known", "what every identity reads");
const FOREIGN_TENANT: &str = "f0000000-0000-4000-8000-000000000001";
const USER: (&str, &str) = ("reader@conformance.example", "user's pässword");
const TARGET_FILE: &str = "target.json";
const CA_FILE: &str = "emulator-ca.pem";
const CLOUD_FILE: &str = "cloud.json";
/// The vault that the list is mostly about.
pub(super) const MAIN_VAULT: &str = "conformance";
/// Long ago, Unix seconds.
const LONG_AGO: i64 = 1_000_000_000;

/// An emulator with the state the list needs; everything stops and is removed when dropped.
pub(super) struct EmulatorTarget {
    folder: TempDir,
    /// The variables of whoever may do everything with the main vault.
    owner: Vec<(&'static str, String)>,
    /// Held because they stop when dropped.
    _running: (Emulator, Issuer),
}

impl EmulatorTarget {
    /// Starts an emulator, makes its state (some of it with tokens of `cluster`), and writes the target file.
    pub(super) async fn start(cluster: &ControlPlane) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("create a temporary folder")?;
        let material = Material::create(folder.path()).await?;
        let issuer = Issuer::start().await?;
        let emulator = Emulator::start(Options::default())
            .await
            .context("start the emulator")?;
        emulator.entra().trust_issuer_ca(issuer.ca_pem());
        emulator.entra().trust_issuer_ca(cluster.ca_pem());
        let tokens = Tokens::collect(&issuer, cluster).await?;
        let seed = Seed {
            emulator: &emulator,
            entra: emulator.entra(),
            tokens: &tokens,
            folder: folder.path(),
        };
        let facts = seed.plant(&material)?;
        emulator.write_ca_file(&folder.path().join(CA_FILE))?;
        emulator.write_cloud_file(&folder.path().join(CLOUD_FILE))?;
        fs::write(folder.path().join(TARGET_FILE), facts.to_string()).context("write the target file")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let owner = &facts["apps"]["owner"];
        Ok(Self {
            owner: vec![
                ("AZURE_TENANT_ID", text(&facts["tenant"])),
                ("AZURE_CLIENT_ID", text(&owner["clientId"])),
                ("AZURE_CLIENT_SECRET", text(&owner["secret"])),
                ("AZURE_ENVIRONMENT_FILEPATH", path_text(&folder, CLOUD_FILE)),
                ("SSL_CERT_FILE", path_text(&folder, CA_FILE)),
            ],
            folder,
            _running: (emulator, issuer),
        })
    }

    /// The target file.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.path().join(TARGET_FILE)
    }

    /// What the emulator's certificate is signed by.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join(CA_FILE)
    }

    /// The environment of a program that may do everything with the main vault.
    pub(super) fn owner(&self) -> &[(&'static str, String)] {
        &self.owner
    }

    /// A file of the target's own folder that nothing else has.
    pub(super) fn scratch_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn path_text(folder: &TempDir, file: &str) -> String {
    folder.path().join(file).to_string_lossy().into_owned()
}

/// What the state is made with.
struct Seed<'a> {
    emulator: &'a Emulator,
    entra: EntraHandle,
    tokens: &'a Tokens,
    folder: &'a Path,
}

impl Seed<'_> {
    /// Makes all state; gives the facts of the target file.
    fn plant(&self, material: &Material) -> anyhow::Result<Value> {
        let main = self.vault(MAIN_VAULT)?;
        let policy = self.vault("conformance-policy")?;
        let (owner, owner_facts) = self.app();
        main.grant(&owner, Role::Administrator);
        Ok(json!({
            "live": false,
            "authority": self.emulator.authority_host().trim_end_matches('/'),
            "tenant": self.entra.tenant_id(),
            "foreignTenant": FOREIGN_TENANT,
            "resource": self.emulator.cloud()["resourceIdentifiers"]["keyVault"],
            "knownSecret": { "name": KNOWN_SECRET.0, "value": KNOWN_SECRET.1 },
            "imports": material.imports(),
            "imds": self.emulator.imds().endpoint(),
            "apps": self.apps(&owner_facts, &main, &policy),
            "certificateApp": self.certificate_app(&main, material)?,
            "federatedApp": self.federated_app(&main)?,
            "user": self.user(&main),
            "managedIdentity": self.managed_identity(&main),
            "appService": self.app_service(&main),
            "vaults": {
                "main": main.url(),
                "policy": policy.url(),
                "throttled": self.faulty_vault("throttled", &owner, FaultKind::Throttle { retry_after: Some(1) }, 2)?,
                "throttledSilently": self.faulty_vault("silent", &owner, FaultKind::Throttle { retry_after: None }, 1)?,
                "failing": self.faulty_vault("failing", &owner, unavailable(), 1)?,
            },
        }))
    }

    /// A new vault that holds the secret every identity reads.
    fn vault(&self, name: &str) -> anyhow::Result<VaultHandle> {
        let vault = self.emulator.vault(name);
        vault.set_secret(KNOWN_SECRET.0, KNOWN_SECRET.1, SecretOptions::default())?;
        Ok(vault)
    }

    /// A new vault whose first `times` answers are a fault; gives its URL.
    fn faulty_vault(&self, name: &str, reader: &Principal, kind: FaultKind, times: u32) -> anyhow::Result<String> {
        let vault = self.vault(name)?;
        vault.grant(reader, Role::SecretsUser);
        self.emulator.faults().add(Fault::vault(name, kind).times(times));
        Ok(vault.url())
    }

    /// Applications with a client secret, each with other rights.
    fn apps(&self, owner: &Value, main: &VaultHandle, policy: &VaultHandle) -> Value {
        let (reader, reader_facts) = self.app();
        main.grant(&reader, Role::SecretsUser);
        let (_, nobody) = self.app();
        let permitted = |permission: &str| {
            let (principal, facts) = self.app();
            policy.set_policy(
                &principal,
                Policy {
                    secrets: vec![permission.into()],
                    ..Policy::default()
                },
            );
            facts
        };
        let expired = self.entra.register_app();
        expired.add_secret_with("expired", Some(LONG_AGO));
        let foreign = self.entra.register(Principal {
            tenant_id: FOREIGN_TENANT.into(),
            ..reader
        });
        json!({
            "owner": owner,
            "reader": reader_facts,
            "nobody": nobody,
            "getOnly": permitted("get"),
            "listOnly": permitted("list"),
            "expired": { "clientId": expired.client_id(), "secret": "expired" },
            "foreign": { "clientId": foreign.client_id(), "secret": foreign.add_secret() },
        })
    }

    /// A new application, and what the list needs to become it.
    fn app(&self) -> (Principal, Value) {
        let app = self.entra.register_app();
        (
            app.principal().clone(),
            json!({ "clientId": app.client_id(), "secret": app.add_secret() }),
        )
    }

    fn certificate_app(&self, vault: &VaultHandle, material: &Material) -> anyhow::Result<Value> {
        let app = self.entra.register_app();
        let pem = fs::read(&material.application).context("read the application's certificate")?;
        let certificate = CertificateDer::from_pem_slice(&pem).context("parse the application's certificate")?;
        app.add_certificate(&certificate);
        vault.grant(app.principal(), Role::SecretsUser);
        Ok(json!({
            "clientId": app.client_id(),
            "certificate": material.application,
            "unregistered": material.unregistered,
        }))
    }

    /// An application that trusts the issuer, and token files that should and should not convince Entra.
    fn federated_app(&self, vault: &VaultHandle) -> anyhow::Result<Value> {
        let app = self.entra.register_app();
        for credential in &self.tokens.credentials {
            app.add_federated_credential(credential.clone());
        }
        vault.grant(app.principal(), Role::SecretsUser);
        Ok(json!({ "clientId": app.client_id(), "tokens": self.tokens.write(self.folder)? }))
    }

    fn user(&self, vault: &VaultHandle) -> Value {
        let (name, password) = USER;
        vault.grant(&self.entra.add_user(name, password), Role::SecretsUser);
        json!({ "clientId": self.entra.register_app().client_id(), "name": name, "password": password })
    }

    /// Gives the machine a system-assigned and a user-assigned identity.
    fn managed_identity(&self, vault: &VaultHandle) -> Value {
        let imds = self.emulator.imds();
        vault.grant(&imds.assign_system_identity(), Role::SecretsUser);
        let user = imds.assign_user_identity();
        vault.grant(&user, Role::SecretsUser);
        json!({ "clientId": user.client_id })
    }

    /// An identity of its own: the JavaScript SDK caches tokens by identity for the whole process.
    fn app_service(&self, vault: &VaultHandle) -> Value {
        let imds = self.emulator.imds();
        let user = imds.assign_user_identity();
        vault.grant(&user, Role::SecretsUser);
        let (endpoint, header) = imds.app_service();
        json!({ "clientId": user.client_id, "endpoint": endpoint, "header": header })
    }
}

fn unavailable() -> FaultKind {
    FaultKind::status(503, "ServiceUnavailable", "The service is temporarily unavailable.")
}
