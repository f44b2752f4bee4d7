//! What users of akv2k8s have: AzureKeyVaultSecrets of every kind, what its controller made of them, and a pod that its env injector prepared.

use std::collections::BTreeMap;

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::helm::RELEASE;
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::kinds::{OBJECTS, VAULT, made};
use crate::place::{Objects, by_id};

/// What akv2k8s' controller is called in the metadata of what it writes.
pub(crate) const WRITER: &str = "azure-keyvault-controller";
/// The Deployment whose pod is prepared.
pub(crate) const PREPARED: &str = "web";
const CLIENT_CERTIFICATE: &str = "akv2k8s-web";
const CRD: &str = "customresourcedefinition/azurekeyvaultsecrets.spv.no";

/// A namespace of theirs.
pub(crate) struct Users {
    cluster: &'static ControlPlane,
    namespace: Namespace,
}

impl Users {
    /// A namespace with all of it, and credentials beside the release. akv2k8s' definition has to be installed. Of the vault's values only
    /// the `keystore` is not the same each time.
    pub(crate) async fn new(cluster: &'static ControlPlane, keystore: &[u8]) -> anyhow::Result<Self> {
        let established = ["wait", "--for=condition=Established", CRD, "--timeout=60s"];
        cluster.kubectl(&established).await?.success()?;
        let namespace = cluster.namespace("shop").await?;
        let users = Self { cluster, namespace };
        let credentials = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "akv2k8s-credentials", "namespace": RELEASE},
            "stringData": {"AZURE_CLIENT_SECRET": "s3cret"},
        });
        cluster.kubectl_apply(&credentials.to_string()).await?;
        users.apply_objects().await?;
        users.write_what_the_controller_wrote(keystore).await?;
        Ok(users)
    }

    pub(crate) fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// As Argo CD applies them: with labels and annotations of everybody.
    async fn apply_objects(&self) -> anyhow::Result<()> {
        let items: Vec<_> = OBJECTS
            .iter()
            .map(|(name, object, output)| -> anyhow::Result<Value> {
                let (object, output): (Value, Value) = (serde_yaml::from_str(object)?, serde_yaml::from_str(output)?);
                Ok(json!({
                    "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
                    "metadata": {
                        "name": name, "namespace": self.namespace(),
                        "labels": {"app": "shop", "argocd.argoproj.io/instance": "shop"},
                        "annotations": {"owner": "the shop's team", "argocd.argoproj.io/sync-wave": "1"},
                    },
                    "spec": {"vault": {"name": VAULT, "object": object}, "output": output},
                }))
            })
            .collect::<Result<_, _>>()?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.cluster.kubectl_apply(&list.to_string()).await?;
        Ok(())
    }

    async fn write_what_the_controller_wrote(&self, keystore: &[u8]) -> anyhow::Result<()> {
        let objects: BTreeMap<_, _> = self
            .objects()
            .await?
            .into_iter()
            .map(|it| (it.name_any(), it))
            .collect();
        let client = self.cluster.client()?;
        let written = PostParams {
            field_manager: Some(WRITER.to_owned()),
            ..PostParams::default()
        };
        for it in made(keystore) {
            let whole = it.written(&objects)?;
            if it.secret_type.is_some() {
                let api: Api<Secret> = Api::namespaced(client.clone(), self.namespace());
                api.create(&written, &serde_json::from_value(whole)?).await?;
            } else {
                let api: Api<ConfigMap> = Api::namespaced(client.clone(), self.namespace());
                api.create(&written, &serde_json::from_value(whole)?).await?;
            }
        }
        for object in objects.values() {
            self.write_status(object).await?;
        }
        Ok(())
    }

    async fn write_status(&self, object: &AzureKeyVaultSecret) -> anyhow::Result<()> {
        let output = serde_json::to_value(&object.spec)?["output"].take();
        let mut status = json!({"lastAzureUpdate": "2026-11-01T00:00:00Z"});
        for (output, name, hash) in [
            (&output["secret"], "secretName", "secretHash"),
            (&output["configMap"], "configMapName", "configMapHash"),
        ] {
            if output.is_object() {
                status[name] = output["name"].clone();
                status[hash] = json!("0123456789abcdef0123456789abcdef");
            }
        }
        let written = PatchParams {
            field_manager: Some(WRITER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"status": status}));
        self.api()?.patch_status(&object.name_any(), &written, &patch).await?;
        Ok(())
    }

    fn api(&self) -> anyhow::Result<Api<AzureKeyVaultSecret>> {
        Ok(Api::namespaced(self.cluster.client()?, self.namespace()))
    }

    /// The AzureKeyVaultSecrets.
    pub(crate) async fn objects(&self) -> anyhow::Result<Vec<AzureKeyVaultSecret>> {
        Ok(self.api()?.list(&ListParams::default()).await?.items)
    }

    /// All that is theirs, whole.
    pub(crate) async fn all(&self) -> anyhow::Result<Objects> {
        let kinds = "azurekeyvaultsecrets.v2beta1.spv.no,secrets,configmaps";
        let of_shop = ["--namespace", self.namespace(), "get", kinds];
        let beside = ["--namespace", RELEASE, "get", "secret/akv2k8s-credentials"];
        let mut all = Objects::new();
        for line in [&of_shop, &beside] {
            let line = [&line[..], &["--show-managed-fields", "--output=json"]].concat();
            let text = self.cluster.kubectl(&line).await?.success()?;
            all.extend(by_id(listed(serde_json::from_str(&text)?)));
        }
        Ok(all)
    }

    /// A Deployment with a pod as akv2k8s' env injector prepared it, and the Secret with the certificate of its client; gives the pod's
    /// name. Then the label, after which no pod is created here before an env injector runs.
    pub(crate) async fn start_prepared_pod(&self) -> anyhow::Result<String> {
        self.cluster.kubectl_apply(&self.prepared().to_string()).await?;
        let pods: Api<Pod> = Api::namespaced(self.cluster.client()?, self.namespace());
        let of_ours = ListParams::default().labels(&format!("app={PREPARED}"));
        let pod = until("the pod", PATIENCE, async || {
            pods.list(&of_ours).await.ok()?.items.pop()
        })
        .await?;
        let certificate = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {
                "name": CLIENT_CERTIFICATE, "namespace": self.namespace(), "ownerReferences": pod.owner_references(),
            },
            "stringData": {"ca.crt": "", "tls.crt": "", "tls.key": ""},
        });
        self.cluster.kubectl_apply(&certificate.to_string()).await?;
        let label = [
            "label",
            "namespace",
            self.namespace(),
            "azure-key-vault-env-injection=enabled",
        ];
        self.cluster.kubectl(&label).await?.success()?;
        Ok(pod.name_any())
    }

    fn prepared(&self) -> Value {
        let wrapper = "/azure-keyvault/azure-keyvault-env";
        let service = "akv2k8s-envinjector.akv2k8s.svc";
        let variables = json!([
            {"name": "PASSWORD", "value": "db@azurekeyvault"},
            {"name": "ENV_INJECTOR_ARGS_SIGNATURE", "value": "c2lnbmF0dXJl"},
            {"name": "ENV_INJECTOR_ARGS_KEY", "value": "a2V5"},
            {"name": "ENV_INJECTOR_USE_AUTH_SERVICE", "value": "true"},
            {"name": "ENV_INJECTOR_CLIENT_CERT_DIR", "value": "/var/client-cert/"},
            {"name": "ENV_INJECTOR_AUTH_SERVICE", "value": format!("https://{service}:9443")},
            {"name": "ENV_INJECTOR_AUTH_SERVICE_VALIDATION", "value": format!("http://{service}:80")},
            {"name": "ENV_INJECTOR_AUTH_SERVICE_SECRET", "value": CLIENT_CERTIFICATE},
        ]);
        let spec = json!({
            "initContainers": [{
                "name": "copy-azurekeyvault-env", "image": "spvest/azure-keyvault-env:1.8.4",
                "command": ["sh", "-c", "cp /usr/local/bin/azure-keyvault-env /azure-keyvault/"],
                "volumeMounts": [{"name": "azure-keyvault-env", "mountPath": "/azure-keyvault/"}],
            }],
            "containers": [{
                "name": "app", "image": "app:1", "command": [wrapper], "args": ["serve"], "env": variables,
                "volumeMounts": [
                    {"name": "azure-keyvault-env", "mountPath": "/azure-keyvault/", "readOnly": true},
                    {"name": "akv2k8s-client-cert", "mountPath": "/var/client-cert/", "readOnly": true},
                ],
            }],
            "volumes": [
                {"name": "azure-keyvault-env", "emptyDir": {"medium": "Memory"}},
                {"name": "akv2k8s-client-cert", "secret": {"secretName": CLIENT_CERTIFICATE}},
            ],
        });
        let labels = json!({"app": PREPARED});
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": PREPARED, "namespace": self.namespace()},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
        })
    }
}

/// The objects that kubectl prints: a list, or the one that there is.
pub(crate) fn listed(mut printed: Value) -> Vec<Value> {
    match printed["items"].take() {
        Value::Array(items) => items,
        _ => vec![printed],
    }
}
