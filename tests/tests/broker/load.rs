//! What a rollout costs the vault.

use std::time::Instant;

use akv2k8s_testbed::emulator::{Operation, SecretOptions};
use futures::{StreamExt, TryStreamExt, stream};

use crate::bed::Bed;

#[tokio::test]
async fn three_hundred_pods_with_ten_references_each_cost_ten_vault_reads() {
    let bed = Bed::new("rollout").await.unwrap();
    let vault = bed.stage.vault("kv1");
    let mut references = Vec::new();
    for number in 0..10 {
        let name = format!("s{number}");
        vault
            .set_secret(&name, &format!("value {number}"), SecretOptions::default())
            .unwrap();
        bed.akvs(&name, "kv1", &name).await.unwrap();
        references.push(format!("{name}@azurekeyvault"));
    }
    let references: Vec<_> = references.iter().map(String::as_str).collect();
    let tokens: Vec<_> = stream::iter(0..300)
        .map(async |number| bed.token(&bed.pod(&format!("web-{number}")).await?).await)
        .buffer_unordered(16)
        .try_collect()
        .await
        .unwrap();
    let start = Instant::now();
    let answers: Vec<_> = stream::iter(&tokens)
        .map(async |token| bed.ask(token, &references).await)
        .buffer_unordered(50)
        .try_collect()
        .await
        .unwrap();
    println!("300 pods × 10 references: {:.1} s", start.elapsed().as_secs_f32());
    assert!(answers.iter().all(|answer| answer.values().len() == 10));
    // All values are as old as 60 s at most; a machine so busy that it takes longer reads them again.
    let minutes = start.elapsed().as_secs() / 60;
    assert!(
        bed.reads() >= 10 && bed.reads() <= 10 * (minutes + 1),
        "{} reads",
        bed.reads()
    );
    assert_eq!(bed.asked().of(Operation::Token), 1);
}
