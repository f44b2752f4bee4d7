//! Methods asked for by name in `AUTH_TYPE`: what works with each, and every failure that it can meet on its way to a token.
//!
//! Certificates and the Azure CLI are in `tests/identity`: they need openssl and a program in place of `az`.

use akv2k8s_shared::diagnosis::{AUDIENCE, Code};
use akv2k8s_shared::identity::AuthType;
use akv2k8s_testbed::emulator::{Fault, FaultKind, ImdsHandle, Role};
use anyhow::{Context, ensure};
use futures::{FutureExt, StreamExt, stream};

use crate::all_well;
use crate::rows::{
    ROLE, ROWS, Row, STRANGER, Step, app_service, assigned, assigned_again, imds, one_assigned, row, variable,
    with_secret, with_token,
};
use crate::world::{Variables, World};

struct Method {
    auth_type: AuthType,
    /// Set-ups that read.
    works: &'static [(&'static str, Step)],
    /// Rows of the catalogue's own table that this method can meet.
    shared: &'static [Code],
    /// Failures that are caused in another way with this method.
    own: &'static [Row],
}

#[rustfmt::skip]
const METHODS: &[Method] = &[
    Method {
        auth_type: AuthType::WorkloadIdentity,
        works: &[
            ("its variables", with_token),
            ("a client secret that is not asked for", |w| [with_token(w), vec![variable("AZURE_CLIENT_SECRET", "wrong")]].concat()),
            ("a managed identity that is not asked for", |w| { w.emulator.imds().assign_system_identity(); with_token(w) }),
        ],
        shared: &[
            Code::WorkloadIdentityIncomplete, Code::TokenFileUnreadable, Code::FederatedAudienceWrong, Code::OidcIssuerNotEnabled, Code::VariableMalformed,
            Code::ManagedIdentityNotFound, Code::AssertionOutsideValidity, Code::FederatedIssuerMismatch, Code::FederatedSubjectMismatch,
            Code::FederatedAudienceMismatch, Code::NoFederatedCredential,
        ],
        own: &[
            row(Code::WorkloadIdentityIncomplete, with_secret, &["AUTH_TYPE=workloadIdentity", "AZURE_FEDERATED_TOKEN_FILE"], "re-create the pod", with_token),
            row(Code::TokenFileUnreadable, |w| w.application(&[("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token")]), &["/nowhere/token", "No such file"], "azure.workload.identity/use=true", with_token),
            row(Code::TokenFileUnreadable, |w| w.with_token("no token"), &["{directory}/token"], "azure.workload.identity/use=true", with_token),
            row(Code::TrustStoreUnreadable, |w| [with_token(w), vec![variable("SSL_CERT_FILE", "/nowhere.pem")]].concat(), &["/nowhere.pem"], "PEM", with_token),
            row(Code::CloudUnknown, |w| [with_token(w), vec![variable("AZURE_ENVIRONMENT_FILEPATH", "/nowhere.json")]].concat(), &["/nowhere.json"], "AZURE_ENVIRONMENT", with_token),
            row(Code::TenantNotFound, |w| [with_token(w), vec![variable("AZURE_TENANT_ID", STRANGER)]].concat(), &[STRANGER], "az account show", with_token),
            row(Code::TokenRequestFailed, |w| w.with_token(&w.unsigned(&w.issuer, AUDIENCE, 0)), &["{client_id}", "signature validation"], "AADSTS code", with_token),
            row(Code::TokenRequestFailed, |w| { w.emulator.faults().add(Fault::entra(FaultKind::Reset)); with_token(w) }, &["did not answer"], "login.localhost", |w| { w.emulator.faults().lift_all(); with_token(w) }),
            row(Code::ForbiddenByRbac, |w| { w.vault.revoke(w.app.principal()); with_token(w) }, &["{client_id}", "{object_id}"], ROLE, |w| { w.vault.grant(w.app.principal(), Role::SecretsUser); with_token(w) }),
        ],
    },
    Method {
        auth_type: AuthType::ManagedIdentity,
        works: &[
            ("the only identity", assigned),
            ("the system-assigned identity beside others", |w| { let it = w.emulator.imds().assign_system_identity(); w.vault.grant(&it, Role::SecretsUser); assigned(w) }),
            ("a client id", |w| named(w, "AZURE_CLIENT_ID")),
            ("an object id", |w| named(w, "AZURE_MANAGED_IDENTITY_OBJECT_ID")),
            ("a resource id", |w| named(w, "AZURE_MANAGED_IDENTITY_RESOURCE_ID")),
            ("App Service, a client id", |w| [named(w, "AZURE_CLIENT_ID"), on_app_service(w)].concat()),
            ("App Service, an object id", |w| [named(w, "AZURE_MANAGED_IDENTITY_OBJECT_ID"), on_app_service(w)].concat()),
            ("App Service, a resource id", |w| [named(w, "AZURE_MANAGED_IDENTITY_RESOURCE_ID"), on_app_service(w)].concat()),
            ("App Service before 2019, a client id", |w| [named(w, "AZURE_CLIENT_ID"), on_old_app_service(w)].concat()),
            ("a client secret that is not asked for", |w| [assigned(w), vec![variable("AZURE_CLIENT_SECRET", "wrong")]].concat()),
        ],
        shared: &[
            Code::ImdsIdentityNotAssigned, Code::ImdsAmbiguousIdentity, Code::ImdsGateway, Code::ImdsThrottled, Code::ImdsUnreachable,
            Code::PodIdentityNotReady, Code::AppServiceIdentityMissing,
        ],
        own: &[
            row(Code::ImdsIdentityNotAssigned, |w| stranger(w, "AZURE_CLIENT_ID"), &["Identity not found", STRANGER], "az vmss identity assign", one_assigned),
            row(Code::ImdsIdentityNotAssigned, |w| stranger(w, "AZURE_MANAGED_IDENTITY_OBJECT_ID"), &["Identity not found"], "az vmss identity assign", |w| named(w, "AZURE_MANAGED_IDENTITY_OBJECT_ID")),
            row(Code::ImdsIdentityNotAssigned, |w| stranger(w, "AZURE_MANAGED_IDENTITY_RESOURCE_ID"), &["Identity not found"], "az vmss identity assign", |w| named(w, "AZURE_MANAGED_IDENTITY_RESOURCE_ID")),
            row(Code::ImdsIdentityNotAssigned, |w| [vec![variable("IDENTITY_HEADER", "wrong")], app_service(w, &["IDENTITY_ENDPOINT"]), assigned(w)].concat(), &["HTTP 403", "IDENTITY_HEADER"], "az vmss identity assign", on_app_service),
            row(Code::ImdsGateway, |w| imds(w, FaultKind::status(504, "", "")), &["proxy"], "NO_PROXY", assigned_again),
            row(Code::ImdsThrottled, |w| imds(w, FaultKind::status(410, "", "")), &["410", "updated"], "by itself|asked again", assigned_again),
            row(Code::ImdsThrottled, |w| imds(w, FaultKind::status(503, "", "")), &["503"], "by itself|asked again", assigned_again),
            row(Code::TokenRequestFailed, |w| imds(w, FaultKind::status(405, "", "")), &["405"], "169.254.169.254", assigned_again),
            row(Code::AuthMethodUnsupported, |_| vec![variable("IDENTITY_ENDPOINT", "http://localhost:40342/x"), variable("IMDS_ENDPOINT", "http://localhost:40342")], &["Arc"], "workload identity", assigned),
            row(Code::AuthMethodUnsupported, |_| vec![variable("MSI_ENDPOINT", "http://localhost:50342/x")], &["Cloud Shell"], "workload identity", assigned),
            row(Code::AuthMethodUnsupported, |w| [on_app_service(w), vec![variable("IDENTITY_SERVER_THUMBPRINT", "x")]].concat(), &["Service Fabric"], "workload identity", assigned),
            row(Code::AuthMethodUnsupported, |w| [named(w, "AZURE_MANAGED_IDENTITY_OBJECT_ID"), on_old_app_service(w)].concat(), &["client id only"], "client id", |w| [named(w, "AZURE_CLIENT_ID"), on_old_app_service(w)].concat()),
            row(Code::VariableMalformed, |_| vec![variable("AZURE_CLIENT_ID", "\"c\"")], &["variables"], "AZURE_CLIENT_ID", one_assigned),
            row(Code::TrustStoreUnreadable, |w| [assigned(w), vec![variable("SSL_CERT_FILE", "/nowhere.pem")]].concat(), &["/nowhere.pem"], "PEM", |_| Vec::new()),
            row(Code::CloudUnknown, |w| [assigned(w), vec![variable("AZURE_ENVIRONMENT_FILEPATH", "/nowhere.json")]].concat(), &["/nowhere.json"], "AZURE_ENVIRONMENT", |_| Vec::new()),
            row(Code::ForbiddenByRbac, |w| { w.emulator.imds().set_system_identity(w.app.principal().clone()); w.vault.revoke(w.app.principal()); Vec::new() }, &["{client_id}", "{object_id}"], ROLE, |w| { w.vault.grant(w.app.principal(), Role::SecretsUser); Vec::new() }),
        ],
    },
    Method {
        auth_type: AuthType::ClientSecret,
        works: &[
            ("its variables", with_secret),
            ("workload identity that is not asked for", |w| [with_token(w), with_secret(w)].concat()),
        ],
        shared: &[
            Code::TrustStoreUnreadable, Code::CloudUnknown, Code::EnvironmentIncomplete, Code::TenantNotFound, Code::AppNotFoundInTenant,
            Code::ClientSecretIsId, Code::ClientSecretEncodedTwice, Code::ClientSecretExpired, Code::ClientSecretInvalid, Code::TokenRequestFailed,
            Code::ForbiddenByRbac, Code::WrongTenant,
        ],
        own: &[
            row(Code::EnvironmentIncomplete, with_token, &["AUTH_TYPE=clientSecret", "AZURE_CLIENT_SECRET"], "Set AZURE_CLIENT_SECRET", with_secret),
            row(Code::VariableMalformed, |w| [with_secret(w), vec![variable("AZURE_TENANT_ID", "'t'")]].concat(), &["variables"], "AZURE_TENANT_ID", with_secret),
        ],
    },
];

