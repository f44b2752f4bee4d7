//! Where values are not.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use crate::bed::{Team, container, in_world, pod};

/// Whether a file below `folder` has these bytes.
pub(crate) fn holds(folder: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, bytes)?
        } else {
            fs::read(&path)?.windows(bytes.len()).any(|window| window == bytes)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_value_is_in_the_program_and_neither_in_etcd_nor_in_the_pod_nor_in_a_log_of_ours() -> anyhow::Result<()> {
    in_world(async |world| {
        let canary = "canary-7f3a9c51-of-the-vault";
        let team = Team::new(world, "canary", canary).await?;
        let variables = team.variables_of(&pod("app", &json!([container("app")]))).await?;
        assert_eq!(variables["DB"], canary);
        let store = world.node.cluster.store().await?;
        assert!(
            holds(&store, b"db@azurekeyvault")?,
            "the reference is there, so this is where to look"
        );
        assert!(!holds(&store, canary.as_bytes())?, "the value is in etcd");
        let everything = team
            .kubectl(&["get", "pods,events,secrets,configmaps", "-o", "json"])
            .await?;
        assert!(everything.contains("db@azurekeyvault") && !everything.contains(canary));
        let log = world.log().await;
        assert!(log.contains(team.namespace.name()), "it tells who got what: {log}");
        assert!(!log.contains(canary), "{log}");
        Ok(())
    })
}
