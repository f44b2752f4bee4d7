//! A status that somebody else wrote: it proves nothing.

use akv2k8s_shared::api::{StatusOutput, StatusOutputKind};
use anyhow::{Context, Result};
use serde_json::json;

use super::bed::{Bed, map, wants};

#[tokio::test]
async fn a_status_that_names_a_foreign_secret_takes_nothing_of_it_over_and_deletes_nothing() -> Result<()> {
    let bed = Bed::new("forged").await?;
    let foreign = json!({"metadata": {"name": "db"}, "stringData": {"password": "theirs"}});
    let foreign = bed.create_secret("somebody", foreign).await?;
    let mut a = bed.akvs("a", 1).await?;
    a.recorded = vec![StatusOutput {
        kind: StatusOutputKind::Secret,
        name: "db".to_owned(),
        keys: vec!["password".to_owned()],
        uid: Some(foreign.metadata.uid.context("uid")?),
    }];
    let pass = bed.sync(&mut a, &[wants("db", &[("password", "ours")])], &[]).await?;
    assert!(pass.trouble().starts_with("OutputNotOwned"), "{pass:?}");
    let pass = bed.sync(&mut a, &[wants("db", &[("another", "ours")])], &[]).await?;
    assert!(pass.trouble().starts_with("OutputNotOwned"), "{pass:?}");
    assert!(bed.synced(&mut a, &[]).await?.is_empty());
    assert_eq!(bed.data("db").await?, map(&[("password", "theirs")]));
    Ok(())
}
