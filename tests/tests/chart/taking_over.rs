//! After the switch: what our controller makes of Secrets and ConfigMaps of every kind that akv2k8s' wrote, started as the pod of the upgraded
//! release starts it; and what `doctor` says before and after.

use std::collections::HashSet;

use akv2k8s_shared::api::{ADOPT, condition};
use akv2k8s_testbed::emulator::{Emulator, FederatedCredential, Options, Principal, Role};
use akv2k8s_testbed::helm::RELEASE;
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::stack::{Controller, Deployed, Surroundings};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::PATIENCE;
use crate::kinds::{VAULT, fill};
use crate::place::{Objects, Place};
use crate::policies::{ADOPTS_NONE, adoption_ends};
use crate::switching::is_untouched;
use crate::users::{PREPARED, Users, WRITER};
use crate::values::{BY_WORKLOAD_IDENTITY, OLD};

const CONTROLLER: &str = "akv2k8s-controller";
/// Whom these values name.
const CLIENT: &str = "00000000-0000-0000-0000-000000000002";
const TENANT: &str = "00000000-0000-0000-0000-000000000001";

/// The users' vault, which the upgraded release may read.
struct Azure {
    _emulator: Emulator,
    /// Stands for the root of a node, too.
    folder: TempDir,
    /// The PFX in the vault.
    keystore: Vec<u8>,
}

impl Azure {
    async fn start(place: &Place) -> anyhow::Result<Self> {
        let emulator = Emulator::start(Options::default()).await?;
        let app = emulator.entra().register(Principal {
            tenant_id: TENANT.to_owned(),
            client_id: CLIENT.to_owned(),
            object_id: "00000000-0000-0000-0000-000000000007".to_owned(),
        });
        emulator.entra().trust_issuer_ca(place.cluster.ca_pem());
        let issuer = place.cluster.issuer().await?;
        app.add_federated_credential(FederatedCredential::service_account(&issuer, RELEASE, CONTROLLER));
        let vault = emulator.vault(VAULT);
        vault.set_tenant(TENANT);
        for role in [Role::SecretsUser, Role::CertificateUser, Role::CryptoUser] {
            vault.grant(app.principal(), role);
        }
        let folder = tempfile::tempdir()?;
        emulator.write_ca_file(&folder.path().join("ca.pem"))?;
        emulator.write_cloud_file(&folder.path().join("cloud.json"))?;
        Ok(Self {
            keystore: fill(&vault)?,
            _emulator: emulator,
            folder,
        })
    }

    /// The upgraded release's controller, as its pod starts it.
    async fn controller(&self, place: &Place) -> anyhow::Result<(Deployed, Controller)> {
        old_pods_go(place).await?;
        let around = Surroundings {
            host: self.folder.path(),
            webhook: Some(TENANT),
        };
        let deployed = Deployed::new(place.cluster, RELEASE, CONTROLLER, around).await?;
        let file = |name: &str| self.folder.path().join(name).display().to_string();
        let launch = deployed
            .controller()
            .env("AZURE_ENVIRONMENT", "AzureStackCloud")
            .env("AZURE_ENVIRONMENT_FILEPATH", &file("cloud.json"))
            .env("SSL_CERT_FILE", &file("ca.pem"));
        let controller = launch.start().await?;
        Ok((deployed, controller))
    }
}

/// Without a kubelet no new pod becomes ready, and the old ones would stay.
async fn old_pods_go(place: &Place) -> anyhow::Result<()> {
    let pods: Api<Pod> = Api::namespaced(place.cluster.client()?, RELEASE);
    let sets: Api<ReplicaSet> = Api::namespaced(place.cluster.client()?, RELEASE);
    let old: HashSet<_> = pods
        .list(&ListParams::default())
        .await?
        .into_iter()
        .filter_map(|it| it.uid())
        .collect();
    sets.delete_collection(&DeleteParams::foreground(), &ListParams::default())
        .await?;
    let gone = until("the old pods to go", PATIENCE, async || {
        let left = pods.list(&ListParams::default()).await.ok()?;
        let is_old = |it: &Pod| it.uid().is_some_and(|uid| old.contains(&uid));
        (!left.iter().any(is_old)).then_some(())
    });
    Ok(gone.await?)
}

/// Waits until every object says that it is synced.
async fn has_synced(controller: &Controller, users: &Users) -> anyhow::Result<()> {
    let mut left = Vec::new();
    let synced = until("all objects to be synced", PATIENCE, async || {
        left = users.objects().await.ok()?;
        left.retain(|it| {
            let conditions = it.status.as_ref().map(|it| &it.conditions);
            let ready = conditions.and_then(|all| condition::get(all, condition::READY));
            ready.is_none_or(|it| it.reason != "Synced")
        });
        left.is_empty().then_some(())
    });
    synced.await.with_context(|| {
        let left: Vec<_> = left.iter().map(|it| (it.name_any(), &it.status)).collect();
        format!("{left:?}\n{}", controller.log())
    })
}

/// An object without what every write changes.
fn without_versions(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["managedFields", "resourceVersion", "generation"] {
        object["metadata"][field] = Value::Null;
    }
    object
}

