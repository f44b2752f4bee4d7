//! Vault grants count for the broker too.

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;

use crate::bed::{Bed, Wish};

const DB: &str = "db@azurekeyvault";

#[tokio::test]
async fn what_no_rule_allows_is_refused_until_a_rule_allows_it() {
    let mut path = None;
    let bed = Bed::with("grants", |stage| {
        let file = stage.files().join("grants.yaml");
        std::fs::write(&file, "grants: [{namespaces: [nobody], vaults: [kv1]}]\n").unwrap();
        path = Some(file.clone());
        Wish {
            grants: Some(file),
            ..Wish::default()
        }
    });
    let bed = bed.await.unwrap();
    bed.stage
        .vault("kv1")
        .set_secret("db", "s3cret", SecretOptions::default())
        .unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_eq!(answer.denial(), (403, "VaultNotGranted".to_owned()));
    assert_eq!(bed.asked().total(), 0, "nobody was to be asked");

    let rules =
        "grants: [{namespaceSelector: {matchLabels: {azure-key-vault-env-injection: enabled}}, vaults: [kv1]}]\n";
    std::fs::write(path.unwrap(), rules).unwrap();
    let granted = async || (bed.ask(&token, &[DB]).await.ok()?.status == 200).then_some(());
    until("the new rule to count", PATIENCE, granted).await.unwrap();
}
