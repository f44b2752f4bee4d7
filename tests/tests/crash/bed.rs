//! A namespace with its vault, what objects in it should have come to, and controllers that are killed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::controlplane::Namespace;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use akv2k8s_testbed::stack::Stack;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

/// For what takes well under a second on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The key each AKVS writes its value under.
pub(crate) fn key_of(akvs: &str) -> String {
    format!("{akvs}.value")
}

/// What a Secret has to be, exactly.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expected {
    /// Key and text of everything in it.
    pub(crate) data: BTreeMap<String, String>,
    /// Names of the AKVS that own it.
    pub(crate) owners: BTreeSet<String>,
}

impl Expected {
    /// A Secret that these AKVS share, each with this value.
    pub(crate) fn of(parts: &[(&str, &str)]) -> Self {
        Self {
            data: parts
                .iter()
                .map(|(akvs, value)| (key_of(akvs), (*value).to_owned()))
                .collect(),
            owners: parts.iter().map(|(akvs, _)| (*akvs).to_owned()).collect(),
        }
    }
}

/// What has to be when the AKVS `aN` writes the value of each `N` to the Secret `outN`.
pub(crate) fn outputs(values: &BTreeMap<u64, String>) -> BTreeMap<String, Expected> {
    let output = |(number, value): (&u64, &String)| {
        let akvs = format!("a{number}");
        (format!("out{number}"), Expected::of(&[(&akvs, value)]))
    };
    values.iter().map(output).collect()
}

/// Where everything takes place.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    pub(crate) namespace: Namespace,
    pub(crate) vault: VaultHandle,
    client: Client,
}

impl Bed {
    pub(crate) async fn on(stack: Stack) -> anyhow::Result<Self> {
        let namespace = stack.cluster.namespace("crash").await?;
        let (vault, client) = (stack.vault("kv1"), stack.cluster.client()?);
        Ok(Self {
            stack,
            namespace,
            vault,
            client,
        })
    }

    fn akvs(&self) -> Api<AzureKeyVaultSecret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// A secret of the vault, written long ago, so that its mark is settled; another `number` is another time.
    pub(crate) fn set(&self, object: &str, value: &str, number: usize) -> anyhow::Result<()> {
        let options = SecretOptions {
            written_at: Some(1_700_000_000 + i64::try_from(number)?),
            ..SecretOptions::default()
        };
        self.vault.set_secret(object, value, options)?;
        Ok(())
    }

    /// A secret of the vault, written now.
    pub(crate) fn set_now(&self, object: &str, value: &str) -> anyhow::Result<()> {
        self.vault.set_secret(object, value, SecretOptions::default())?;
        Ok(())
    }

    /// Creates the AKVS, or changes it: the vault object `object` goes to the Secret `secret`.
    pub(crate) async fn apply(&self, akvs: &str, object: &str, secret: &str) -> anyhow::Result<()> {
        let document = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": akvs},
            "spec": {
                "vault": {"name": "kv1", "object": {"name": object, "type": "secret"}},
                "output": {"secret": {"name": secret, "dataKey": key_of(akvs)}},
            },
        });
        let apply = PatchParams::apply("test").force();
        self.akvs().patch(akvs, &apply, &Patch::Apply(document)).await?;
        Ok(())
    }

    pub(crate) async fn delete(&self, akvs: &str) -> anyhow::Result<()> {
        self.akvs().delete(akvs, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The same; it may never have been there.
    pub(crate) async fn delete_if_there(&self, akvs: &str) -> anyhow::Result<()> {
        match self.akvs().delete(akvs, &DeleteParams::default()).await {
            Err(kube::Error::Api(refusal)) if refusal.code == 404 => Ok(()),
            answer => Ok(answer.map(drop)?),
        }
    }

    /// Waits until the Secrets whose names begin with `prefix` are exactly these, and every AKVS that owns one is Ready.
    pub(crate) async fn wait_for(&self, prefix: &str, expected: &BTreeMap<String, Expected>) -> anyhow::Result<()> {
        self.wait_long_for(PATIENCE, prefix, expected).await
    }

    /// The same with another limit.
    pub(crate) async fn wait_long_for(
        &self,
        limit: Duration,
        prefix: &str,
        expected: &BTreeMap<String, Expected>,
    ) -> anyhow::Result<()> {
        let mut last = None;
        let what = format!("the outputs of {prefix}");
        let waited = until(&what, limit, async || {
            let result = self.check(prefix, expected).await;
            let done = result.is_ok().then_some(());
            last = result.err();
            done
        })
        .await;
        match (waited, last) {
            (Ok(()), _) => Ok(()),
            (Err(timed_out), Some(last)) => Err(last.context(timed_out)),
            (Err(timed_out), None) => Err(timed_out.into()),
        }
    }

    /// The same, now.
    pub(crate) async fn check(&self, prefix: &str, expected: &BTreeMap<String, Expected>) -> anyhow::Result<()> {
        let found = self.secrets().list(&ListParams::default()).await?;
        let found = found.items.into_iter().filter(|it| it.name_any().starts_with(prefix));
        let found: BTreeMap<_, _> = found.map(|it| (it.name_any(), found_in(&it))).collect();
        ensure!(found == *expected, "found {found:#?}, expected {expected:#?}");
        for (secret, expected) in expected {
            for owner in &expected.owners {
                self.check_status(owner, secret).await?;
            }
        }
        Ok(())
    }

    async fn check_status(&self, akvs: &str, secret: &str) -> anyhow::Result<()> {
        let object = self.akvs().get(akvs).await?;
        let status = object.status.context("no status")?;
        let ready = condition::get(&status.conditions, condition::READY).context("no condition Ready")?;
        let current = status.observed_generation == object.metadata.generation;
        ensure!(current && ready.status == "True", "{akvs} is not ready: {ready:?}");
        let outputs: Vec<_> = status
            .outputs
            .iter()
            .map(|it| (it.name.as_str(), it.keys.clone()))
            .collect();
        ensure!(
            outputs == [(secret, vec![key_of(akvs)])],
            "the status of {akvs} names {outputs:?}"
        );
        Ok(())
    }
}

fn found_in(secret: &Secret) -> Expected {
    let data = secret.data.iter().flatten();
    let owners = secret.metadata.owner_references.iter().flatten();
    Expected {
        data: data
            .map(|(key, value)| (key.clone(), String::from_utf8_lossy(&value.0).into_owned()))
            .collect(),
        owners: owners.map(|owner| owner.name.clone()).collect(),
    }
}
