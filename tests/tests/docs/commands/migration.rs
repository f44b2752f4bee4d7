//! Where applications come from: a cluster that knows the resources of others, the examples' vault, and our controller at work. The others'
//! programs do not run; what they write is written as they would.

use std::collections::BTreeMap;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::crd::install_definitions;
use akv2k8s_testbed::demo::seed;
use akv2k8s_testbed::emulator::VaultHandle;
use akv2k8s_testbed::helm::objects;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::stack::{Controller, Stack};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::shell::{ends_well, shell_of};
use crate::page::root;

/// Resources of others as far as their vaults are Azure's: an API server that knows them refuses what is no field of theirs.
const DEFINITIONS: &str = include_str!("definitions.yaml");
/// The namespace of the pages.
pub(crate) const SHOP: &str = "shop";
/// The vault that the examples name.
const VAULT: &str = "akv2k8s-demo";

/// Names and values.
pub(crate) type Data = BTreeMap<String, String>;

pub(crate) struct Bed {
    pub(crate) shell: Shell,
    pub(crate) vault: VaultHandle,
    pub(crate) stack: Stack,
    _controller: Controller,
}

impl Bed {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        install_definitions(&stack.cluster.client()?, DEFINITIONS).await?;
        let vault = stack.vault(VAULT);
        seed::fill(&vault)?;
        let shell = tokio::task::block_in_place(|| shell_of(&stack))?;
        ends_well(&shell, &format!("kubectl create namespace {SHOP}")).await?;
        let controller = stack.controller().start().await?;
        Ok(Self {
            shell,
            vault,
            stack,
            _controller: controller,
        })
    }

    /// Runs commands that are no page's.
    pub(crate) async fn run(&self, commands: &str) -> anyhow::Result<String> {
        self.shell.run(commands, |code| code == 0).await
    }

    /// Writes a Secret as somebody else's program does.
    pub(crate) async fn write_as(&self, writer: &str, secret: Value) -> anyhow::Result<Secret> {
        let parameters = PostParams {
            field_manager: Some(writer.to_owned()),
            ..PostParams::default()
        };
        let secret = serde_json::from_value(secret)?;
        Ok(self.secrets()?.create(&parameters, &secret).await?)
    }

    fn secrets(&self) -> anyhow::Result<Api<Secret>> {
        Ok(Api::namespaced(self.stack.cluster.client()?, SHOP))
    }

    /// A Secret, which has to be there.
    pub(crate) async fn secret(&self, name: &str) -> anyhow::Result<Secret> {
        Ok(self.secrets()?.get(name).await?)
    }

    /// Waits until a Secret is gone.
    pub(crate) async fn is_gone(&self, name: &str) -> anyhow::Result<()> {
        let secrets = self.secrets()?;
        let gone = async || secrets.get_opt(name).await.ok()?.is_none().then_some(());
        // The garbage collector of a cluster this young may not know its owner yet, and tries again ever more slowly.
        let went = until(&format!("Secret {name} to go"), 3 * PATIENCE, gone).await;
        if went.is_err()
            && let Ok(left) = self.secret(name).await
        {
            return went.with_context(|| format!("it is left as {:?}", left.metadata));
        }
        Ok(went?)
    }

    /// Fails if a Secret is another one, or was written, since it was looked at.
    pub(crate) async fn is_untouched(&self, before: &Secret) -> anyhow::Result<()> {
        let now = self.secret(&before.name_any()).await?;
        ensure!(
            (now.uid(), now.resource_version()) == (before.uid(), before.resource_version()),
            "it was written: {:?}",
            now.metadata
        );
        Ok(())
    }

    /// What a value of the vault is.
    pub(crate) fn value(&self, object: &str) -> anyhow::Result<String> {
        self.vault
            .secret_value(object)
            .with_context(|| format!("there is no {object}"))
    }

    /// Waits until these AzureKeyVaultSecrets have this reason.
    pub(crate) async fn become_all(&self, names: &[&str], reason: &str) -> anyhow::Result<()> {
        let api: Api<AzureKeyVaultSecret> = Api::namespaced(self.stack.cluster.client()?, SHOP);
        for name in names {
            let mut last = None;
            let what = format!("{name} to be {reason}");
            let arrived = until(&what, PATIENCE, async || {
                last = api.get(name).await.ok()?.status;
                let ready = condition::get(&last.as_ref()?.conditions, condition::READY)?;
                (ready.reason == reason).then_some(())
            });
            let arrived = arrived.await;
            arrived.with_context(|| format!("{last:?}"))?;
        }
        Ok(())
    }

    /// The owner reference to an object of the namespace, or to the first of several, once it is there.
    pub(crate) async fn owner(&self, resource: &str) -> anyhow::Result<OwnerReference> {
        let get = format!("kubectl get {resource} --namespace {SHOP} -o json");
        let owner = until(resource, PATIENCE, async || {
            let found: Value = serde_json::from_str(&self.run(&get).await.ok()?).ok()?;
            let object = found["items"].get(0).unwrap_or(&found);
            let (name, uid) = (&object["metadata"]["name"], &object["metadata"]["uid"]);
            let owner = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "name": name, "uid": uid});
            serde_json::from_value(owner).ok()
        });
        Ok(owner.await?)
    }
}

/// What is in a Secret, as text.
pub(crate) fn data(secret: &Secret) -> anyhow::Result<Data> {
    let data = secret.data.iter().flatten();
    data.map(|(key, value)| Ok((key.clone(), String::from_utf8(value.0.clone())?)))
        .collect()
}

/// A file of `examples/migration`.
pub(crate) fn example(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join("examples/migration").join(file)).with_context(|| file.to_owned())
}

/// The last object of such a file.
pub(crate) fn object(file: &str) -> anyhow::Result<Value> {
    objects(&example(file)?)?.pop().context("an object")
}

pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
