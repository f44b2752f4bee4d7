//! A node with a release of akv2k8s, and everything that its users have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::{AppHandle, Emulator, FederatedCredential, Role, SecretOptions, VaultHandle};
use akv2k8s_testbed::helm::Helm;
use akv2k8s_testbed::images;
use akv2k8s_testbed::installation::environment;
use akv2k8s_testbed::node::{Node, guest};
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::statics::Architecture;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use base64::Engine as _;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

/// Name of the release, and of its namespace.
pub(crate) const RELEASE: &str = "akv2k8s";
/// Objects and Secrets that are there.
pub(crate) const COUNT: usize = 200;
/// How long anything may take that takes seconds on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(4);
const UPSTREAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/upstream");
const DEFINITION: &str = include_str!("../crd/upstream.yaml");
/// What akv2k8s' controller is called in the metadata of what it writes.
const WRITER: &str = "azure-keyvault-controller";
const VAULT: &str = "kv1";
/// The users' namespace, whose pods are prepared.
const TEAM: &str = "team";
/// Where our programs find whom they have to trust at Azure.
const TRUST: &str = "test-authorities";

pub(crate) struct World {
    pub(crate) node: Node,
    emulator: Emulator,
    app: AppHandle,
    helm: Helm,
}

/// What became of Secrets.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// With other data.
    pub(crate) data: Vec<String>,
    /// With fewer labels, or other owners.
    pub(crate) lost: Vec<String>,
    /// How many were written at all.
    pub(crate) written: usize,
    /// How many are not there any more.
    pub(crate) gone: usize,
}

/// Compares Secrets by name.
pub(crate) fn changed(before: &BTreeMap<String, Secret>, after: &BTreeMap<String, Secret>) -> Changed {
    let mut changed = Changed::default();
    for (name, old) in before {
        let Some(new) = after.get(name) else {
            changed.gone += 1;
            continue;
        };
        if (&old.data, &old.type_) != (&new.data, &new.type_) {
            changed.data.push(name.clone());
        }
        if old.labels() != new.labels() || old.owner_references() != new.owner_references() {
            changed.lost.push(name.clone());
        }
        changed.written += usize::from(old.resource_version() != new.resource_version());
    }
    changed
}

/// How both programs become somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Identity {
    /// As akv2k8s does unless it is told otherwise: by the node's file and its managed identity, as root.
    Node,
    /// By tokens of the cluster.
    Workload,
}

/// Which rights the programs have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Profile {
    Default,
    Hardened,
}

impl World {
    pub(crate) async fn new(helm: Program) -> anyhow::Result<Self> {
        let node = Node::start().await?;
        for ours in images::ALL {
            let image = tokio::task::spawn_blocking(move || ours.build(Architecture::here())).await??;
            node.add_image(&ours.reference(), &image).await?;
        }
        let emulator = node.emulator().await?;
        let app = emulator.entra().register_app();
        let issuer = node.cluster.issuer().await?;
        for account in ["akv2k8s-controller", "akv2k8s-envinjector"] {
            app.add_federated_credential(FederatedCredential::service_account(&issuer, RELEASE, account));
        }
        let helm = Helm::of(helm)?.with_cluster(node.cluster.kubeconfig());
        let world = Self {
            node,
            emulator,
            app,
            helm,
        };
        world.namespace(TEAM, None).await?;
        Ok(world)
    }

    /// helm in the release's namespace, with these values (YAML).
    pub(crate) fn helm(&self, arguments: &[&str], values: &str) -> anyhow::Result<String> {
        let line = [arguments, &["--namespace", RELEASE]].concat();
        self.helm
            .run(&line, values)
            .with_context(|| format!("helm {arguments:?}"))
    }

    pub(crate) async fn namespace(&self, name: &str, label: Option<&str>) -> anyhow::Result<()> {
        let labels = label.map(|value| json!({"azure-key-vault-env-injection": value}));
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let namespaces: Api<Namespace> = Api::all(self.node.cluster.client()?);
        let parameters = PatchParams::apply("test").force();
        namespaces.patch(name, &parameters, &Patch::Apply(namespace)).await?;
        Ok(())
    }

    /// The release, and the label of the users' namespace: from here on, no pod is created in it, since akv2k8s' webhook does not run.
    pub(crate) async fn install_upstream(&self) -> anyhow::Result<()> {
        self.namespace(TEAM, Some("enabled")).await?;
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::default().self_signed(&key)?.pem();
        let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let values = json!({"certificate": base64(certificate), "key": base64(key.serialize_pem())});
        let upstream = self.helm.clone().with_chart(Path::new(UPSTREAM));
        let line = [
            "install",
            RELEASE,
            "CHART",
            "--namespace",
            RELEASE,
            "--create-namespace",
        ];
        upstream.run(&line, &values.to_string())?;
        Ok(())
    }

