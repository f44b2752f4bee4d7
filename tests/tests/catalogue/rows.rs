//! The table: how each failure is caused, what must be said, and how it is repaired.

use akv2k8s_shared::diagnosis::{AUDIENCE, Code};
use akv2k8s_shared::identity::AuthType;
use akv2k8s_shared::reference::ObjectKind;
use akv2k8s_testbed::emulator::{
    CertificatePolicy, Fault, FaultKind, Firewall, Kind, Policy, Requests, Role, SecretOptions,
};
use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::{StreamExt, stream};

use crate::all_well;
use crate::world::{Variables, World, object};

/// Makes the world, and gives the variables of the program that lives in it.
pub(crate) type Step = fn(&mut World) -> Variables;

/// A row of the catalogue at work.
pub(crate) struct Row {
    pub(crate) code: Code,
    /// Breaks one thing.
    breaks: Step,
    /// What the cause or the sentence before it must name.
    says: &'static [&'static str],
    /// What the fix must have in it.
    fix: &'static str,
    /// Repairs it. The same variables mean the same program, which must recover by itself; others, that it is started anew.
    repair: Step,
}

pub(crate) const fn row(
    code: Code,
    breaks: Step,
    says: &'static [&'static str],
    fix: &'static str,
    repair: Step,
) -> Row {
    Row {
        code,
        breaks,
        says,
        fix,
        repair,
    }
}

pub(crate) const STRANGER: &str = "22222222-2222-2222-2222-222222222222";
pub(crate) const FEDERATE: &str = "--issuer '{issuer}' --subject '{subject}' --audiences 'api://AzureADTokenExchange'";
pub(crate) const ROLE: &str =
    "az role assignment create --role \"Key Vault Secrets User\" --assignee {object_id} --scope /subscriptions/";

