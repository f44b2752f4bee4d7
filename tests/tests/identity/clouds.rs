//! Clouds and tenants: whom a token is asked from, and for which tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::identity::Identity;
use akv2k8s_testbed::emulator::{Fault, FaultKind, Operation, Principal, Requests, Role};
use tokio::net::TcpListener;

use crate::bed::{Bed, assert_code};

const OTHER: &str = "99999999-9999-9999-9999-999999999999";

/// An application of two tenants with one secret; the vault is of the second one, and grants rights to both of its principals.
struct TwoTenants {
    bed: Bed,
    client_id: String,
    secret: String,
}

impl TwoTenants {
    async fn start() -> Self {
        let bed = Bed::start().await;
        let entra = bed.emulator.entra();
        let home = entra.register_app();
        let secret = home.add_secret();
        let abroad = entra.register(Principal {
            tenant_id: OTHER.to_owned(),
            object_id: "77777777-7777-7777-7777-777777777777".to_owned(),
            ..home.principal().clone()
        });
        abroad.add_secret_with(&secret, None);
        bed.vault.set_tenant(OTHER);
        bed.vault.grant(abroad.principal(), Role::SecretsUser);
        bed.vault.grant(home.principal(), Role::SecretsUser);
        Self {
            client_id: home.client_id().to_owned(),
            bed,
            secret,
        }
    }

    /// The application of the first tenant, with what the operator allows.
    async fn identity(&self, allowed: &[(&str, &str)]) -> Identity {
        let entra = self.bed.emulator.entra();
        let own = [
            ("AZURE_CLIENT_ID", self.client_id.as_str()),
            ("AZURE_TENANT_ID", entra.tenant_id()),
            ("AZURE_CLIENT_SECRET", &self.secret),
        ];
        self.bed.identity(&[&own, allowed].concat()).await
    }

    /// The paths that tokens were asked for at.
    fn asked(&self) -> Vec<String> {
        let entries = self.bed.emulator.journal().entries();
        let tokens = entries.into_iter().filter(|entry| entry.operation == Operation::Token);
        tokens.map(|entry| entry.request).collect()
    }
}

#[tokio::test]
async fn an_application_is_itself_in_the_vaults_tenant_where_that_is_allowed() {
    for (name, value) in [
        ("AZURE_ADDITIONALLY_ALLOWED_TENANTS", OTHER),
        ("AZURE_ADDITIONALLY_ALLOWED_TENANTS", "*"),
        ("AZURE_AUXILIARY_TENANT_IDS", OTHER),
    ] {
        let two = TwoTenants::start().await;
        let identity = two.identity(&[(name, value)]).await;
        match two.bed.read(&identity).await {
            Ok(read) => assert_eq!(read, "v"),
            Err(error) => panic!("{name}={value}: {error}"),
        }
        assert_eq!(two.asked(), [format!("POST /{OTHER}/oauth2/v2.0/token")]);
    }
}

/// A subscription that moves takes its vaults along, while this process knows them by their former tenant.
#[tokio::test]
async fn a_vault_that_moves_to_another_tenant_is_followed_there_and_back() {
    let two = TwoTenants::start().await;
    let entra = two.bed.emulator.entra();
    let home = entra.tenant_id();
    let identity = two.identity(&[("AZURE_ADDITIONALLY_ALLOWED_TENANTS", OTHER)]).await;
    for tenant in [OTHER, home, OTHER] {
        two.bed.vault.set_tenant(tenant);
        // A younger answer would do for both reads.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        let read = two.bed.read(&identity).await;
        assert_eq!(read.map_err(|error| error.to_string()).as_deref(), Ok("v"), "{tenant}");
    }
    let token_of = |tenant| format!("POST /{tenant}/oauth2/v2.0/token");
    assert_eq!(
        two.asked(),
        [token_of(OTHER), token_of(home)],
        "each token serves until its end"
    );
}

#[tokio::test]
async fn without_leave_it_stays_at_home_and_the_diagnosis_says_how_to_give_it() {
    let two = TwoTenants::start().await;
    for allowed in [
        &[][..],
        &[(
            "AZURE_ADDITIONALLY_ALLOWED_TENANTS",
            "88888888-8888-8888-8888-888888888888",
        )],
    ] {
        let error = two.bed.failure(&two.identity(allowed).await).await;
        assert_code(&error, Code::WrongTenant);
        assert!(error.diagnosis.cause.contains(OTHER), "{error}");
        assert!(
            error.diagnosis.fix.contains("AZURE_ADDITIONALLY_ALLOWED_TENANTS"),
            "{error}"
        );
    }
    let asked = two.asked();
    let home = format!("POST /{}/oauth2/v2.0/token", two.bed.emulator.entra().tenant_id());
    assert!(!asked.is_empty() && asked.iter().all(|path| *path == home), "{asked:?}");
}

#[tokio::test]
async fn a_managed_identity_cannot_leave_its_tenant() {
    let bed = Bed::start().await;
    let principal = bed.emulator.imds().assign_system_identity();
    bed.vault.grant(&principal, Role::SecretsUser);
    bed.emulator.entra().add_tenant(OTHER);
    bed.vault.set_tenant(OTHER);
    let error = bed.failure(&bed.identity(&[]).await).await;
    assert_code(&error, Code::WrongTenant);
    assert!(error.diagnosis.cause.contains(OTHER), "{error}");
}

/// A challenge names the address of a token endpoint, too. Whoever writes it must not choose where secrets are sent.
#[tokio::test]
async fn a_token_is_asked_for_at_the_clouds_entra_whatever_the_vault_says() {
    let two = TwoTenants::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let called = Arc::new(AtomicUsize::new(0));
    let count = called.clone();
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let audience = two.bed.emulator.vault_audience();
    let challenge = format!(r#"Bearer authorization="https://login.localhost:{port}/{OTHER}", resource="{audience}""#);
    let fault = FaultKind::Respond {
        status: 401,
        headers: [("www-authenticate".to_owned(), challenge)].into(),
        body: String::new(),
    };
    two.bed
        .emulator
        .faults()
        .add(Fault::vault("kv1", fault).requests(Requests::Unauthorized));
    let identity = two.identity(&[("AZURE_ADDITIONALLY_ALLOWED_TENANTS", OTHER)]).await;
    assert_eq!(two.bed.read(&identity).await.ok().as_deref(), Some("v"));
    assert_eq!(two.asked().len(), 1, "at the emulator's Entra");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(called.load(Ordering::SeqCst), 0, "and nowhere else");
}
