//! kubectl writes through `v1` when no version is named. Nothing may be lost by that.

use std::collections::BTreeMap;
use std::process::Stdio;

use akv2k8s_shared::api::{
    AzureIdentity, AzureKeyVaultSecret, AzureKeyVaultSecretSpec, AzureKeyVaultSecretStatus, ChainOrder,
    ConfigMapOutput, ContentType, KeyFormat, ObjectType, Output, SecretOutput, StatusIdentity, StatusOutput,
    StatusOutputKind, Vault, VaultObject, condition,
};
use akv2k8s_testbed::provision::{Locations, Program};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::process::Command;

use super::{Cluster, VERSIONS};

/// Every field there is. No `..Default::default()`: a new field must be added here to compile.
fn full_spec() -> AzureKeyVaultSecretSpec {
    AzureKeyVaultSecretSpec {
        vault: Vault {
            name: "My-Vault".to_owned(),
            azure_identity: Some(AzureIdentity {
                name: "someone".to_owned(),
            }),
            service_account_name: Some("vault-reader".to_owned()),
            object: VaultObject {
                name: "settings".to_owned(),
                object_type: ObjectType::MultiKeyValueSecret,
                version: Some("0123456789abcdef0123456789abcdef".to_owned()),
                content_type: Some(ContentType::Yaml),
            },
        },
        output: Some(Output {
            transform: vec!["trim".to_owned()],
            transforms: vec!["trim".to_owned(), "base64decode".to_owned()],
            key_format: Some(KeyFormat::Jwk),
            secret: Some(SecretOutput {
                name: "settings".to_owned(),
                secret_type: Some("Opaque".to_owned()),
                data_key: Some("settings.yaml".to_owned()),
                chain_order: Some(ChainOrder::EnsureServerFirst),
            }),
            config_map: Some(ConfigMapOutput {
                name: "settings".to_owned(),
                data_key: "settings.yaml".to_owned(),
            }),
        }),
    }
}

fn full_status() -> AzureKeyVaultSecretStatus {
    let time = || Time(Timestamp::from_second(1_700_000_000).unwrap());
    AzureKeyVaultSecretStatus {
        conditions: vec![
            condition::new(condition::READY, false, "Throttled", "429", Some(1), time()),
            condition::new(condition::RECONCILING, true, "Throttled", "429", Some(1), time()),
        ],
        observed_generation: Some(1),
        outputs: vec![
            StatusOutput {
                kind: StatusOutputKind::Secret,
                name: "settings".to_owned(),
                keys: vec!["a".to_owned(), "b".to_owned()],
                uid: Some("6f9619ff-8b86-d011-b42d-00cf4fc964ff".to_owned()),
            },
            StatusOutput {
                kind: StatusOutputKind::ConfigMap,
                name: "settings".to_owned(),
                keys: vec!["a".to_owned()],
                uid: None,
            },
        ],
        object_version: Some("0123456789abcdef0123456789abcdef".to_owned()),
        fingerprint: Some("u1700000000".to_owned()),
        expires: Some(time()),
        not_before: Some(time()),
        identity: Some(StatusIdentity {
            method: "workloadIdentity".to_owned(),
            client_id: Some("11111111-2222-3333-4444-555555555555".to_owned()),
            tenant_id: Some("99999999-8888-7777-6666-555555555555".to_owned()),
            subject: Some("system:serviceaccount:team:vault-reader".to_owned()),
        }),
        secret_name: Some("settings".to_owned()),
        secret_hash: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        config_map_name: Some("settings".to_owned()),
        config_map_hash: Some("d41d8cd98f00b204e9800998ecf8427e".to_owned()),
        last_azure_update: Some(time()),
    }
}