/// One line each. The order does not matter.
#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    // Environment and files
    row(Code::TrustStoreUnreadable, |w| w.application(&[("SSL_CERT_FILE", "/nowhere.pem")]), &["/nowhere.pem"], "PEM", with_secret),
    row(Code::CloudUnknown, |w| w.application(&[("AZURE_ENVIRONMENT_FILEPATH", "/nowhere.json")]), &["/nowhere.json"], "AZURE_ENVIRONMENT", with_secret),
    row(Code::WorkloadIdentityIncomplete, |w| only(w.with_token(&w.token), "AZURE_FEDERATED_TOKEN_FILE"), &["AZURE_CLIENT_ID", "AZURE_TENANT_ID"], "re-create the pod", with_token),
    row(Code::EnvironmentIncomplete, |w| only(with_secret(w), "AZURE_CLIENT_SECRET"), &["AZURE_CLIENT_ID", "AZURE_TENANT_ID"], "Set ", with_secret),
    row(Code::TokenFileUnreadable, |w| w.with_token(""), &["{directory}/token"], "azure.workload.identity/use=true", with_token),
    row(Code::FederatedAudienceWrong, |w| w.with_token(&w.elsewhere), &["'api://other'"], AUDIENCE, with_token),
    row(Code::OidcIssuerNotEnabled, |w| w.with_token(&w.unsigned("https://kubernetes.default.svc", AUDIENCE, 0)), &["https://kubernetes.default.svc"], "--enable-oidc-issuer", with_token),
    row(Code::VariableMalformed, |w| [with_token(w), vec![variable("AZURE_TENANT_ID", "\"t\"")]].concat(), &["variables"], "AZURE_TENANT_ID", with_token),
    row(Code::SecretShadowsWorkloadIdentity, |w| [with_token(w), vec![variable("AZURE_CLIENT_SECRET", "wrong")]].concat(), &["{client_id}", "hides the workload identity"], "Remove AZURE_CLIENT_SECRET", with_token),
    // Managed identity
    row(Code::ImdsIdentityNotAssigned, |_| Vec::new(), &["Identity not found"], "az vmss identity assign", assigned),
    row(Code::ImdsAmbiguousIdentity, |w| [assigned(w), assigned(w)].concat(), &["Several"], "Set AZURE_CLIENT_ID", one_assigned),
    row(Code::ImdsGateway, |w| imds(w, FaultKind::status(502, "", "")), &["proxy"], "NO_PROXY", assigned_again),
    row(Code::ImdsThrottled, |w| imds(w, FaultKind::status(429, "", "")), &["429"], "by itself|asked again", assigned_again),
    row(Code::ImdsUnreachable, |w| w.cloud_with("imdsEndpoint", "http://127.0.0.1:1/"), &["http://127.0.0.1:1"], "workload identity", assigned),
    row(Code::PodIdentityNotReady, |w| imds(w, FaultKind::status(404, "", "no azure identity found for request clientID c")), &["aad-pod-identity"], "azureidentitybindings", assigned_again),
    row(Code::AppServiceIdentityMissing, |w| { w.assign(); app_service(w, &["IDENTITY_ENDPOINT"]) }, &["IDENTITY_HEADER"], "Assign an identity", |w| app_service(w, &["IDENTITY_ENDPOINT", "IDENTITY_HEADER"])),
    row(Code::AuthMethodUnsupported, |_| vec![variable("IDENTITY_ENDPOINT", "http://localhost:40342/x"), variable("IMDS_ENDPOINT", "http://localhost:40342")], &["Arc"], "workload identity", with_token),
    // Entra ID
    row(Code::TenantNotFound, |w| w.application(&[("AZURE_TENANT_ID", STRANGER), ("AZURE_CLIENT_SECRET", &w.secret)]), &[STRANGER], "az account show", with_secret),
    row(Code::AppNotFoundInTenant, |w| w.application(&[("AZURE_CLIENT_ID", STRANGER), ("AZURE_CLIENT_SECRET", &w.secret)]), &[STRANGER, "{tenant_id}"], STRANGER, with_secret),
    row(Code::ManagedIdentityNotFound, |w| [with_token(w), vec![variable("AZURE_CLIENT_ID", STRANGER)]].concat(), &[STRANGER, "{tenant_id}", "deleted"], STRANGER, with_token),
    row(Code::ClientSecretIsId, |w| w.application(&[("AZURE_CLIENT_SECRET", STRANGER)]), &["{client_id}", "ID"], "--id {client_id}", with_secret),
    row(Code::ClientSecretEncodedTwice, |w| w.application(&[("AZURE_CLIENT_SECRET", &BASE64_STANDARD.encode(&w.secret))]), &["{client_id}", "base64"], "--from-literal", with_secret),
    row(Code::ClientSecretExpired, expired_secret, &["{client_id}", "expired"], "--id {client_id}", with_secret),
    row(Code::ClientSecretInvalid, |w| w.application(&[("AZURE_CLIENT_SECRET", "wrong")]), &["{client_id}", "{tenant_id}"], "--id {client_id}", with_secret),
    row(Code::AssertionOutsideValidity, |w| w.with_token(&w.unsigned(&w.issuer, AUDIENCE, 7200)), &["issued at", "ends at"], "clock", with_token),
    row(Code::FederatedIssuerMismatch, |w| federated(w, "https://other.example/", &w.subject.clone(), AUDIENCE), &["issuer is '{issuer}'"], FEDERATE, well_federated),
    row(Code::FederatedSubjectMismatch, |w| federated(w, &w.issuer.clone(), "system:serviceaccount:default:web", AUDIENCE), &["subject is '{subject}'"], FEDERATE, well_federated),
    row(Code::FederatedAudienceMismatch, |w| federated(w, &w.issuer.clone(), &w.subject.clone(), "api://other"), &["'api://AzureADTokenExchange', as it should be", "{subject}"], FEDERATE, well_federated),
    row(Code::NoFederatedCredential, |w| { w.app.remove_federated_credentials(); with_token(w) }, &["{issuer}", "{subject}"], FEDERATE, well_federated),
    row(Code::TokenRequestFailed, |w| { w.emulator.faults().add(Fault::entra(FaultKind::Reset)); with_secret(w) }, &["did not answer"], "login.localhost", lifted),
    // Key Vault
    row(Code::VaultNotFound, |w| [with_secret(w), w.vaults_at("vault.invalid")].concat(), &["kv1.vault.invalid"], "az keyvault show --name kv1", with_secret),
    row(Code::VaultUnavailable, |w| fault(w, FaultKind::status(503, "ServiceUnavailable", "later")), &["HTTP 503", "later"], "tried again", lifted),
    row(Code::VaultResponseInvalid, |w| fault(w, FaultKind::MalformedJson), &["JSON"], "prox", lifted),
    row(Code::ChallengeRefused, strange_challenge, &["https://management.azure.com"], "DNS", lifted),
    row(Code::WrongAudience, |w| fault(w, FaultKind::status(401, "Unauthorized", "AKV10022: Invalid audience.")), &["clouds"], "AZURE_ENVIRONMENT", lifted),
    row(Code::WrongTenant, |w| { w.vault.set_tenant(STRANGER); with_secret(w) }, &[STRANGER, "{tenant_id}"], "AZURE_TENANT_ID", |w| { w.vault.set_tenant(w.emulator.entra().tenant_id()); with_secret(w) }),
    row(Code::Throttled, |w| fault(w, FaultKind::Throttle { retry_after: Some(1) }), &["limit"], "slows down by itself", lifted),
    row(Code::ForbiddenByFirewall, |w| { w.vault.set_firewall(Some(Firewall::SelectedNetworks)); with_secret(w) }, &["from address"], "az keyvault network-rule add --name kv1 --ip-address", |w| { w.vault.set_firewall(None); with_secret(w) }),
    row(Code::ForbiddenByRbac, |w| { w.vault.revoke(w.app.principal()); with_secret(w) }, &["{client_id}", "{object_id}", "Microsoft.KeyVault/vaults/secrets/getSecret/action"], ROLE, granted),
    row(Code::ForbiddenByPolicy, |w| { w.vault.set_policy(w.app.principal(), Policy::default()); with_secret(w) }, &["{client_id}", "{object_id}", "secrets/get"], "az keyvault set-policy --name kv1 --object-id {object_id} --secret-permissions get list", granted),
    row(Code::WrongPermissionKind, only_certificates, &["{client_id}", "secrets/get"], "\"Key Vault Certificate User\" --assignee {object_id}", granted),
    row(Code::Forbidden, |w| fault(w, FaultKind::status(403, "Forbidden", "something new")), &["something new"], "own words", lifted),
    row(Code::ObjectNotFound, |w| { w.vault.delete(Kind::Secret, "s").expect("it is there"); with_secret(w) }, &["secret 's' in vault 'kv1'"], "az keyvault secret list-deleted --vault-name kv1", |w| { w.vault.recover(Kind::Secret, "s").expect("it was deleted"); with_secret(w) }),
    row(Code::ObjectDisabled, |w| { w.vault.disable(Kind::Secret, "s").expect("it is there"); with_secret(w) }, &["secret 's' in vault 'kv1'"], "pin a version", written_anew),
    row(Code::ObjectNotYetValid, |w| fault(w, FaultKind::status(403, "SecretNotYetValid", "")), &["nbf"], "activation date", lifted),
    row(Code::ObjectExpired, |w| fault(w, FaultKind::status(403, "SecretExpired", "")), &["exp"], "expiration date", lifted),
    row(Code::NotExportable, not_exportable, &["not exportable"], "key_props.exportable", |w| { w.object = object(ObjectKind::Certificate, "n"); with_secret(w) }),
];