/// All of a Secret or ConfigMap stays but who is said to own its fields: of akv2k8s' controller is left what ours does not copy, and the
/// type, which cannot change.
fn output_is_the_same(before: &Value, after: &Value) -> anyhow::Result<()> {
    let (old, new) = (without_versions(before), without_versions(after));
    ensure!(old == new, "{new}, before {old}");
    let managers = after["metadata"]["managedFields"].as_array().into_iter().flatten();
    let left: Vec<_> = managers
        .filter(|it| it["manager"] == WRITER)
        .map(|it| &it["fieldsV1"])
        .collect();
    let mut of_tools = json!({"f:metadata": {
        "f:annotations": {
            ".": {}, "f:argocd.argoproj.io/sync-wave": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {},
        },
        "f:labels": {".": {}, "f:argocd.argoproj.io/instance": {}},
    }});
    if after["kind"] == "Secret" {
        of_tools["f:type"] = json!({});
    }
    ensure!(left == [&of_tools], "{left:?}");
    Ok(())
}

/// Of an object its status alone changes, and in that the digests go.
fn object_is_the_same_but_for_its_status(before: &Value, after: &Value) -> anyhow::Result<()> {
    let (mut old, mut new) = (without_versions(before), without_versions(after));
    let (was, is) = (old["status"].take(), new["status"].take());
    ensure!(old == new, "{new}, before {old}");
    for field in ["secretName", "configMapName"] {
        ensure!(was[field] == is[field], "{is}, before {was}");
    }
    ensure!(is["secretHash"].is_null() && is["configMapHash"].is_null(), "{is}");
    Ok(())
}

fn everything_is_taken_over(before: &Objects, after: &Objects) -> anyhow::Result<()> {
    ensure!(
        before.keys().eq(after.keys()),
        "{:?}, of {:?}",
        after.keys(),
        before.keys()
    );
    for (id, old) in before {
        let new = &after[id];
        let owners = old["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let is_output = owners.into_iter().any(|it| it["kind"] == "AzureKeyVaultSecret");
        let checked = if is_output {
            output_is_the_same(old, new)
        } else if old["kind"] == "AzureKeyVaultSecret" {
            object_is_the_same_but_for_its_status(old, new)
        } else {
            let is_same = old == new;
            is_same.then_some(()).with_context(|| format!("it was written: {new}"))
        };
        checked.with_context(|| id.clone())?;
    }
    Ok(())
}

/// `doctor` names the pod that akv2k8s' env injector prepared, and what to do about it.
async fn doctor_names(shell: &Shell, users: &Users, pod: &str) -> anyhow::Result<()> {
    let command = format!("kubectl akv2k8s doctor --controller-namespace {RELEASE}");
    let said = shell.run(&command, |code| code == 1).await?;
    let namespace = users.namespace();
    for words in [
        format!("In namespace {namespace} akv2k8s 1.x prepared {pod}: "),
        format!("kubectl rollout restart deployment/{PREPARED} -n {namespace}"),
    ] {
        ensure!(said.contains(&words), "{words:?} is not in {said}");
    }
    Ok(())
}

/// With `policies.adoption=false` an annotation adopts nothing, and the object says whose word that is.
async fn what_the_release_does_not_adopt_says_so(place: &Place, users: &Users) -> anyhow::Result<()> {
    let metadata = |name: &str| json!({"name": name, "namespace": users.namespace()});
    let foreign = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata("foreign"), "data": {"k": "YQ=="}});
    let mut asking = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": metadata("adopting"),
        "spec": {
            "vault": {"name": VAULT, "object": {"name": "db", "type": "secret"}},
            "output": {"secret": {"name": "foreign", "dataKey": "k"}},
        },
    });
    asking["metadata"]["annotations"] = json!({ADOPT: "true"});
    place.cluster.kubectl_apply(&foreign.to_string()).await?;
    adoption_ends(place.cluster, users.namespace(), "foreign").await?;
    place.cluster.kubectl_apply(&asking.to_string()).await?;
    let mut said = Vec::new();
    let refused = until("the refusal", PATIENCE, async || {
        said = users.objects().await.ok()?;
        said.retain(|it| it.name_any() == "adopting");
        let ready = condition::get(&said.first()?.status.as_ref()?.conditions, condition::READY)?;
        let is_told = ready.reason == "OutputRejected" && ready.message.contains(ADOPTS_NONE);
        is_told.then_some(())
    });
    refused.await.with_context(|| format!("{said:?}"))?;
    let read = [
        "--namespace",
        users.namespace(),
        "get",
        "secret/foreign",
        "--output=jsonpath={.data.k}",
    ];
    let kept = place.cluster.kubectl(&read).await?.success()?;
    ensure!(kept == "YQ==", "{kept}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_of_every_kind_stay_as_they_are_and_doctor_names_the_pods_to_restart() -> anyhow::Result<()> {
    let place = Place::new(Program::Helm4).await?;
    let (_, values) = OLD
        .iter()
        .find(|(name, _)| *name == BY_WORKLOAD_IDENTITY)
        .context("it is there")?;
    place.install_old(values)?;
    let azure = Azure::start(&place).await?;
    let users = Users::new(place.cluster, &azure.keystore).await?;
    let pod = users.start_prepared_pod().await?;
    let shell = Shell::new(place.cluster, Program::Helm4, &[])?;
    doctor_names(&shell, &users, &pod).await.context("before")?;

    let before = users.all().await?;
    // The same values, as Helm remembers them, and a shorter period: within the first one all is taken over.
    place.upgrade_with(&["--reset-then-reuse-values"], "azureKeyVaultResyncPeriod: 2")?;
    is_untouched(&users, &before).await?;
    doctor_names(&shell, &users, &pod).await.context("after")?;

    let (_pod, controller) = azure.controller(&place).await?;
    has_synced(&controller, &users).await?;
    everything_is_taken_over(&before, &users.all().await?)?;

    place.upgrade_with(&["--reset-then-reuse-values"], "policies: {adoption: false}")?;
    what_the_release_does_not_adopt_says_so(&place, &users).await?;
    drop(controller);
    place.uninstall()
}
