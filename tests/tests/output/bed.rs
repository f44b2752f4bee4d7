//! A namespace with AKVS objects, and the output module in front of it, without controller and vault.

use std::collections::BTreeMap;
use std::time::Duration;

use akv2k8s_controller::output::{
    self, AkvsId, Applied, Claimant, Copied, Desired, Kind, Observed, OutputMeta, OutputState, Plan, Store, Target,
};
use akv2k8s_shared::api::{self, AzureKeyVaultSecret, StatusOutput, StatusOutputKind};
use akv2k8s_shared::secret::SecretBytes;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client};
use serde_json::{Value, json};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) client: Client,
    pub(crate) namespace: Namespace,
    /// Unfed, unless a test feeds it: everything is observed live.
    pub(crate) store: Store,
}

/// An AKVS and what it remembers in its status.
pub(crate) struct Akvs {
    pub(crate) id: AkvsId,
    pub(crate) adopt: bool,
    pub(crate) recorded: Vec<StatusOutput>,
    pub(crate) copied: Copied,
}

impl Bed {
    pub(crate) async fn new(prefix: &str) -> Result<Self> {
        let cluster = ControlPlane::shared().await?;
        let client = cluster.client()?;
        install_crd(&client).await?;
        Ok(Self {
            cluster,
            namespace: cluster.namespace(prefix).await?,
            client,
            store: Store::new(),
        })
    }

    /// Creates an AKVS object. `age` orders those of one test (creation timestamps have whole seconds).
    pub(crate) async fn akvs(&self, name: &str, age: u8) -> Result<Akvs> {
        let akvs: AzureKeyVaultSecret = serde_json::from_value(json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name},
            "spec": {"vault": {"name": "vault", "object": {"name": "object", "type": "secret"}}},
        }))?;
        let created = self.akvs_api().create(&PostParams::default(), &akvs).await?.metadata;
        Ok(Akvs {
            id: AkvsId {
                namespace: self.namespace.name().to_owned(),
                name: name.to_owned(),
                uid: created.uid.context("uid")?,
                created: format!("2026-01-01T00:00:{age:02}Z").parse()?,
            },
            adopt: false,
            recorded: Vec::new(),
            copied: Copied::default(),
        })
    }

    pub(crate) fn akvs_api(&self) -> Api<AzureKeyVaultSecret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) async fn observe(&self, akvs: &Akvs, desired: &[Desired]) -> Result<Vec<Observed>> {
        let wanted: Vec<_> = desired.iter().map(|d| d.target.clone()).collect();
        Ok(output::observe(&self.client, &self.store, &akvs.id, &wanted, &akvs.recorded).await?)
    }

    /// One pass: observe, plan, apply. Remembers in the AKVS what was written, as its status would.
    pub(crate) async fn sync(&self, akvs: &mut Akvs, desired: &[Desired], siblings: &[&Akvs]) -> Result<Pass> {
        let observed = self.observe(akvs, desired).await?;
        let plan = akvs.plan(desired, &observed, siblings);
        let applied = output::apply(&self.client, &self.store, &plan).await;
        let refused = plan
            .refused
            .into_iter()
            .map(|(_, diagnosis)| format!("{diagnosis}"))
            .collect();
        for written in &applied.written {
            akvs.recorded.retain(|output| Target::from(output) != written.target);
            if !written.keys.is_empty() {
                akvs.recorded.push(StatusOutput {
                    kind: match written.target.kind {
                        Kind::Secret => StatusOutputKind::Secret,
                        Kind::ConfigMap => StatusOutputKind::ConfigMap,
                    },
                    name: written.target.name.clone(),
                    keys: written.keys.clone(),
                    uid: Some(written.uid.clone()),
                });
            }
        }
        Ok(Pass { applied, refused })
    }

    /// A pass that must do everything it wants.
    pub(crate) async fn synced(&self, akvs: &mut Akvs, desired: &[Desired]) -> Result<Vec<String>> {
        let pass = self.sync(akvs, desired, &[]).await?;
        anyhow::ensure!(pass.refused.is_empty() && pass.applied.failed.is_empty(), "{pass:?}");
        Ok(pass.changes())
    }

    pub(crate) async fn meta(&self, target: &Target) -> Result<OutputMeta> {
        let meta = match target.kind {
            Kind::Secret => self.secrets().get_metadata(&target.name).await?.metadata,
            Kind::ConfigMap => self.config_maps().get_metadata(&target.name).await?.metadata,
        };
        Ok(OutputMeta::of(&meta))
    }

    /// How Secret `db` stands.
    pub(crate) async fn state(&self, akvs: &Akvs) -> Result<OutputState> {
        let meta = self
            .secrets()
            .get_metadata_opt("db")
            .await?
            .map(|object| OutputMeta::of(&object.metadata));
        let recorded = akvs.recorded.iter().find(|output| output.name == "db");
        Ok(output::state(meta.as_ref(), &akvs.id, recorded, &akvs.copied))
    }

    /// The data of a Secret, as text.
    pub(crate) async fn data(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let data = self.secrets().get(name).await?.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| Ok((key, String::from_utf8(value.0)?)))
            .collect()
    }

    /// Creates a Secret as somebody else.
    pub(crate) async fn create_secret(&self, manager: &str, mut secret: Value) -> Result<Secret> {
        secret["apiVersion"] = json!("v1");
        secret["kind"] = json!("Secret");
        let params = PostParams {
            field_manager: Some(manager.to_owned()),
            ..PostParams::default()
        };
        Ok(self.secrets().create(&params, &serde_json::from_value(secret)?).await?)
    }

    /// Patches Secret `db` as somebody else.
    pub(crate) async fn patch_secret(&self, manager: &str, patch: Value) -> Result<Secret> {
        let params = PatchParams {
            field_manager: Some(manager.to_owned()),
            ..PatchParams::default()
        };
        Ok(self.secrets().patch("db", &params, &Patch::Merge(patch)).await?)
    }

    /// Runs kubectl in this namespace.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut all = vec!["--namespace", self.namespace.name()];
        all.extend(arguments);
        Ok(self.cluster.kubectl_with_input(&all, input).await?.success()?)
    }

    /// Waits until `store`, which somebody feeds, knows all outputs of this namespace.
    pub(crate) async fn until_synced(&self, store: &Store) -> Result<()> {
        let synced = async || store.is_synced(self.namespace.name()).then_some(());
        Ok(until("the view of outputs to be complete", LIMIT, synced).await?)
    }

    /// Waits until Secret `name` is gone.
    pub(crate) async fn gone(&self, name: &str) -> Result<()> {
        let secrets = self.secrets();
        let gone = async || secrets.get_opt(name).await.ok()?.is_none().then_some(());
        Ok(until(&format!("Secret {name} to be gone"), LIMIT, gone).await?)
    }
}