pub(crate) fn variable(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub(crate) fn only(mut variables: Variables, name: &str) -> Variables {
    variables.retain(|(known, _)| known == name);
    variables
}

pub(crate) fn with_secret(world: &mut World) -> Variables {
    world.with_secret()
}

pub(crate) fn with_token(world: &mut World) -> Variables {
    world.with_token(&world.token)
}

pub(crate) fn assigned(world: &mut World) -> Variables {
    world.assign();
    Vec::new()
}

/// The variables of App Service, as far as they are named.
pub(crate) fn app_service(world: &mut World, names: &[&str]) -> Variables {
    let (endpoint, header) = world.emulator.imds().app_service();
    let all = [
        variable("IDENTITY_ENDPOINT", &endpoint),
        variable("IDENTITY_HEADER", &header),
    ];
    all.into_iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .collect()
}

pub(crate) fn one_assigned(world: &mut World) -> Variables {
    vec![variable("AZURE_CLIENT_ID", &world.assign().client_id)]
}

pub(crate) fn imds(world: &mut World, kind: FaultKind) -> Variables {
    world.emulator.faults().add(Fault::imds(kind));
    assigned(world)
}

pub(crate) fn assigned_again(world: &mut World) -> Variables {
    world.emulator.faults().lift_all();
    Vec::new()
}

pub(crate) fn fault(world: &mut World, kind: FaultKind) -> Variables {
    world.emulator.faults().add(Fault::vault("kv1", kind));
    world.with_secret()
}

fn strange_challenge(world: &mut World) -> Variables {
    let challenge = "Bearer authorization=\"https://login.localhost/t\", resource=\"https://management.azure.com\"";
    let kind = FaultKind::Respond {
        status: 401,
        headers: [("www-authenticate".to_owned(), challenge.to_owned())].into(),
        body: String::new(),
    };
    let fault = Fault::vault("kv1", kind).requests(Requests::Unauthorized);
    world.emulator.faults().add(fault);
    world.with_secret()
}

fn lifted(world: &mut World) -> Variables {
    world.emulator.faults().lift_all();
    world.with_secret()
}

fn expired_secret(world: &mut World) -> Variables {
    world
        .app
        .add_secret_with("old", Some(world.emulator.clock().now() - 10));
    world.application(&[("AZURE_CLIENT_SECRET", "old")])
}

pub(crate) fn federated(world: &mut World, issuer: &str, subject: &str, audience: &str) -> Variables {
    world.federate(issuer, subject, audience);
    with_token(world)
}

fn well_federated(world: &mut World) -> Variables {
    world.federate_well();
    with_token(world)
}

fn granted(world: &mut World) -> Variables {
    world.vault.grant(world.app.principal(), Role::SecretsUser);
    world.vault.grant(world.app.principal(), Role::CertificateUser);
    world.with_secret()
}

fn only_certificates(world: &mut World) -> Variables {
    world.object = object(ObjectKind::CertificateWithKey, "c");
    let policy = Policy {
        certificates: vec!["get".to_owned()],
        ..Policy::default()
    };
    world.vault.set_policy(world.app.principal(), policy);
    world.with_secret()
}

fn written_anew(world: &mut World) -> Variables {
    let written = world.vault.set_secret("s", "new", SecretOptions::default());
    written.expect("a secret can be written");
    world.with_secret()
}

fn not_exportable(world: &mut World) -> Variables {
    let mut policy = CertificatePolicy::default();
    policy.key_props.kty = "EC".into();
    policy.key_props.crv = Some("P-256".into());
    policy.key_props.exportable = false;
    policy.x509_props.subject = "CN=app.example".into();
    world
        .vault
        .create_certificate("n", &policy)
        .expect("a certificate can be made");
    world.object = object(ObjectKind::CertificateWithKey, "n");
    world.with_secret()
}

/// Whether Entra or the vault itself answers so, and therefore says under which id.
fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::ClientSecretInvalid
            | Code::NoFederatedCredential
            | Code::ForbiddenByRbac
            | Code::ForbiddenByPolicy
            | Code::ObjectNotFound
    )
}

