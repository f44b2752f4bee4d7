//! An env injector of some namespaces, with rights in those alone.

use anyhow::ensure;
use serde_json::json;

use crate::bed::{Bed, Others, WRAPPER, app, labelled, pod};

#[tokio::test(flavor = "multi_thread")]
async fn of_four_namespaces_one_is_served_with_rights_in_it_alone_and_the_others_are_told_why() -> anyhow::Result<()> {
    let (_, without_rights) = labelled("norights").await?;
    let (_, elsewhere) = labelled("elsewhere").await?;
    let others = Others {
        listed: &[without_rights.name(), "not-there-yet"],
        called_for: &[without_rights.name(), elsewhere.name()],
    };
    // That it runs says that the namespace it may not read does not hold it up.
    let bed = Bed::with("listed", &[], Some(others)).await?;
    ensure!(bed.get("/readyz").await?.contains("200 OK"));
    bed.apply_akvs("db", "secret").await?;
    let asking = pod("asking", &json!([app("db@azurekeyvault")]));
    let (created, after, said) = bed.create(&asking, &[]).await?;
    ensure!(created, "{said}");
    assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]));

    let (created, _, said) = bed.create_in(elsewhere.name(), &asking).await?;
    ensure!(!created, "a pod started with a reference for a value");
    for part in ["InjectionNotEnabled", "--watch-namespaces", elsewhere.name()] {
        ensure!(said.contains(part), "{part} is not in: {said}");
    }
    let plain = pod("plain", &json!([app("a value")]));
    let mut opted_in = plain.clone();
    opted_in["metadata"]["labels"] = json!({"azure-key-vault-env-injection": "enabled"});
    let (created, _, said) = bed.create_in(elsewhere.name(), &opted_in).await?;
    ensure!(created, "it asks for nothing: {said}");
    Ok(())
}
