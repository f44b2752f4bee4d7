//! Many objects at once, and exact counts of what the API server was asked: for tests that count and benches that measure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ListParams, ObjectMeta, PartialObjectMeta, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::timeout;

use crate::emulator::{SecretOptions, VaultHandle};
use crate::wait::until;

/// Requests in flight while objects are created.
const CONCURRENCY: usize = 32;

/// One AKVS: a secret of a vault, written to a Secret of its own under the key `value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Name of the AKVS and of its Secret.
    pub name: String,
    /// The vault object.
    pub object: String,
}

/// `count` items `PREFIX-0`, `PREFIX-1`, … each with a vault object of its own name.
pub fn items(prefix: &str, count: usize) -> Vec<Item> {
    let item = |n| {
        let name = format!("{prefix}-{n}");
        Item {
            object: name.clone(),
            name,
        }
    };
    (0..count).map(item).collect()
}

/// Gives the vault a secret for each item, written an hour ago, so that its change mark is settled.
pub fn fill(vault: &VaultHandle, items: &[Item], now: i64) -> anyhow::Result<()> {
    for item in items {
        let options = SecretOptions {
            written_at: Some(now - 3600),
            ..SecretOptions::default()
        };
        vault.set_secret(&item.object, &format!("value of {}", item.object), options)?;
    }
    Ok(())
}

/// Makes a namespace that a bench or a count has for itself.
pub async fn namespace(client: &Client, name: &str) -> anyhow::Result<()> {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    };
    let namespace = Namespace {
        metadata,
        ..Namespace::default()
    };
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await?;
    Ok(())
}

/// Creates an AKVS for each item, many at a time.
pub async fn create(client: &Client, namespace: &str, vault: &str, items: &[Item]) -> anyhow::Result<()> {
    let api: Api<AzureKeyVaultSecret> = Api::namespaced(client.clone(), namespace);
    let create = |item: &Item| {
        let api = api.clone();
        let object = serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1",
            "kind": "AzureKeyVaultSecret",
            "metadata": {"name": item.name},
            "spec": {
                "vault": {"name": vault, "object": {"name": item.object, "type": "secret"}},
                "output": {"secret": {"name": item.name, "dataKey": "value"}},
            },
        }));
        async move {
            api.create(&PostParams::default(), &object?).await?;
            anyhow::Ok(())
        }
    };
    stream::iter(items.iter().map(create))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// Waits until `count` Secrets are there. Watches their metadata: lists would cost the API server more than what is measured.
pub async fn secrets(client: &Client, namespace: &str, count: usize, limit: Duration) -> anyhow::Result<()> {
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), namespace);
    let mut names = BTreeSet::new();
    let all_there = async {
        let mut seen = pin!(
            watcher(api, watcher::Config::default())
                .default_backoff()
                .applied_objects()
        );
        while names.len() < count {
            let secret = seen.try_next().await?.context("the watch ended")?;
            names.extend(secret.metadata.name);
        }
        anyhow::Ok(())
    };
    timeout(limit, all_there)
        .await
        .with_context(|| format!("waited {limit:?} for {count} Secrets in {namespace}, in vain"))?
}

/// Waits until every AKVS of the namespace is Ready with a settled change mark in its status.
pub async fn settled(client: &Client, namespace: &str, count: usize, limit: Duration) -> anyhow::Result<()> {
    let api: Api<AzureKeyVaultSecret> = Api::namespaced(client.clone(), namespace);
    let cached = ListParams::default().match_any();
    let there = async || {
        let objects = api.list(&cached).await.ok()?.items;
        let done =
            |akvs: &&AzureKeyVaultSecret| akvs.status.as_ref().is_some_and(|status| status.fingerprint.is_some());
        (objects.iter().filter(done).count() >= count).then_some(())
    };
    Ok(until(&format!("{count} AKVS in {namespace} with a change mark"), limit, there).await?)
}

/// Writes the API server was asked for, by resource; leases are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writes(BTreeMap<String, u64>);

impl Writes {
    /// Reads the API server's own counters.
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        let request = hyper::Request::get("/metrics")
            .body(Vec::new())
            .context("the path is valid")?;
        let text = client.request_text(request).await?;
        let mut counts = BTreeMap::new();
        for line in text.lines().filter(|line| line.starts_with("apiserver_request_total{")) {
            let label = |name: &str| {
                let after = line.split_once(&format!("{name}=\""))?.1;
                Some(after.split_once('"')?.0)
            };
            let writes = matches!(
                label("verb"),
                Some("POST" | "PUT" | "PATCH" | "APPLY" | "DELETE" | "DELETECOLLECTION")
            );
            let counted = ["azurekeyvaultsecrets", "secrets", "configmaps", "events"];
            let resource = label("resource").unwrap_or_default();
            if !writes || !counted.contains(&resource) {
                continue;
            }
            let subresource = label("subresource").unwrap_or_default();
            let count: f64 = line
                .rsplit_once(' ')
                .and_then(|(_, count)| count.parse().ok())
                .unwrap_or_default();
            let name = if subresource.is_empty() {
                resource.to_owned()
            } else {
                format!("{resource}/{subresource}")
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a counter of requests"
            )]
            let count = count as u64;
            *counts.entry(name).or_default() += count;
        }
        Ok(Self(counts))
    }

    /// What was written since `before`; resources without a write are left out.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let grown = |(name, count): (&String, &u64)| {
            let more = count - before.0.get(name).copied().unwrap_or_default();
            (more > 0).then(|| (name.clone(), more))
        };
        Self(self.0.iter().filter_map(grown).collect())
    }

    /// Writes to one resource, such as `secrets` or `azurekeyvaultsecrets/status`.
    pub fn of(&self, resource: &str) -> u64 {
        self.0.get(resource).copied().unwrap_or_default()
    }

    /// All writes.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<_> = self.0.iter().map(|(name, count)| format!("{count} {name}")).collect();
        f.write_str(if rows.is_empty() { "none" } else { "" })?;
        f.write_str(&rows.join(", "))
    }
}