    /// 200 objects of the vault, their AzureKeyVaultSecrets, and the Secrets that akv2k8s' controller made of them.
    pub(crate) async fn write_what_upstream_writes(&self) -> anyhow::Result<()> {
        self.node.cluster.kubectl_apply(DEFINITION).await?;
        let established = ["wait", "--for=condition=Established", "crd/azurekeyvaultsecrets.spv.no"];
        self.node.cluster.kubectl(&established).await?.success()?;
        let written = (0..COUNT).map(|number| self.write(number));
        stream::iter(written).buffer_unordered(8).try_collect::<()>().await
    }

    async fn write(&self, number: usize) -> anyhow::Result<()> {
        let (name, value) = (format!("db{number}"), format!("value {number}"));
        self.vault(VAULT).set_secret(&name, &value, SecretOptions::default())?;
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": name, "labels": {"app": "shop"}},
            "spec": {
                "vault": {"name": VAULT, "object": {"name": name, "type": "secret"}},
                "output": {"secret": {"name": name, "dataKey": "password"}},
            },
        });
        let objects = self.objects()?;
        let akvs: AzureKeyVaultSecret = serde_json::from_value(akvs)?;
        let akvs = objects.create(&PostParams::default(), &akvs).await?;
        let mut owner = serde_json::to_value(akvs.owner_ref(&()).context("it has a uid")?)?;
        owner["blockOwnerDeletion"] = json!(true);
        owner["controller"] = json!(false);
        let secret = json!({
            "metadata": {"name": name, "labels": {"app": "shop"}, "ownerReferences": [owner]},
            "type": "Opaque", "stringData": {"password": value},
        });
        let parameters = PostParams {
            field_manager: Some(WRITER.to_owned()),
            ..PostParams::default()
        };
        self.team_secrets()?
            .create(&parameters, &serde_json::from_value(secret)?)
            .await?;
        let status = json!({"status": {
            "secretName": name, "secretHash": "0123456789abcdef0123456789abcdef", "lastAzureUpdate": "2026-11-01T00:00:00Z",
        }});
        let parameters = PatchParams {
            field_manager: Some(WRITER.to_owned()),
            ..PatchParams::default()
        };
        objects.patch_status(&name, &parameters, &Patch::Merge(status)).await?;
        Ok(())
    }

    /// What differs from a user's cluster, as values: trust in the emulator, which is put into the release's namespace, and no workload
    /// identity webhook of Azure's.
    pub(crate) async fn of_this_node(&self) -> anyhow::Result<Value> {
        self.namespace(RELEASE, None).await?;
        let authorities = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": TRUST, "namespace": RELEASE},
            "data": {"ca.pem": self.emulator.ca_pem()},
        });
        self.node.cluster.kubectl_apply(&authorities.to_string()).await?;
        let component = json!({
            "extraVolumes": [{"name": TRUST, "configMap": {"name": TRUST}}],
            "extraVolumeMounts": [{"name": TRUST, "mountPath": "/test", "readOnly": true}],
            "env": {"SSL_CERT_FILE": "/test/ca.pem"},
        });
        Ok(json!({
            "azureKeyVaultResyncPeriod": 5,
            "workloadIdentity": {"webhook": false},
            "controller": component, "env_injector": component,
        }))
    }

    /// The values of the release of akv2k8s do not change; who it is at Entra is added, or where this node has the file that says it.
    pub(crate) async fn upgrade(&self, identity: Identity) -> anyhow::Result<()> {
        self.upgrade_to(identity, Profile::Default).await
    }

    /// The same, to this profile.
    pub(crate) async fn upgrade_to(&self, identity: Identity, profile: Profile) -> anyhow::Result<()> {
        let mut values = self.of_this_node().await?;
        if let Profile::Hardened = profile {
            values["profile"] = json!("hardened");
        }
        match identity {
            Identity::Node => values["cloudConfig"] = json!(self.nodes_file()?),
            Identity::Workload => {
                values["workloadIdentity"]["enabled"] = json!(true);
                values["workloadIdentity"]["clientId"] = json!(self.client_id());
                values["workloadIdentity"]["tenantId"] = json!(self.tenant_id());
            }
        }
        let line = ["upgrade", RELEASE, "CHART", "--wait", "--timeout", "5m"];
        if let Err(error) = self.helm(&line, &values.to_string()) {
            return Err(error.context(self.pods().await?));
        }
        self.injects().await
    }

    /// The file that an AKS node has at `/etc/kubernetes/azure.json`, at another place: that one may be this machine's own.
    fn nodes_file(&self) -> anyhow::Result<PathBuf> {
        self.emulator.imds().assign(self.app.principal().clone());
        let file = json!({
            "cloud": "AzurePublicCloud", "tenantId": self.emulator.entra().tenant_id(), "aadClientId": "msi", "aadClientSecret": "msi",
            "useManagedIdentityExtension": true, "userAssignedIdentityID": self.client_id(),
        });
        let path = self.node.folder().join("azure.json");
        std::fs::write(&path, file.to_string())?;
        Ok(path)
    }

    /// Who both programs are at Entra.
    pub(crate) fn client_id(&self) -> &str {
        self.app.client_id()
    }

    /// Whose tokens they take.
    pub(crate) fn tenant_id(&self) -> String {
        self.emulator.entra().tenant_id().to_owned()
    }

    /// A vault that both may read.
    pub(crate) fn vault(&self, name: &str) -> VaultHandle {
        let vault = self.emulator.vault(name);
        vault.grant(self.app.principal(), Role::SecretsUser);
        vault
    }

    /// What has become of the release's pods.
    pub(crate) async fn pods(&self) -> anyhow::Result<String> {
        let line = ["--namespace", RELEASE, "describe", "pods"];
        Ok(self.node.cluster.kubectl(&line).await?.stdout)
    }

    /// Waits until the API server gets answers from the env injector.
    pub(crate) async fn injects(&self) -> anyhow::Result<()> {
        self.node.service_ready(RELEASE, "akv2k8s-envinjector").await
    }

    /// Every object says that it is synced, in the new controller's words.
    pub(crate) async fn all_synced(&self) -> anyhow::Result<()> {
        let objects = self.objects()?;
        let synced = async || {
            let all = objects.list(&ListParams::default()).await.ok()?;
            let ready = all.iter().filter(|it| {
                let conditions = it.status.as_ref().map(|it| &it.conditions);
                let ready = conditions.and_then(|all| condition::get(all, condition::READY));
                ready.is_some_and(|it| it.status == "True")
            });
            (ready.count() >= COUNT).then_some(())
        };
        let waited = until("all objects to be synced", PATIENCE, synced).await;
        if let Err(error) = waited {
            let what = [
                "--namespace",
                RELEASE,
                "logs",
                "deployment/akv2k8s-controller",
                "--tail=40",
            ];
            let log = self.node.cluster.kubectl(&what).await?;
            return Err(anyhow::Error::from(error).context(log.stdout + &log.stderr));
        }
        Ok(())
    }

    /// A pod with a value of a Secret in its environment.
    pub(crate) async fn start_a_program_that_uses_a_secret(&self) -> anyhow::Result<()> {
        let reference = json!({"secretKeyRef": {"name": "db0", "key": "password"}});
        let pod = json!({
            "metadata": {"name": "user"},
            "spec": {"containers": [{
                "name": "app", "image": guest::IMAGE, "command": [guest::PATH, "live"],
                "env": [{"name": "PASSWORD", "valueFrom": reference}],
            }]},
        });
        let pods = self.pods_of(TEAM)?;
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
            .await?;
        self.node.running(TEAM, "user").await
    }

    pub(crate) async fn program_was_not_restarted(&self) -> anyhow::Result<()> {
        let pods = self.pods_of(TEAM)?;
        let status = pods.get("user").await?.status.context("it has a status")?;
        let restarts: i32 = status
            .container_statuses
            .iter()
            .flatten()
            .map(|it| it.restart_count)
            .sum();
        ensure!(
            restarts == 0 && status.phase.as_deref() == Some("Running"),
            "{status:?}"
        );
        Ok(())
    }

    /// What changes in the vault from now on is written.
    pub(crate) async fn rotation_arrives(&self, value: &str) -> anyhow::Result<()> {
        self.vault(VAULT).set_secret("db7", value, SecretOptions::default())?;
        let secrets = self.team_secrets()?;
        let arrived = async || {
            let data = secrets.get("db7").await.ok()?.data?;
            (data.get("password")?.0 == value.as_bytes()).then_some(())
        };
        Ok(until("the new value", PATIENCE, arrived).await?)
    }

    /// A pod that asks for a value, as users of akv2k8s write it.
    pub(crate) async fn a_prepared_pod_gets_its_value(&self, name: &str) -> anyhow::Result<()> {
        let pod: Value = json!({
            "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [{
                "name": "app", "image": guest::IMAGE, "command": [guest::PATH, "env"],
                "env": [{"name": "PASSWORD", "value": "db1@azurekeyvault"}],
            }]},
        });
        let pods = self.pods_of(TEAM)?;
        pods.create(&PostParams::default(), &serde_json::from_value(pod)?)
            .await?;
        let phase = self.node.ended(TEAM, name).await?;
        let log = self.node.log_now(TEAM, name).await?;
        ensure!(phase == "Succeeded", "it {phase}: {log}");
        ensure!(environment(&log)?["PASSWORD"] == "value 1");
        Ok(())
    }

    /// The users' Secrets that an AzureKeyVaultSecret owns, by name.
    pub(crate) async fn secrets(&self) -> anyhow::Result<BTreeMap<String, Secret>> {
        let all = self.team_secrets()?.list(&ListParams::default()).await?;
        let owned = all.items.into_iter().filter(|it| !it.owner_references().is_empty());
        Ok(owned.map(|it| (it.name_any(), it)).collect())
    }

    pub(crate) fn pods_of(&self, namespace: &str) -> anyhow::Result<Api<Pod>> {
        Ok(Api::namespaced(self.node.cluster.client()?, namespace))
    }

    fn objects(&self) -> anyhow::Result<Api<AzureKeyVaultSecret>> {
        Ok(Api::namespaced(self.node.cluster.client()?, TEAM))
    }

    fn team_secrets(&self) -> anyhow::Result<Api<Secret>> {
        Ok(Api::namespaced(self.node.cluster.client()?, TEAM))
    }
}