/// A cluster with the AKVS `full`.
async fn cluster_with_full(prefix: &str) -> anyhow::Result<Cluster> {
    let cluster = Cluster::new(prefix).await?;
    let akvs = AzureKeyVaultSecret::new("full", full_spec());
    cluster.api().create(&PostParams::default(), &akvs).await?;
    let status = json!({"status": full_status()});
    cluster
        .api()
        .patch_status("full", &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    Ok(cluster)
}

/// Asserts that the stored object has every field still, and its labels.
async fn assert_complete(cluster: &Cluster, after: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let stored = cluster.api().get("full").await?;
    assert_eq!(stored.spec, full_spec(), "after {after}");
    assert_eq!(stored.status, Some(full_status()), "after {after}");
    Ok(stored.labels().clone())
}

#[tokio::test]
async fn kubectl_label_annotate_patch_and_apply_lose_nothing_in_any_version() -> anyhow::Result<()> {
    let cluster = cluster_with_full("writes").await?;
    let unversioned = "azurekeyvaultsecrets".to_owned();
    let versioned = VERSIONS.map(|version| format!("azurekeyvaultsecrets.{version}.spv.no"));
    for (number, resource) in [unversioned].iter().chain(&versioned).enumerate() {
        let label = format!("number={number}");
        cluster
            .kubectl(&["label", "--overwrite", resource, "full", &label])
            .await?;
        let labels = assert_complete(&cluster, &format!("label of {resource}")).await?;
        assert_eq!(labels["number"], number.to_string());

        cluster
            .kubectl(&["annotate", "--overwrite", resource, "full", &label])
            .await?;
        assert_complete(&cluster, &format!("annotate of {resource}")).await?;

        let patch = format!(r#"{{"metadata":{{"labels":{{"patched":"{number}"}}}}}}"#);
        cluster
            .kubectl(&["patch", resource, "full", "--type", "merge", "--patch", &patch])
            .await?;
        let labels = assert_complete(&cluster, &format!("patch of {resource}")).await?;
        assert_eq!(labels["patched"], number.to_string());

        let manifest = cluster.kubectl(&["get", resource, "full", "-o", "yaml"]).await?;
        let manifest = manifest.replace(&format!("patched: \"{number}\""), &format!("patched: applied-{number}"));
        cluster.apply(&manifest).await?;
        let labels = assert_complete(&cluster, &format!("apply of {resource}")).await?;
        assert_eq!(labels["patched"], format!("applied-{number}"));
    }
    Ok(())
}

#[tokio::test]
async fn kubectl_edit_and_replace_lose_nothing() -> anyhow::Result<()> {
    let cluster = cluster_with_full("edit").await?;
    cluster.kubectl(&["label", "akvs", "full", "edited=not-yet"]).await?;
    let edit = Command::new(Locations::from_env().find(Program::Kubectl)?)
        .args(["--namespace", cluster.namespace.name(), "edit", "akvs", "full"])
        .env("KUBECONFIG", cluster.control_plane.kubeconfig())
        .env("KUBE_EDITOR", "sed -i s/not-yet/done/")
        .stdin(Stdio::null())
        .output()
        .await?;
    assert!(edit.status.success(), "{}", String::from_utf8_lossy(&edit.stderr));
    let labels = assert_complete(&cluster, "edit").await?;
    assert_eq!(labels["edited"], "done");

    let manifest = cluster.kubectl(&["get", "akvs", "full", "-o", "json"]).await?;
    let replaced = manifest.replace(r#""edited": "done""#, r#""edited": "again""#);
    let arguments = ["--namespace", cluster.namespace.name(), "replace", "-f", "-"];
    cluster
        .control_plane
        .kubectl_with_input(&arguments, &replaced)
        .await?
        .success()?;
    let labels = assert_complete(&cluster, "replace").await?;
    assert_eq!(labels["edited"], "again");
    Ok(())
}

#[tokio::test]
async fn kubectl_wait_for_ready_ends_when_the_condition_is_written() -> anyhow::Result<()> {
    let cluster = cluster_with_full("wait").await?;
    let wait = |limit: &'static str| {
        let cluster = &cluster;
        async move {
            cluster
                .kubectl(&["wait", "--for=condition=Ready", "akvs/full", limit])
                .await
        }
    };
    let in_vain = wait("--timeout=1s").await;
    assert!(in_vain.is_err_and(|error| error.to_string().contains("timed out waiting")));

    let ready = async {
        let ready = condition::new(
            condition::READY,
            true,
            "Synced",
            "",
            Some(1),
            Time(Timestamp::UNIX_EPOCH),
        );
        let status = json!({"status": {"conditions": [ready]}});
        cluster
            .api()
            .patch_status("full", &PatchParams::default(), &Patch::Merge(&status))
            .await
    };
    let (waited, written) = tokio::join!(wait("--timeout=30s"), ready);
    written?;
    assert_eq!(waited?, "azurekeyvaultsecret.spv.no/full condition met\n");
    Ok(())
}

#[tokio::test]
async fn a_status_cannot_be_written_with_the_spec_nor_the_spec_with_the_status() -> anyhow::Result<()> {
    let cluster = cluster_with_full("subresource").await?;
    let both = json!({"spec": {"vault": {"name": "other-vault"}}, "status": {"fingerprint": "other"}});
    cluster
        .api()
        .patch_status("full", &PatchParams::default(), &Patch::Merge(&both))
        .await?;
    let stored = cluster.api().get("full").await?;
    assert_eq!(
        (stored.spec, stored.status.and_then(|it| it.fingerprint)),
        (full_spec(), Some("other".to_owned()))
    );

    cluster
        .api()
        .patch("full", &PatchParams::default(), &Patch::Merge(&both))
        .await?;
    let stored = cluster.api().get("full").await?;
    assert_eq!(stored.spec.vault.name, "other-vault");
    assert_eq!(
        stored.metadata.generation,
        Some(2),
        "edits of the spec count, writes of the status do not"
    );
    Ok(())
}
