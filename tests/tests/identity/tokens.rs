//! How many tokens are asked for.

use std::time::Duration;

use akv2k8s_testbed::emulator::{Operation, Role, SecretOptions};

use crate::bed::Bed;

const VAULTS: u64 = 200;

/// The clock of this process is moved by `step`, and the emulator's with it.
async fn pass(bed: &Bed, step: Duration) {
    tokio::time::pause();
    tokio::time::advance(step).await;
    tokio::time::resume();
    let offset = bed.emulator.clock().offset() + i64::try_from(step.as_secs()).unwrap();
    bed.emulator.clock().set_offset(offset);
}

/// Somebody else makes the identity anew for every vault, as a controller with an identity per object does.
#[tokio::test]
async fn an_hour_of_two_hundred_vaults_costs_one_token_per_lifetime() {
    let bed = Bed::start().await;
    let app = bed.emulator.entra().register_app();
    let secret = app.add_secret();
    let vaults: Vec<_> = (0..VAULTS).map(|number| format!("kv-{number}")).collect();
    for name in &vaults {
        let vault = bed.emulator.vault(name);
        vault.grant(app.principal(), Role::SecretsUser);
        vault.set_secret("s", "v", SecretOptions::default()).unwrap();
    }
    let tenant = bed.emulator.entra().tenant_id().to_owned();
    let variables = [
        ("AZURE_CLIENT_ID", app.client_id()),
        ("AZURE_TENANT_ID", &tenant),
        ("AZURE_CLIENT_SECRET", &secret),
    ];
    let look = async || {
        let reads = vaults.iter().map(async |name| {
            let identity = bed.identity(&variables).await;
            bed.read_from(name, &identity).await
        });
        for read in futures::future::join_all(reads).await {
            assert_eq!(read.ok().as_deref(), Some("v"));
        }
    };
    look().await;
    assert_eq!(bed.emulator.journal().counts().of(Operation::Token), 1);
    for _ in 0..6 {
        pass(&bed, Duration::from_mins(10)).await;
        look().await;
    }
    let counts = bed.emulator.journal().counts();
    let refused = counts.with_status(Operation::SECRET_GET, 401);
    let (tokens, reads) = (
        counts.of(Operation::Token),
        counts.with_status(Operation::SECRET_GET, 200),
    );
    println!("{VAULTS} vaults, one identity, an hour: {reads} reads, {tokens} token requests");
    assert_eq!(reads, 7 * VAULTS);
    assert_eq!(refused, VAULTS, "the challenge of each vault, and no expired token");
    assert_eq!(tokens, 2, "one to begin with, one ahead of its end after 55 minutes");
}
