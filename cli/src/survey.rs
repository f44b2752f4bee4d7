//! One `AzureKeyVaultSecret` beside the cluster and the vault. It reads, and decides nothing.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use akv2k8s_controller::decisions::{desired, id, wanted};
use akv2k8s_controller::output::{AkvsId, Desired, Target, copied};
use akv2k8s_shared::api::{self, AzureKeyVaultSecret, Request, StatusOutput};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::keyvault::Fetched;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::{Cluster, required_akvs};
use crate::live::Live;
use crate::vault::Vaults;

/// What is known of one.
pub(crate) struct Survey {
    /// As it shall be, with the UID and age of the one in the cluster.
    pub(crate) akvs: AzureKeyVaultSecret,
    /// As it is in the cluster.
    pub(crate) existing: Option<AzureKeyVaultSecret>,
    /// What it asks for, and what the vault says.
    pub(crate) asked: Result<Asked, Box<Diagnosis>>,
    /// Other AKVS that name one of its outputs.
    pub(crate) siblings: Vec<AkvsId>,
    /// The outputs it names, and those its status records.
    pub(crate) live: BTreeMap<Target, Seen<Live>>,
}

/// What an AKVS asks for.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) read: Result<Read, Box<Diagnosis>>,
}

/// What the vault holds, and what it becomes.
pub(crate) struct Read {
    pub(crate) fetched: Arc<Fetched>,
    pub(crate) desired: Vec<Desired>,
}

impl Survey {
    /// What the status in the cluster records.
    pub(crate) fn recorded(&self) -> &[StatusOutput] {
        let status = self.existing.as_ref().and_then(|akvs| akvs.status.as_ref());
        status.map_or(&[], |status| &status.outputs)
    }
}

/// The AKVS of one namespace.
///
/// # Errors
/// They cannot be listed.
pub(crate) async fn neighbours(cluster: &Cluster, namespace: &str) -> anyhow::Result<Vec<AzureKeyVaultSecret>> {
    let api: Api<AzureKeyVaultSecret> = Api::namespaced(cluster.client.clone(), namespace);
    let (list, place) = (api.list(&ListParams::default()).await, format!("namespace {namespace}"));
    Ok(required_akvs(list, "AzureKeyVaultSecrets", "list", &place)?.items)
}

/// Looks at `akvs`; `neighbours` are those of its namespace in the cluster, itself included when it is there.
///
/// # Errors
/// The API server failed. What the vault says is no error here.
pub(crate) async fn survey(
    cluster: &Cluster,
    vaults: &Vaults,
    mut akvs: AzureKeyVaultSecret,
    neighbours: &[AzureKeyVaultSecret],
) -> anyhow::Result<Survey> {
    let same = |other: &&AzureKeyVaultSecret| other.metadata.name == akvs.metadata.name;
    let existing = neighbours.iter().find(same).cloned();
    let found = existing.as_ref().map(|it| &it.metadata);
    akvs.metadata.uid = found.and_then(|it| it.uid.clone());
    // One that is not there yet will be the youngest, and lose against all others.
    let created = found.map_or_else(|| Some(Time(Timestamp::now())), |it| it.creation_timestamp.clone());
    akvs.metadata.creation_timestamp = created;
    let named = wanted(&akvs);
    let siblings = neighbours
        .iter()
        .filter(|other| !same(other) && wanted(other).iter().any(|target| named.contains(target)))
        .map(|other| id(&other.metadata))
        .collect();
    let mut survey = Survey {
        asked: asked(vaults, &akvs).await,
        akvs,
        existing,
        siblings,
        live: BTreeMap::new(),
    };
    let namespace = survey.akvs.metadata.namespace.clone().unwrap_or_default();
    let recorded: Vec<_> = survey.recorded().iter().map(Target::from).collect();
    for target in named.into_iter().chain(recorded) {
        if let Entry::Vacant(place) = survey.live.entry(target) {
            let live = Live::read(cluster, &namespace, place.key()).await?;
            place.insert(live);
        }
    }
    Ok(survey)
}

/// What `akvs` asks for, read from its vault.
///
/// # Errors
/// Its specification.
pub(crate) async fn asked(vaults: &Vaults, akvs: &AzureKeyVaultSecret) -> Result<Asked, Box<Diagnosis>> {
    let request = api::parse(akvs)?;
    let read = match vaults.fetch(&request.object).await {
        Ok(fetched) => {
            desired(&request, &fetched.object, &copied(&akvs.metadata)).map(|desired| Read { fetched, desired })
        }
        Err(diagnosis) => Err(diagnosis),
    };
    Ok(Asked { request, read })
}
