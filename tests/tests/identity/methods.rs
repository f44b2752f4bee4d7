//! Each method that goes by variables: it works, and each way in which it can fail is told apart.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::{AuthType, Method};
use akv2k8s_testbed::emulator::{Fault, FaultKind, Principal, Role};

use crate::bed::{App, Bed, assert_code};
use crate::openssl::OpenSsl;

#[tokio::test]
async fn a_client_secret_reads_by_its_own_name_and_by_either_order() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let secret = app.handle.add_secret();
    for auth_type in [
        AuthType::ClientSecret,
        AuthType::Environment,
        AuthType::EnvironmentAzidentity,
    ] {
        let identity = bed
            .chosen(auth_type, &app.with(&[("AZURE_CLIENT_SECRET", &secret)]))
            .await
            .unwrap();
        assert_eq!(identity.info().method, Method::ClientSecret);
        assert_eq!(bed.read(&identity).await.unwrap(), "v");
    }
}

#[tokio::test]
async fn a_client_certificate_reads_in_every_form_openssl_writes() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let openssl = OpenSsl::at(bed.directory.path());
    openssl.certificate("app", &["rsa:2048"]);
    app.handle.add_certificate(&openssl.der("app"));
    openssl.pem("app", "plain.pem");
    openssl.encrypted_pem("app", "encrypted.pem", "pässword");
    openssl.pfx("app", "plain.pfx", "", &[]);
    openssl.pfx("app", "password.pfx", "pässword", &[]);
    openssl.pfx("app", "legacy.pfx", "pässword", &["-legacy", "-macalg", "sha1"]);
    for (file, password) in [
        ("plain.pem", ""),
        ("encrypted.pem", "pässword"),
        ("plain.pfx", ""),
        ("password.pfx", "pässword"),
        ("legacy.pfx", "pässword"),
    ] {
        let path = bed.path(file);
        let variables = app.with(&[
            ("AZURE_CERTIFICATE_PATH", &path),
            ("AZURE_CERTIFICATE_PASSWORD", password),
            ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true"),
        ]);
        for auth_type in [AuthType::ClientCertificate, AuthType::Environment] {
            let identity = bed.chosen(auth_type, &variables).await.unwrap();
            assert_eq!(identity.info().method, Method::ClientCertificate);
            assert_eq!(
                bed.read(&identity)
                    .await
                    .unwrap_or_else(|error| panic!("{file}: {error}")),
                "v"
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_client_certificate_is_told_apart() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let openssl = OpenSsl::at(bed.directory.path());
    openssl.certificate("app", &["rsa:2048"]);
    openssl.certificate("curve", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.pem("app", "unregistered.pem");
    openssl.pfx("app", "password.pfx", "secret", &[]);
    openssl.pem("curve", "curve.pem");
    std::fs::copy(bed.path("app.crt"), bed.path("no-key.pem")).unwrap();
    std::fs::write(bed.path("rubbish.pfx"), "rubbish").unwrap();
    for (file, password, code, part) in [
        ("unregistered.pem", "", Code::AssertionSignatureInvalid, "register"),
        ("password.pfx", "", Code::ClientCertificateUnreadable, "none is given"),
        (
            "password.pfx",
            "wrong",
            Code::ClientCertificateUnreadable,
            "does not open it",
        ),
        ("curve.pem", "", Code::ClientCertificateUnreadable, "RSA"),
        ("no-key.pem", "", Code::ClientCertificateUnreadable, "no private key"),
        (
            "rubbish.pfx",
            "",
            Code::ClientCertificateUnreadable,
            "neither PEM nor a PFX",
        ),
        ("missing.pfx", "", Code::ClientCertificateUnreadable, "No such file"),
    ] {
        let path = bed.path(file);
        let variables = app.with(&[
            ("AZURE_CERTIFICATE_PATH", &path),
            ("AZURE_CERTIFICATE_PASSWORD", password),
        ]);
        let identity = bed.chosen(AuthType::ClientCertificate, &variables).await.unwrap();
        let error = bed.failure(&identity).await;
        assert_code(&error, code);
        assert!(error.diagnosis.to_string().contains(part), "{file}: {error}");
        assert!(
            code != Code::ClientCertificateUnreadable || error.diagnosis.what.contains(&path),
            "{error}"
        );
    }
}

/// With the right certificate; those of other methods are in the catalogue's own tests.
#[tokio::test]
async fn what_else_fails_on_the_way_by_client_certificate_is_told() {
    const STRANGER: &str = "22222222-2222-2222-2222-222222222222";
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let openssl = OpenSsl::at(bed.directory.path());
    openssl.certificate("app", &["rsa:2048"]);
    app.handle.add_certificate(&openssl.der("app"));
    openssl.pem("app", "app.pem");
    let path = bed.path("app.pem");
    let by_file = ("AZURE_CLIENT_CERTIFICATE_PATH", path.as_str());
    for (variable, value, code) in [
        ("AZURE_CLIENT_CERTIFICATE_PATH", "", Code::EnvironmentIncomplete),
        ("AZURE_TENANT_ID", "", Code::EnvironmentIncomplete),
        ("AZURE_CLIENT_ID", "'c'", Code::VariableMalformed),
        ("AZURE_ENVIRONMENT_FILEPATH", "/nowhere.json", Code::CloudUnknown),
        ("AZURE_TENANT_ID", STRANGER, Code::TenantNotFound),
        ("AZURE_CLIENT_ID", STRANGER, Code::AppNotFoundInTenant),
    ] {
        let variables = app.with(&[by_file, (variable, value)]);
        let diagnosis = match bed.chosen(AuthType::ClientCertificate, &variables).await {
            Ok(identity) => bed.failure(&identity).await.diagnosis,
            Err(diagnosis) => *diagnosis,
        };
        assert_eq!(diagnosis.code, code, "{variable}={value}: {diagnosis}");
        let said = diagnosis.to_string();
        let names = if value.is_empty() || code == Code::VariableMalformed {
            variable
        } else {
            value
        };
        assert!(said.contains(names), "{said}");
    }

    let identity = bed
        .chosen(AuthType::ClientCertificate, &app.with(&[by_file]))
        .await
        .unwrap();
    bed.emulator.faults().add(Fault::entra(FaultKind::Reset));
    assert_code(&bed.failure(&identity).await, Code::TokenRequestFailed);
    bed.emulator.faults().lift_all();
    bed.heals(&identity).await;
    bed.vault.revoke(app.handle.principal());
    let error = bed.fails_with(&identity, Code::ForbiddenByRbac).await;
    assert!(error.diagnosis.cause.contains(app.handle.client_id()), "{error}");
    bed.vault.grant(app.handle.principal(), Role::SecretsUser);
    bed.heals(&identity).await;
}

#[tokio::test]
async fn a_certificate_file_that_appears_or_is_replaced_is_used_without_a_restart() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let openssl = OpenSsl::at(bed.directory.path());
    let path = bed.path("mounted.pem");
    let variables = app.with(&[("AZURE_CERTIFICATE_PATH", &path)]);
    let identity = bed.chosen(AuthType::ClientCertificate, &variables).await.unwrap();
    assert_code(&bed.failure(&identity).await, Code::ClientCertificateUnreadable);
    openssl.certificate("old", &["rsa:2048"]);
    openssl.pem("old", "mounted.pem");
    bed.fails_with(&identity, Code::AssertionSignatureInvalid).await;
    openssl.certificate("new", &["rsa:2048"]);
    app.handle.add_certificate(&openssl.der("new"));
    openssl.pem("new", "mounted.pem");
    bed.heals(&identity).await;
}

#[tokio::test]
async fn user_name_and_password_read_and_a_wrong_password_is_told() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let user: Principal = bed.emulator.entra().add_user("ann@example.com", "p&ss wörd%");
    bed.vault.grant(&user, Role::SecretsUser);
    let with =
        |password: &'static str| app.with(&[("AZURE_USERNAME", "ann@example.com"), ("AZURE_PASSWORD", password)]);
    let identity = bed.chosen(AuthType::Environment, &with("p&ss wörd%")).await.unwrap();
    assert_eq!(identity.info().method, Method::UsernamePassword);
    assert_eq!(bed.read(&identity).await.unwrap(), "v");
    let wrong = bed.chosen(AuthType::Environment, &with("wrong")).await.unwrap();
    assert_code(&bed.failure(&wrong).await, Code::UserPasswordInvalid);
}

#[tokio::test]
async fn a_secret_that_hides_workload_identity_is_named_when_it_does_not_work() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let variables = app.with(&[
        ("AZURE_CLIENT_SECRET", "wrong"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
    ]);
    let identity = bed.chosen(AuthType::EnvironmentAzidentity, &variables).await.unwrap();
    let error = bed.failure(&identity).await;
    assert_code(&error, Code::SecretShadowsWorkloadIdentity);
    assert!(error.diagnosis.fix.contains("AZURE_CLIENT_SECRET"), "{error}");
}

#[tokio::test]
async fn a_forgotten_secret_is_the_cause_where_no_metadata_service_answers() {
    let bed = Bed::start().await;
    let app = App::register(&bed);
    let nowhere = bed.cloud_without_imds();
    let variables = app.with(&[("AZURE_ENVIRONMENT_FILEPATH", &nowhere)]);
    let identity = bed.chosen(AuthType::Environment, &variables).await.unwrap();
    let error = bed.failure(&identity).await;
    assert_code(&error, Code::EnvironmentIncomplete);
    assert!(error.diagnosis.cause.contains("AZURE_CLIENT_SECRET"), "{error}");
}

#[tokio::test]
async fn where_nothing_works_every_link_of_the_chain_says_why() {
    let bed = Bed::start().await;
    let nowhere = bed.cloud_without_imds();
    let variables = [("AZURE_ENVIRONMENT_FILEPATH", nowhere.as_str()), ("PATH", "/nowhere")];
    let identity = bed.chosen(AuthType::EnvironmentAzidentity, &variables).await.unwrap();
    let error = bed.failure(&identity).await;
    assert_code(&error, Code::NoMethodWorked);
    for part in [
        "Environment: ",
        "Workload identity: ",
        "Azure CLI: ",
        "metadata service",
    ] {
        assert!(error.diagnosis.to_string().contains(part), "{part}: {error}");
    }
}

/// Everything that any crate here logs, at the finest level.
#[tokio::test]
async fn no_secret_password_assertion_or_token_is_logged_at_any_level() {
    use tracing_subscriber::fmt::format::FmtSpan;
    let log = akv2k8s_testbed::log::Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_writer(log.clone())
        .finish();
    // Everything runs on this thread: the runtime of this test has no other.
    let _listening = akv2k8s_testbed::log::listen(subscriber);

    let bed = Bed::start().await;
    let app = App::register(&bed);
    let canary = "KanarieGeheim7vZ2mT9wLp4RbY";
    app.handle.add_secret_with(canary, None);
    let user = bed.emulator.entra().add_user("ann@example.com", canary);
    bed.vault.grant(&user, Role::SecretsUser);
    let openssl = OpenSsl::at(bed.directory.path());
    openssl.certificate("app", &["rsa:2048"]);
    app.handle.add_certificate(&openssl.der("app"));
    openssl.pfx("app", "app.pfx", canary, &[]);
    let path = bed.path("app.pfx");
    for more in [
        &[("AZURE_CLIENT_SECRET", canary)][..],
        &[
            ("AZURE_CERTIFICATE_PATH", &path),
            ("AZURE_CERTIFICATE_PASSWORD", canary),
        ],
        &[("AZURE_USERNAME", "ann@example.com"), ("AZURE_PASSWORD", canary)],
    ] {
        let identity = bed.chosen(AuthType::Environment, &app.with(more)).await.unwrap();
        assert_eq!(bed.read(&identity).await.unwrap(), "v");
    }
    let text = log.text();
    assert!(text.len() > 1000, "the log was listened to");
    assert!(!text.contains(canary));
    // Every JSON Web Token begins with the base64 of `{"`.
    let token = text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .find(|word| word.starts_with("eyJ") && word.len() > 20);
    assert_eq!(token, None);
}