/// Two identities, and the variable that names one of them.
fn named(world: &mut World, by: &str) -> Variables {
    world.emulator.imds().assign_user_identity();
    let one = world.assign();
    let id = match by {
        "AZURE_CLIENT_ID" => one.client_id,
        "AZURE_MANAGED_IDENTITY_OBJECT_ID" => one.object_id,
        _ => ImdsHandle::resource_id(&one),
    };
    vec![variable(by, &id)]
}

/// An identity, and the variable that names another one.
fn stranger(world: &mut World, by: &str) -> Variables {
    world.assign();
    vec![variable(by, STRANGER)]
}

fn on_app_service(world: &mut World) -> Variables {
    app_service(world, &["IDENTITY_ENDPOINT", "IDENTITY_HEADER"])
}

fn on_old_app_service(world: &mut World) -> Variables {
    let (endpoint, proof) = world.emulator.imds().app_service();
    vec![variable("MSI_ENDPOINT", &endpoint), variable("MSI_SECRET", &proof)]
}

async fn reads(auth_type: AuthType, step: Step) -> anyhow::Result<()> {
    let mut world = World::new().await?;
    world.auth_type = auth_type;
    let variables = step(&mut world);
    let read = world.read(&variables).await;
    read.map(drop).map_err(|diagnosis| anyhow::anyhow!("{diagnosis}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_asked_for_by_name_reads_and_tells_each_failure_it_can_meet() -> anyhow::Result<()> {
    let mut played = Vec::new();
    let (mut works, mut fails) = (0, 0);
    for method in METHODS {
        let (auth_type, name) = (method.auth_type, method.auth_type.as_str());
        for (what, step) in method.works {
            works += 1;
            played.push(
                async move { reads(auth_type, *step).await.with_context(|| format!("{name}: {what}")) }.boxed_local(),
            );
        }
        for code in method.shared {
            ensure!(ROWS.iter().any(|row| row.code == *code), "no row causes {code}");
        }
        let shared = ROWS.iter().filter(|row| method.shared.contains(&row.code));
        for row in shared.chain(method.own) {
            fails += 1;
            let code = row.code;
            played.push(
                async move { row.play(auth_type).await.with_context(|| format!("{name}: {code}")) }.boxed_local(),
            );
        }
    }
    let results: Vec<_> = stream::iter(played).buffer_unordered(8).collect().await;
    let well = results.iter().filter(|it| it.is_ok()).count();
    println!(
        "by AUTH_TYPE: {well} of {} ({works} set-ups that work, {fails} failures told and healed)",
        works + fails
    );
    all_well(results)
}
