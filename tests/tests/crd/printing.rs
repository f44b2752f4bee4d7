//! What `kubectl get` prints, and under which names it finds the resource.

use std::time::Duration;

use akv2k8s_shared::api::condition;
use akv2k8s_testbed::wait::until;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::Cluster;

const MANIFEST: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata:
  name: db
spec:
  vault:
    name: my-vault
    object:
      name: db-password
      type: secret
  output:
    secret:
      name: db-secret
      dataKey: password
";

/// A cluster with the AKVS `db`, whose status says that it is synced.
async fn cluster_with_synced(prefix: &str) -> anyhow::Result<Cluster> {
    let cluster = Cluster::new(prefix).await?;
    cluster.apply(MANIFEST).await?;
    let status = json!({"status": {
        "secretName": "db-secret",
        "configMapName": "db-config",
        "lastAzureUpdate": "2020-01-01T00:00:00Z",
        "objectVersion": "0123456789abcdef0123456789abcdef",
        "conditions": [{
            "type": condition::READY, "status": "True", "reason": "Synced", "message": "",
            "lastTransitionTime": "2020-01-01T00:00:00Z",
        }],
    }});
    cluster
        .api()
        .patch_status("db", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(cluster)
}

/// The cells of a table's only row; columns are as wide as their headings or cells and two blanks apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect()
}

#[tokio::test]
async fn each_version_prints_the_columns_it_always_had_and_then_ours() -> anyhow::Result<()> {
    let cluster = cluster_with_synced("columns").await?;
    let ours = ["READY", "REASON", "VERSION"];
    let before = |secret: &'static str, synched: &[&'static str]| {
        [&["NAME", "VAULT", "VAULT OBJECT", secret], synched, &["AGE"], &ours].concat()
    };
    for (resource, headings) in [
        (
            "azurekeyvaultsecrets.v1alpha1.spv.no",
            before("OUTPUT OBJECT", &["SYNCHED"]),
        ),
        ("azurekeyvaultsecrets.v1.spv.no", before("SECRET NAME", &["SYNCHED"])),
        (
            "azurekeyvaultsecrets.v2alpha1.spv.no",
            before("SECRET NAME", &["CONFIGMAP NAME", "LAST SYNCHED"]),
        ),
        (
            "azurekeyvaultsecrets.v2beta1.spv.no",
            before("SECRET NAME", &["CONFIGMAP NAME", "LAST SYNCHED"]),
        ),
    ] {
        let table = cluster.kubectl(&["get", resource]).await?;
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(cells(lines[0]), headings, "{resource}");
        let row = cells(lines[1]);
        assert_eq!(row[..4], ["db", "my-vault", "db-password", "db-secret"], "{resource}");
        assert_eq!(
            row[row.len() - 3..],
            ["True", "Synced", "0123456789abcdef0123456789abcdef"],
            "{resource}"
        );
        assert_eq!(
            row.contains(&"db-config"),
            headings.contains(&"CONFIGMAP NAME"),
            "{resource}"
        );
        assert_eq!(row.len(), headings.len(), "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_finds_it_by_every_name_and_prefers_v1() -> anyhow::Result<()> {
    let cluster = cluster_with_synced("names").await?;
    for name in [
        "akvs",
        "azurekeyvaultsecret",
        "azurekeyvaultsecrets",
        "AzureKeyVaultSecret",
    ] {
        let version = cluster
            .kubectl(&["get", name, "db", "-o", "jsonpath={.apiVersion}"])
            .await?;
        assert_eq!(version, "spv.no/v1", "{name}");
    }
    let all = cluster.kubectl(&["get", "all", "-o", "name"]).await?;
    assert_eq!(all, "azurekeyvaultsecret.spv.no/db\n");
    Ok(())
}

#[tokio::test]
async fn kubectl_explain_describes_every_field() -> anyhow::Result<()> {
    let cluster = Cluster::new("explain").await?;
    // The API server publishes the schema a moment after it serves the resource.
    let explain = async || cluster.kubectl(&["explain", "akvs", "--recursive"]).await.ok();
    let tree = until("the schema of AzureKeyVaultSecret", Duration::from_secs(30), explain).await?;
    for field in [
        "transform",
        "transforms",
        "keyFormat",
        "chainOrder",
        "configMap",
        "azureIdentity",
        "serviceAccountName",
        "fingerprint",
    ] {
        assert!(tree.contains(&format!("{field}\t<")), "{field} in {tree}");
    }
    let output = cluster.kubectl(&["explain", "akvs.spec.output.keyFormat"]).await?;
    for word in ["ENUM:", "raw", "pem", "jwk", "DESCRIPTION:"] {
        assert!(output.contains(word), "{word} in {output}");
    }
    Ok(())
}
