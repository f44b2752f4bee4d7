//! The Azure CLI, played by a script that prints what `az` prints.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::{AuthType, Identity, Method};
use akv2k8s_testbed::emulator::Role;

use crate::bed::{Bed, assert_code};

/// Makes `az` do this (lines of a shell script); it lies in a folder of its own, which is the `PATH`.
fn install(bed: &Bed, script: &str) -> String {
    let folder = bed.directory.path().join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let (fresh, program) = (folder.join("new"), folder.join("az"));
    std::fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(&fresh, &program).unwrap();
    folder.display().to_string()
}

/// A script that prints a token of somebody who may read the vault, if it is called as `az` wants to be.
fn logged_in(bed: &Bed) -> String {
    let user = bed.emulator.entra().add_user("ann@example.com", "x");
    bed.vault.grant(&user, Role::SecretsUser);
    let audience = bed.cloud().vault_audience;
    let token = bed.emulator.entra().token(&user, &audience).unwrap();
    let until = bed.emulator.clock().now() + 3000;
    format!(
        r#"[ "$*" = "account get-access-token --output json --resource {audience}" ] || {{ echo "ERROR: unrecognized arguments: $*" >&2; exit 2; }}
cat <<'END'
{{
  "accessToken": "{token}",
  "expiresOn": "2026-11-22 21:00:00.000000",
  "expires_on": {until},
  "subscription": "00000000-0000-0000-0000-000000000000",
  "tenant": "{}",
  "tokenType": "Bearer"
}}
END"#,
        bed.emulator.entra().tenant_id()
    )
}

async fn whoever(bed: &Bed, script: &str) -> Identity {
    let path = install(bed, script);
    bed.chosen(AuthType::AzureCli, &[("PATH", &path)]).await.unwrap()
}

#[tokio::test]
async fn whoever_is_logged_in_reads() {
    let bed = Bed::start().await;
    let script = logged_in(&bed);
    let identity = whoever(&bed, &script).await;
    assert_eq!(identity.info().method, Method::AzureCli);
    assert_eq!(bed.read(&identity).await.unwrap(), "v");
}

#[tokio::test]
async fn a_missing_program_is_told_and_found_once_it_is_installed() {
    let bed = Bed::start().await;
    let folder = bed.path("bin");
    let variables = [("PATH", folder.as_str())];
    let provider = bed.provider(AuthType::AzureCli, &variables);
    assert_eq!(provider.identity().await.unwrap_err().code, Code::AzureCliMissing);
    install(&bed, &logged_in(&bed));
    let identity = bed.becomes(&provider, Method::AzureCli).await;
    assert_eq!(bed.read(&identity).await.unwrap(), "v");
}

#[tokio::test]
async fn being_logged_out_and_an_expired_login_are_told_with_what_to_do_and_heal() {
    let bed = Bed::start().await;
    let identity = whoever(
        &bed,
        "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1",
    )
    .await;
    let error = bed.failure(&identity).await;
    assert_code(&error, Code::AzureCliLoggedOut);
    assert!(error.diagnosis.fix.contains("az login"), "{error}");
    install(
        &bed,
        "cat >&2 <<'END'\nERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by \
         conditional access. The token was issued on 2025-02-20T05:53:09.5071163Z and the maximum allowed lifetime for this \
         request is 43200. Trace ID: 5cb99b7e Correlation ID: 239f3c09 Timestamp: 2025-03-11 21:26:54Z\nInteractive \
         authentication is needed. Please run:\naz login --scope https://vault.azure.net/.default\nEND\nexit 1",
    );
    let expired = async || {
        bed.read(&identity)
            .await
            .err()
            .filter(|it| it.diagnosis.cause.contains("AADSTS70043"))
    };
    let limit = Duration::from_secs(30);
    let error = akv2k8s_testbed::wait::until("the expired login", limit, expired)
        .await
        .unwrap();
    assert_code(&error, Code::AzureCliLoggedOut);
    assert!(!error.diagnosis.cause.contains("Trace ID"), "{error}");
    install(&bed, &logged_in(&bed));
    bed.heals(&identity).await;
}

#[tokio::test]
async fn a_program_that_fails_prints_rubbish_or_never_ends_is_told() {
    let bed = Bed::start().await;
    let failing = whoever(&bed, "echo 'ERROR: The following module is missing: azure' >&2; exit 1").await;
    let error = bed.failure(&failing).await;
    assert_code(&error, Code::AzureCliFailed);
    assert!(error.diagnosis.cause.contains("module is missing"), "{error}");

    let bed = Bed::start().await;
    let rubbish = whoever(&bed, "echo 'WARNING: new version available'").await;
    assert_code(&bed.failure(&rubbish).await, Code::AzureCliFailed);

    let bed = Bed::start().await;
    let slow = whoever(&bed, "exec sleep 600").await;
    let start = Instant::now();
    let error = bed.failure(&slow).await;
    assert_code(&error, Code::AzureCliFailed);
    assert!(error.diagnosis.cause.contains("stopped"), "{error}");
    assert!(start.elapsed() < Duration::from_mins(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_chain_ends_at_the_azure_cli_where_no_metadata_service_answers() {
    let bed = Bed::start().await;
    let path = install(&bed, &logged_in(&bed));
    let nowhere = bed.cloud_without_imds();
    let off_azure = [
        ("PATH", path.as_str()),
        ("AZURE_ENVIRONMENT_FILEPATH", nowhere.as_str()),
    ];
    let identity = bed.chosen(AuthType::EnvironmentAzidentity, &off_azure).await.unwrap();
    assert_eq!(identity.info().method, Method::AzureCli);
    assert_eq!(bed.read(&identity).await.unwrap(), "v");
    let on_azure = bed
        .chosen(AuthType::EnvironmentAzidentity, &[("PATH", &path)])
        .await
        .unwrap();
    assert_eq!(on_azure.info().method, Method::ManagedIdentity);
}