impl Row {
    /// Breaks, reads, compares, repairs, reads, in a world of its own.
    pub(crate) async fn play(&self, auth_type: AuthType) -> anyhow::Result<()> {
        let mut world = World::new().await?;
        world.auth_type = auth_type;
        let variables = (self.breaks)(&mut world);
        let started = world.start(&variables);
        let outcome = match &started {
            Ok(program) => program.read(&world.object).await,
            Err(diagnosis) => Err(diagnosis.clone()),
        };
        let Err(told) = outcome else {
            anyhow::bail!("it was read all the same")
        };
        ensure!(told.code == self.code, "{told}");
        let traced = told
            .trace
            .as_ref()
            .is_some_and(|trace| trace.request_id.is_some() && trace.timestamp.is_some());
        ensure!(
            traced || !is_refusal(self.code),
            "nothing to find the request by: {:?}",
            told.trace
        );
        let reason = format!("{} {}", told.what, told.cause);
        for name in self.says {
            let name = world.named(name);
            ensure!(reason.contains(&name), "{reason:?} does not name {name:?}");
        }
        let mut fixes = self.fix.split('|').map(|fix| world.named(fix));
        ensure!(
            fixes.any(|fix| told.fix.contains(&fix)),
            "{:?} lacks {:?}",
            told.fix,
            world.named(self.fix)
        );
        for text in [&*told.what, &*told.cause, &*told.fix] {
            ensure!(
                !text.contains(['{', '}', '\n']) && !text.contains(&world.secret),
                "{text:?}"
            );
        }
        let repaired = (self.repair)(&mut world);
        match started {
            Ok(program) if repaired == variables => program.heals(&world.object).await,
            _ => world.start(&repaired)?.heals(&world.object).await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_told_by_its_code_with_names_and_fix_and_heals() -> anyhow::Result<()> {
    let played = stream::iter(ROWS).map(async |row| {
        row.play(AuthType::Environment)
            .await
            .with_context(|| row.code.to_string())
    });
    let results: Vec<_> = played.buffer_unordered(8).collect().await;
    let (recognised, all) = (results.iter().filter(|it| it.is_ok()).count(), ROWS.len());
    println!("recognised and healed: {recognised} of {all} rows caused here");
    all_well(results)
}
