//! The wrapper in a root that holds nothing but itself, the program, and what Kubernetes mounts: no libc, shell, `/etc`, `/proc`, `/dev`,
//! no certificates, nobody's home, and nothing that can be written.
//!
//! Changing the root takes root.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::capability;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::statics::{self, Architecture};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::stub::{Says, Stub, borrowed};
use crate::vault::Bed;

/// Somebody who is in no `/etc/passwd`.
const SOMEBODY: &str = "54321:54321";

struct Root(TempDir);

impl Root {
    /// With the wrapper, the guest, and `files`; nobody may write in it.
    async fn new(files: &[(&str, &Path)]) -> Option<Self> {
        if !capability::has(capability::OWN_ROOT) {
            return None;
        }
        let programs = tokio::task::spawn_blocking(|| (statics::wrapper(Architecture::here()), statics::guest()));
        let (wrapper, guest) = programs.await.unwrap();
        let root = TempDir::new().unwrap();
        let (wrapper, guest) = (wrapper.unwrap(), guest.unwrap());
        for (name, from) in [("wrapper", wrapper.as_path()), ("guest", &guest)].iter().chain(files) {
            fs::copy(from, root.path().join(name)).unwrap();
        }
        fs::set_permissions(root.path(), Permissions::from_mode(0o555)).unwrap();
        Some(Self(root))
    }

    async fn run(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new("/usr/sbin/chroot");
        command
            .arg(format!("--userspec={SOMEBODY}"))
            .arg(self.0.path())
            .arg("/wrapper")
            .args(arguments);
        command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
        command.output().await.unwrap()
    }
}

/// What the guest, started in it, says of its environment.
fn environment(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["env"].clone()
}

#[tokio::test]
async fn nothing_is_needed_to_start_a_program() {
    let Some(root) = Root::new(&[]).await else { return };
    let found = environment(&root.run(&[("A", "1")], &["/guest", "env"]).await);
    assert_eq!(found, serde_json::json!({"A": "1"}));
    assert_eq!(root.run(&[], &["/guest", "exit", "42"]).await.status.code(), Some(42));
    assert_eq!(root.run(&[], &["/none"]).await.status.code(), Some(127));
    assert_eq!(
        root.run(&[], &["guest"]).await.status.code(),
        Some(127),
        "there is no PATH"
    );
    assert_eq!(root.run(&[], &["/"]).await.status.code(), Some(126));
    assert!(
        root.run(&[], &["--version"])
            .await
            .stdout
            .starts_with(b"azure-keyvault-env ")
    );
}

#[tokio::test]
async fn values_come_from_the_broker_with_a_token_and_nothing_else() {
    let stub = Stub::start([Says::Values(vec![("db@azurekeyvault", b"s3cret".to_vec())])]).await;
    let token = TempDir::new().unwrap();
    let file = token.path().join("token");
    fs::write(&file, "the-token").unwrap();
    let Some(root) = Root::new(&[("token", &file)]).await else {
        return;
    };
    // By its address: no name is looked up; and by its name, which needs no file either.
    for address in [
        stub.address().replace("localhost", "0.0.0.0"),
        stub.address().to_owned(),
    ] {
        let variables = stub.variables(&[
            ("DB", "db@azurekeyvault"),
            (names::AUTH_SERVICE, &address),
            (names::AUTH_SERVICE_TOKEN_FILE, "/token"),
        ]);
        let found = environment(&root.run(&borrowed(&variables), &["/guest", "env"]).await);
        assert_eq!(found["DB"], "s3cret");
    }
    assert_eq!(stub.asked().len(), 2);
}

#[tokio::test]
async fn values_come_from_the_vault_with_an_identity_and_nothing_else() {
    let bed = Bed::start().await;
    bed.vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    let (ca, cloud) = (bed.path("ca.pem"), bed.path("cloud.json"));
    // The emulator's authority is none of Mozilla's; of an ordinary vault not even this file is needed.
    let Some(root) = Root::new(&[("ca.pem", ca.as_ref()), ("cloud.json", cloud.as_ref())]).await else {
        return;
    };
    let application = bed.application();
    let own = application.iter().map(|(name, value)| (*name, value.as_str()));
    let variables: Vec<_> = own
        .chain([
            ("AZURE_CLIENT_SECRET", bed.secret.as_str()),
            ("AZURE_ENVIRONMENT_FILEPATH", "/cloud.json"),
            ("SSL_CERT_FILE", "/ca.pem"),
            ("DB", "azurekeyvault://kv1/secrets/db"),
        ])
        .collect();
    let found = environment(&root.run(&variables, &["/guest", "env"]).await);
    assert_eq!(found["DB"], "s3cret");
}

#[tokio::test]
async fn without_certificates_of_the_image_mozillas_are_trusted_and_a_stranger_is_not() {
    let bed = Bed::start().await;
    let cloud = bed.path("cloud.json");
    let Some(root) = Root::new(&[("cloud.json", cloud.as_ref())]).await else {
        return;
    };
    let application = bed.application();
    let own = application.iter().filter(|(name, _)| *name != "SSL_CERT_FILE");
    let variables: Vec<_> = own
        .map(|(name, value)| (*name, value.as_str()))
        .chain([
            ("AZURE_CLIENT_SECRET", bed.secret.as_str()),
            ("AZURE_ENVIRONMENT_FILEPATH", "/cloud.json"),
            ("DB", "azurekeyvault://kv1/secrets/db"),
            (names::RETRIES, "0"),
        ])
        .collect();
    let output = root.run(&variables, &["/guest", "env"]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("UnknownIssuer") || said.contains("Untrusted"), "{said}");
}
