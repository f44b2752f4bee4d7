//! Set-ups that are well, if unusual: nothing is found wrong with any of them.

use akv2k8s_shared::diagnosis::{AUDIENCE, mistaken_secret};
use akv2k8s_shared::reference::ObjectKind;
use akv2k8s_testbed::emulator::{FederatedCredential, Policy, Role, SecretOptions};
use anyhow::{Context, ensure};
use futures::{StreamExt, stream};

use crate::rows::{Step, assigned, variable, with_secret, with_token};
use crate::world::{Variables, World, findings_of_token, object};

#[rustfmt::skip]
const SET_UPS: &[(&str, Step)] = &[
    ("a client secret", with_secret),
    ("workload identity", with_token),
    ("the node's only identity", assigned),
    ("the node's system-assigned identity", |w| { let it = w.emulator.imds().assign_system_identity(); w.vault.grant(&it, Role::SecretsUser); Vec::new() }),
    ("a system-assigned identity beside others", |w| { let it = w.emulator.imds().assign_system_identity(); w.vault.grant(&it, Role::SecretsUser); assigned(w) }),
    ("one of several identities, named", |w| { assigned(w); vec![variable("AZURE_CLIENT_ID", &w.assign().client_id)] }),
    ("access policies in place of roles", |w| { w.vault.set_policy(w.app.principal(), Policy { secrets: vec!["get".to_owned()], ..Policy::default() }); with_secret(w) }),
    ("a secret with an end that is not near", |w| { w.app.add_secret_with("later", Some(w.emulator.clock().now() + 3600)); w.application(&[("AZURE_CLIENT_SECRET", "later")]) }),
    ("a secret of 44 characters that is base64 of random bytes", |w| secret(w, "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=")),
    ("a secret with quotes inside", |w| secret(w, "a'b\"c~1234567890")),
    ("a secret with hyphens that is no GUID", |w| secret(w, "86be4c01-505b-45e9-bfc0-9b825fd84")),
    ("a line end after the token", |w| w.with_token(&format!("{}\n", w.token))),
    ("a blank after the client id", |w| { let id = format!("{} ", w.app.client_id()); w.application(&[("AZURE_CLIENT_ID", &id), ("AZURE_CLIENT_SECRET", &w.secret)]) }),
    ("an empty client secret beside workload identity", |w| [with_token(w), vec![variable("AZURE_CLIENT_SECRET", "")]].concat()),
    ("several federated credentials", |w| { w.app.add_federated_credential(FederatedCredential::service_account("https://other.example/", "a", "b")); with_token(w) }),
    ("a federated credential of two audiences", two_audiences),
    ("a certificate, public part", |w| { w.object = object(ObjectKind::Certificate, "c"); with_secret(w) }),
    ("a certificate with its key", |w| { w.object = object(ObjectKind::CertificateWithKey, "c"); with_secret(w) }),
    ("a secret without a value", |w| { w.vault.set_secret("s", "", SecretOptions::default()).expect("it can be written"); with_secret(w) }),
    ("an object named in other letters", |w| { w.object = object(ObjectKind::Secret, "S"); with_secret(w) }),
    ("a subscription and a region that nobody reads", |w| [with_secret(w), vec![variable("AZURE_SUBSCRIPTION_ID", "x"), variable("AZURE_REGION", "y")]].concat()),
];

fn secret(world: &mut World, value: &str) -> Variables {
    world.app.add_secret_with(value, None);
    assert_eq!(mistaken_secret(value), None, "{value}");
    world.application(&[("AZURE_CLIENT_SECRET", value)])
}

fn two_audiences(world: &mut World) -> Variables {
    world.app.remove_federated_credentials();
    world.app.add_federated_credential(FederatedCredential {
        issuer: world.issuer.clone(),
        subject: world.subject.clone(),
        audiences: vec!["api://other".to_owned(), AUDIENCE.to_owned()],
    });
    with_token(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_wrong_with_what_is_well() -> anyhow::Result<()> {
    let played = stream::iter(SET_UPS).map(async |(name, step)| {
        let mut world = World::new().await?;
        let variables = step(&mut world);
        let read = world.read(&variables).await;
        let mut findings: Vec<_> = read.err().into_iter().collect();
        findings.extend(findings_of_token(&world.token));
        ensure!(findings.is_empty(), "{name}: {findings:?}");
        Ok(())
    });
    let results: Vec<anyhow::Result<()>> = played.buffer_unordered(8).collect().await;
    let well = results.iter().filter(|it| it.is_ok()).count();
    println!("no finding: {well} of {} healthy set-ups", SET_UPS.len());
    results
        .into_iter()
        .collect::<anyhow::Result<Vec<_>>>()
        .context("a healthy set-up")?;
    ensure!(SET_UPS.len() >= 20, "twenty are promised");
    Ok(())
}
