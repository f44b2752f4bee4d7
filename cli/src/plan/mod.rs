//! `plan`: what manifests would change in the cluster. The steps are the controller's own plan; nothing is written, and no value is printed.

mod decide;
mod grants;
mod report;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::environment::Environment;
use futures::{StreamExt, TryStreamExt, stream};

use grants::Rulebook;
pub(crate) use report::{Failure, Planned};

use crate::args::Plan;
use crate::cluster::Cluster;
use crate::manifests;
use crate::survey::{neighbours, survey};
use crate::vault::Vaults;

/// Objects that are looked at at once.
const AT_ONCE: usize = 16;

/// Plans for all manifests.
///
/// # Errors
/// They cannot be read, or the cluster cannot.
pub(crate) async fn plan(args: &Plan, cluster: &Cluster, environment: &Environment) -> anyhow::Result<Planned> {
    let mut wanted = manifests::akvs(&args.files)?;
    for akvs in &mut wanted {
        akvs.metadata.namespace.get_or_insert_with(|| cluster.namespace.clone());
    }
    let present = present(cluster, &wanted).await?;
    let rulebook = Rulebook::read(cluster, &args.installation, present.keys().cloned().collect()).await?;
    let vaults = Vaults::new(environment)?;
    let one = async |akvs: AzureKeyVaultSecret| {
        let namespace = akvs.metadata.namespace.clone().unwrap_or_default();
        let survey = survey(cluster, &vaults, akvs, &present[&namespace]).await?;
        let denied = survey.asked.as_ref().ok();
        let denied = denied.and_then(|asked| rulebook.denied(&namespace, &asked.request.object));
        anyhow::Ok((decide::object(&survey, denied.as_ref()), decide::role(&survey)))
    };
    let planned: Vec<_> = stream::iter(wanted).map(one).buffered(AT_ONCE).try_collect().await?;
    let (objects, roles): (Vec<_>, Vec<_>) = planned.into_iter().unzip();
    let roles = roles.into_iter().flatten().collect();
    Ok(Planned::new(objects, roles, rulebook.unknown))
}

/// The AKVS of every namespace that `wanted` names.
async fn present(
    cluster: &Cluster,
    wanted: &[AzureKeyVaultSecret],
) -> anyhow::Result<BTreeMap<String, Vec<AzureKeyVaultSecret>>> {
    let mut present = BTreeMap::new();
    for namespace in wanted.iter().filter_map(|akvs| akvs.metadata.namespace.as_ref()) {
        if let Entry::Vacant(place) = present.entry(namespace.clone()) {
            place.insert(neighbours(cluster, namespace).await?);
        }
    }
    Ok(present)
}
