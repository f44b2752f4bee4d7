//! Two things wrong at once: the first cause is told, and once it is repaired, the second.

use akv2k8s_shared::diagnosis::{AUDIENCE, Code};
use akv2k8s_testbed::emulator::{Firewall, Kind, Policy};
use anyhow::{Context, ensure};
use futures::{StreamExt, stream};

use crate::all_well;
use crate::rows::{Step, assigned, federated, variable, with_secret, with_token};
use crate::world::World;

const STRANGER: &str = "22222222-2222-2222-2222-222222222222";

/// Both faults, the code of the first cause, its repair, and the code that is told then.
type Case = (Step, Code, Step, Code);

#[rustfmt::skip]
const CASES: &[Case] = &[
    (|w| { revoke(w); w.application(&[("AZURE_CLIENT_SECRET", "wrong")]) }, Code::ClientSecretInvalid, with_secret, Code::ForbiddenByRbac),
    (|w| w.with_token(&w.unsigned("https://kubernetes.default.svc", "api://other", 0)), Code::OidcIssuerNotEnabled, |w| w.with_token(&w.elsewhere), Code::FederatedAudienceWrong),
    (|w| { federated(w, "https://other.example/", &w.subject.clone(), AUDIENCE); w.with_token(&w.elsewhere) }, Code::FederatedAudienceWrong, with_token, Code::FederatedIssuerMismatch),
    (|w| { federated(w, "https://other.example/", &w.subject.clone(), AUDIENCE); w.with_token(&w.unsigned(&w.issuer, AUDIENCE, 7200)) }, Code::AssertionOutsideValidity, with_token, Code::FederatedIssuerMismatch),
    (|w| { revoke(w); w.with_token("") }, Code::TokenFileUnreadable, with_token, Code::ForbiddenByRbac),
    (|w| { w.app.remove_federated_credentials(); let mut it = with_token(w); it.retain(|(name, _)| name != "AZURE_CLIENT_ID"); it }, Code::WorkloadIdentityIncomplete, with_token, Code::NoFederatedCredential),
    (|w| w.application(&[("AZURE_TENANT_ID", STRANGER), ("AZURE_CLIENT_SECRET", STRANGER)]), Code::TenantNotFound, |w| w.application(&[("AZURE_CLIENT_SECRET", STRANGER)]), Code::ClientSecretIsId),
    (|w| [w.application(&[("AZURE_CLIENT_SECRET", "wrong")]), vec![variable("AZURE_ENVIRONMENT_FILEPATH", "/nowhere.json")]].concat(), Code::CloudUnknown, |w| w.application(&[("AZURE_CLIENT_SECRET", "wrong")]), Code::ClientSecretInvalid),
    (|w| { w.app.remove_federated_credentials(); [with_token(w), vec![variable("AZURE_CLIENT_SECRET", "wrong")]].concat() }, Code::SecretShadowsWorkloadIdentity, with_token, Code::NoFederatedCredential),
    (|w| { revoke(w); w.vault.set_firewall(Some(Firewall::SelectedNetworks)); with_secret(w) }, Code::ForbiddenByFirewall, |w| { w.vault.set_firewall(None); with_secret(w) }, Code::ForbiddenByRbac),
    (|w| { w.vault.set_policy(w.app.principal(), Policy::default()); w.vault.delete(Kind::Secret, "s").expect("it is there"); with_secret(w) }, Code::ForbiddenByPolicy, |w| { w.vault.grant(w.app.principal(), akv2k8s_testbed::emulator::Role::SecretsUser); with_secret(w) }, Code::ObjectNotFound),
    (|w| { w.emulator.imds().assign_user_identity(); assigned(w) }, Code::ImdsAmbiguousIdentity, |w| vec![variable("AZURE_CLIENT_ID", &w.emulator.imds().assign_user_identity().client_id)], Code::ForbiddenByRbac),
];

fn revoke(world: &World) {
    world.vault.revoke(world.app.principal());
}

async fn play((breaks, first, repair, second): &Case) -> anyhow::Result<()> {
    let mut world = World::new().await?;
    for (step, code) in [(breaks, first), (repair, second)] {
        let variables = step(&mut world);
        let told = world.read(&variables).await.err().context("it was read all the same")?;
        ensure!(told.code == *code, "not {code}: {told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_faults_the_first_cause_is_told() -> anyhow::Result<()> {
    let played =
        stream::iter(CASES).map(async |case| play(case).await.with_context(|| format!("{} and {}", case.1, case.3)));
    let results: Vec<_> = played.buffer_unordered(8).collect().await;
    let well = results.iter().filter(|it| it.is_ok()).count();
    println!("first cause told: {well} of {} compound cases", CASES.len());
    all_well(results)?;
    ensure!(CASES.len() >= 10, "ten are promised");
    Ok(())
}