impl Akvs {
    pub(crate) fn plan<'a>(&'a self, desired: &'a [Desired], observed: &[Observed], siblings: &[&Self]) -> Plan<'a> {
        let claimant = Claimant {
            id: &self.id,
            adopt: self.adopt,
        };
        let siblings: Vec<_> = siblings.iter().map(|sibling| sibling.id.clone()).collect();
        output::plan(&claimant, desired, observed, &siblings)
    }
}

/// What one pass did.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) applied: Applied,
    pub(crate) refused: Vec<String>,
}

impl Pass {
    /// `Created Secret db`, …
    pub(crate) fn changes(&self) -> Vec<String> {
        self.applied
            .written
            .iter()
            .map(|w| format!("{:?} {}", w.change, w.target))
            .collect()
    }

    /// The code and words of the only thing that was refused or failed.
    pub(crate) fn trouble(&self) -> String {
        let failed = self.applied.failed.iter().map(ToString::to_string);
        self.refused
            .iter()
            .cloned()
            .chain(failed)
            .collect::<Vec<_>>()
            .join("; ")
    }
}

pub(crate) fn secret(name: &str) -> Target {
    Target {
        kind: Kind::Secret,
        name: name.to_owned(),
    }
}

/// What an AKVS wants of a Secret.
pub(crate) fn wants(name: &str, data: &[(&str, &str)]) -> Desired {
    Desired {
        target: secret(name),
        secret_type: None,
        data: data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), SecretBytes::from(*value)))
            .collect(),
        binary: BTreeMap::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
    }
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn install_crd(client: &Client) -> Result<()> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crd = api::crd();
    let name = "azurekeyvaultsecrets.spv.no";
    crds.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(crd))
        .await?;
    tokio::time::timeout(LIMIT, await_condition(crds, name, conditions::is_crd_established())).await??;
    Ok(())
}
