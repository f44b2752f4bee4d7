//! Tokens: how they are had, kept, renewed, and why there is none.

use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::keyvault::{Priority, Retry, VaultError};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation};
use akv2k8s_testbed::wait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::bed::{Bed, assert_code, secret, value};

async fn refused(bed: &Bed, identity: &Identity) -> VaultError {
    let outcome = bed.client.get(identity, &secret("kv1", "s"), Priority::New).await;
    outcome.err().unwrap()
}

async fn with_secret(bed: &Bed, client_secret: &str) -> Identity {
    bed.with_variables(&[
        ("AZURE_CLIENT_ID", bed.app.client_id()),
        ("AZURE_TENANT_ID", bed.emulator.entra().tenant_id()),
        ("AZURE_CLIENT_SECRET", client_secret),
    ])
    .await
}

#[tokio::test]
async fn wrong_and_expired_secrets_and_unknown_applications_are_told_apart() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let error = refused(&bed, &with_secret(&bed, "wrong").await).await;
    assert_code(&error, Code::ClientSecretInvalid);
    assert_eq!(error.retry, Retry::Slowly);
    bed.app.add_secret_with("old", Some(bed.emulator.clock().now() - 10));
    assert_code(
        &refused(&bed, &with_secret(&bed, "old").await).await,
        Code::ClientSecretExpired,
    );
    let tenant = bed.emulator.entra().tenant_id().to_owned();
    let stranger = "22222222-2222-2222-2222-222222222222";
    for (client, tenant, code) in [
        (stranger, tenant.as_str(), Code::AppNotFoundInTenant),
        (bed.app.client_id(), stranger, Code::TenantNotFound),
    ] {
        let identity = bed
            .with_variables(&[
                ("AZURE_CLIENT_ID", client),
                ("AZURE_TENANT_ID", tenant),
                ("AZURE_CLIENT_SECRET", "x"),
            ])
            .await;
        assert_code(&refused(&bed, &identity).await, code);
    }
}

#[tokio::test]
async fn a_thousand_objects_of_a_broken_identity_ask_entra_once() {
    let bed = Bed::start().await;
    let identity = with_secret(&bed, "wrong").await;
    let names: Vec<_> = (0..1000).map(|number| secret("kv1", &format!("s-{number}"))).collect();
    let all = names
        .iter()
        .map(|object| bed.client.get(&identity, object, Priority::New));
    assert!(futures::future::join_all(all).await.iter().all(Result::is_err));
    assert_eq!(bed.emulator.journal().counts().of(Operation::Token), 1);
}

#[tokio::test]
async fn entra_being_down_for_a_moment_is_not_noticed() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    bed.emulator
        .faults()
        .add(Fault::entra(FaultKind::status(503, "", "")).times(1));
    bed.emulator.faults().add(Fault::entra(FaultKind::Reset).times(1));
    assert_eq!(value(&bed.secret("s").await.unwrap()), "v");
    assert!(bed.emulator.journal().counts().of(Operation::Token) >= 2);
}

#[tokio::test]
async fn a_token_that_the_vault_no_longer_takes_is_replaced_once() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    bed.set("t", "v");
    bed.secret("s").await.unwrap();
    // The vault's clock runs ahead: the token that is kept here has expired there.
    bed.emulator.clock().set_offset(2 * 3600);
    assert_eq!(value(&bed.secret("t").await.unwrap()), "v");
    let counts = bed.emulator.journal().counts();
    assert_eq!(counts.of(Operation::Token), 2);
    assert_eq!(
        counts.with_status(Operation::SECRET_GET, 401),
        2,
        "the challenge, and the old token"
    );
}

#[tokio::test]
async fn a_vault_of_another_tenant_is_named() {
    let bed = Bed::start().await;
    bed.set("s", "v");
    let other = "99999999-9999-9999-9999-999999999999";
    bed.emulator.entra().add_tenant(other);
    bed.vault.set_tenant(other);
    let error = bed.failure("s").await;
    assert_code(&error, Code::WrongTenant);
    assert!(error.diagnosis.cause.contains(other), "{error}");
    let tokens = bed.emulator.journal().counts().of(Operation::Token);
    assert_eq!(tokens, 1, "the token that serves all other vaults is kept");
}

#[tokio::test]
async fn short_lived_tokens_are_renewed_ahead_of_their_end() {
    let bed = Bed::start().await;
    bed.emulator.entra().set_token_lifetime(6);
    for number in 0..8 {
        bed.set(&format!("s-{number}"), "v");
    }
    let start = Instant::now();
    for number in 0..8 {
        bed.secret(&format!("s-{number}")).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let counts = bed.emulator.journal().counts();
    assert_eq!(
        counts.with_status(Operation::SECRET_GET, 401),
        1,
        "no expired token was ever sent"
    );
    let most = 1 + start.elapsed().as_secs() / 3;
    assert!(
        (2..=most).contains(&counts.of(Operation::Token)),
        "{} of at most {most}",
        counts.of(Operation::Token)
    );
}

#[tokio::test]
async fn workload_identity_without_its_other_half_prints_the_command_that_makes_it() {
    let bed = Bed::start().await;
    let file = bed.path("token");
    let identity = bed
        .with_variables(&[
            ("AZURE_CLIENT_ID", bed.app.client_id()),
            ("AZURE_TENANT_ID", bed.emulator.entra().tenant_id()),
            ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ])
        .await;
    assert_code(&refused(&bed, &identity).await, Code::TokenFileUnreadable);
    let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    let now = bed.emulator.clock().now();
    let claims = format!(
        r#"{{"iss":"https://oidc.example/c","sub":"system:serviceaccount:ns:sa","aud":["api://AzureADTokenExchange"],"iat":{now},"exp":{}}}"#,
        now + 600
    );
    let token = format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256","kid":"k"}"#),
        part(&claims),
        part("signature")
    );
    std::fs::write(&file, token).unwrap();
    // A failure answers for five seconds, whoever asks.
    let changed = async || {
        let error = refused(&bed, &identity).await;
        (error.diagnosis.code != Code::TokenFileUnreadable).then_some(error)
    };
    let error = wait::until("the file is read again", Duration::from_secs(15), changed)
        .await
        .unwrap();
    assert_code(&error, Code::NoFederatedCredential);
    let fix = &error.diagnosis.fix;
    assert!(fix.contains("--subject 'system:serviceaccount:ns:sa'"), "{fix}");
    assert!(fix.contains("--issuer 'https://oidc.example/c'"), "{fix}");
}
