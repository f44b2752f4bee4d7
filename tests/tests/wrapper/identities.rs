//! Whoever a pod can be, in direct mode: each reads a vault through the wrapper, with a token that the vault truly checks.

use std::process::Command;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::injection::names;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::emulator::{FederatedCredential, Operation, Role, SecretOptions};

use crate::bed::{Ended, value};
use crate::vault::{Bed, env};

const REFERENCE: (&str, &str) = ("DB", "azurekeyvault://kv1/secrets/db");

/// A bed whose vault has a secret.
async fn bed() -> Bed {
    let bed = Bed::start().await;
    bed.vault.set_secret("db", "s3cret", SecretOptions::default()).unwrap();
    bed
}

fn assert_read(bed: &Bed, ended: &Ended, how: &str) {
    assert_eq!(
        (ended.code, value(ended, "DB"), ended.err.as_str()),
        (Some(0), Some("s3cret"), ""),
        "{how}"
    );
    let counts = bed.emulator.journal().counts();
    assert_eq!(counts.of(Operation::Token), 1, "{how}: one token");
    bed.emulator.journal().reset();
}

fn assert_told(ended: &Ended, code: Code) {
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{code}");
    let expected = format!("azure-keyvault-env: DB (azurekeyvault://kv1/secrets/db): {code}: ");
    assert!(ended.err.starts_with(&expected), "{code}: {}", ended.err);
    assert!(ended.err.lines().count() <= 3, "{}", ended.err);
}

#[tokio::test]
async fn a_client_secret_reads_and_a_wrong_one_is_told() {
    let bed = bed().await;
    bed.emulator.journal().reset();
    for auth_type in ["environment", "environment-azidentity", "clientSecret"] {
        let ended = bed.env(&[REFERENCE, ("AUTH_TYPE", auth_type)]).await;
        assert_read(&bed, &ended, auth_type);
        assert_eq!(value(&ended, "AZURE_CLIENT_SECRET"), Some(bed.secret.as_str()));
    }
    assert_told(
        &bed.env(&[REFERENCE, ("AZURE_CLIENT_SECRET", "wrong"), (names::RETRIES, "0")])
            .await,
        Code::ClientSecretInvalid,
    );
}

#[tokio::test]
async fn a_client_certificate_reads_and_one_that_is_not_registered_is_told() {
    let bed = bed().await;
    let file = bed.path("app.pem");
    openssl(&[
        "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=app", "-newkey", "rsa:2048", "-keyout", &file, "-out",
        &file,
    ]);
    let more = [REFERENCE, ("AZURE_CLIENT_CERTIFICATE_PATH", file.as_str())];
    let stranger = env(&bed.application(), &[&more[..], &[(names::RETRIES, "0")]].concat()).await;
    assert_told(&stranger, Code::AssertionSignatureInvalid);
    bed.app
        .add_certificate(&openssl(&["x509", "-in", &file, "-outform", "DER"]));
    bed.emulator.journal().reset();
    assert_read(&bed, &env(&bed.application(), &more).await, "certificate");
}

#[tokio::test]
async fn a_managed_identity_reads_by_imds_and_its_absence_is_told() {
    let bed = bed().await;
    let nobody = env(&bed.nobody(), &[REFERENCE, (names::RETRIES, "0")]).await;
    assert_told(&nobody, Code::ImdsIdentityNotAssigned);
    let principal = bed.emulator.imds().assign_user_identity();
    bed.vault.grant(&principal, Role::SecretsUser);
    bed.emulator.journal().reset();
    // The one identity of the node needs no name.
    assert_read(&bed, &env(&bed.nobody(), &[REFERENCE]).await, "alone");
    bed.emulator.imds().assign_user_identity();
    let named = [REFERENCE, ("AZURE_CLIENT_ID", principal.client_id.as_str())];
    assert_read(&bed, &env(&bed.nobody(), &named).await, "by its client id");
}

/// The token comes from a real API server, and the emulator checks it by that server's keys, as Entra does.
#[tokio::test]
async fn workload_identity_reads_with_a_token_of_the_cluster_and_a_strangers_token_is_told() {
    let bed = bed().await;
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("direct").await.unwrap();
    let issuer = cluster.issuer().await.unwrap();
    bed.emulator.entra().trust_issuer_ca(cluster.ca_pem());
    let audience = "api://AzureADTokenExchange";
    let token = cluster
        .service_account_token(namespace.name(), "default", audience)
        .await
        .unwrap();
    let file = bed.path("token");
    std::fs::write(&file, token).unwrap();
    let more = [
        REFERENCE,
        ("AZURE_FEDERATED_TOKEN_FILE", file.as_str()),
        ("AUTH_TYPE", "environment-azidentity"),
    ];

    let once = [&more[..], &[(names::RETRIES, "0")]].concat();
    bed.app
        .add_federated_credential(FederatedCredential::service_account(&issuer, namespace.name(), "other"));
    assert_told(&env(&bed.application(), &once).await, Code::FederatedSubjectMismatch);
    bed.app.add_federated_credential(FederatedCredential::service_account(
        &issuer,
        namespace.name(),
        "default",
    ));
    bed.emulator.journal().reset();
    assert_read(&bed, &env(&bed.application(), &more).await, "workload identity");
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output();
    let output = output.expect("openssl is there; install it: apt-get install openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
