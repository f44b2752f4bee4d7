//! What the tests here share: an env injector in a labelled namespace, and the API server that calls it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_envinjector::EnvInjector;
use akv2k8s_envinjector::args::Args;
use akv2k8s_envinjector::config::Config;
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::stack::rights::{narrowed, renamed};
use akv2k8s_testbed::wait::until;
use akv2k8s_testbed::{crd, hardened};
use anyhow::{Context, ensure};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

const WEBHOOK: &str = include_str!("../../../examples/injector/webhook.yaml");
/// For what takes a moment on a machine with nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
/// The wrapper's path, as people see it in pods.
pub(crate) const WRAPPER: &str = "/azure-keyvault/azure-keyvault-env";

/// A namespace whose pods are prepared.
pub(crate) struct Bed {
    pub(crate) cluster: &'static ControlPlane,
    pub(crate) namespace: Namespace,
    tls_port: u16,
    http_port: u16,
    manifest: String,
    stop: Option<oneshot::Sender<()>>,
    _task: JoinHandle<anyhow::Result<()>>,
}

/// A labelled namespace without anything in it.
pub(crate) async fn labelled(prefix: &str) -> anyhow::Result<(&'static ControlPlane, Namespace)> {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let cluster = ControlPlane::shared().await?;
    let client = cluster.client()?;
    INSTALLED.get_or_try_init(|| crd::install(&client)).await?;
    let namespace = cluster.namespace(prefix).await?;
    let label = [
        "label",
        "namespace",
        namespace.name(),
        "azure-key-vault-env-injection=enabled",
    ];
    cluster.kubectl(&label).await?.success()?;
    Ok((cluster, namespace))
}

/// Namespaces besides the bed's own.
#[derive(Clone, Copy)]
pub(crate) struct Others<'o> {
    /// The env injector is told to serve these, and the bed's own, and no others; it has no right in them.
    pub(crate) listed: &'o [&'o str],
    /// The API server calls it for pods of these, too.
    pub(crate) called_for: &'o [&'o str],
}

impl Bed {
    /// With an env injector that runs, and that the API server calls already.
    pub(crate) async fn new(prefix: &str, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::with(prefix, variables, None).await
    }

    /// The same; with `others` it serves a list of namespaces, and has no right in all of them but to review tokens.
    pub(crate) async fn with(
        prefix: &str,
        variables: &[(&str, &str)],
        others: Option<Others<'_>>,
    ) -> anyhow::Result<Self> {
        let (cluster, namespace) = labelled(prefix).await?;
        if let Some((_, label)) = variables.iter().find(|(name, _)| *name == "INJECTION_NAMESPACE_LABEL") {
            let line = ["label", "namespace", namespace.name(), label];
            cluster.kubectl(&line).await?.success()?;
        }
        // Each test has an installation of its own in the one cluster.
        let name = format!("{namespace}-injector");
        let own = |manifest: &str| renamed(manifest, namespace.name(), &name);
        let listed: Vec<_> = others
            .iter()
            .flat_map(|others| others.listed)
            .chain([&namespace.name()])
            .copied()
            .collect();
        let mut rights = own(&hardened::injector_rights()?);
        if others.is_some() {
            rights = narrowed(&rights, namespace.name(), &listed)?;
        }
        cluster.kubectl_apply(&rights).await?;
        let folder = tempfile::tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, hardened::impersonating(cluster, namespace.name(), &name)?)?;

        let usual = [
            ("AZUREKEYVAULT_ENV_IMAGE", "example.org/azure-keyvault-env:1"),
            ("POD_NAMESPACE", namespace.name()),
            ("WEBHOOK_CONFIGURATION", &name),
            ("SERVING_NAMES", "127.0.0.1"),
            ("METRICS_ENABLED", "true"),
            ("HTTP_PORT", "0"),
            ("TLS_PORT", "0"),
            ("MTLS_PORT", "0"),
            ("IMAGE_LOOKUP", "false"),
            ("AUTH_TYPE", "environment"),
        ];
        let hardened = hardened::is_on().then_some(hardened::SETTING);
        let environment = usual.iter().chain(&hardened).chain(variables).copied().collect();
        let only = others.map(|_| format!("--watch-namespaces={}", listed.join(",")).into());
        let line = ["envinjector".into(), "--kubeconfig".into(), kubeconfig.into_os_string()];
        let line = line.into_iter().chain(only);
        let config = Config::new(Args::from_command_line(line)?, environment)?;
        let started = async || EnvInjector::new(Config::clone(&config)).await;
        // Rights that were just given take effect a moment later.
        let injector = until("the injector's rights to take effect", PATIENCE, async || {
            started().await.ok()
        })
        .await?;
        let (tls_port, http_port) = (injector.tls_address()?.port(), injector.http_address()?.port());

        let mut webhook: Value = serde_yaml::from_str(&own(WEBHOOK))?;
        webhook["webhooks"][0]["clientConfig"] = json!({"url": format!("https://127.0.0.1:{tls_port}/pods")});
        // With certificates of somebody else's, their authority is part of the manifest.
        if let Some((_, folder)) = variables.iter().find(|(name, _)| *name == "TLS_CERT_DIR") {
            let authority = std::fs::read(Path::new(folder).join("ca.crt"))?;
            webhook["webhooks"][0]["clientConfig"]["caBundle"] = serde_json::to_value(ByteString(authority))?;
        }
        // As long as the API server waits at all, for a busy machine.
        webhook["webhooks"][0]["timeoutSeconds"] = json!(30);
        let called_for = others.iter().flat_map(|others| others.called_for).copied();
        let called_for: Vec<_> = called_for.chain([namespace.name()]).collect();
        webhook["webhooks"][0]["namespaceSelector"]["matchExpressions"] =
            json!([{"key": "kubernetes.io/metadata.name", "operator": "In", "values": called_for}]);
        let manifest = webhook.to_string();
        cluster.kubectl_apply(&manifest).await?;

        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(injector.run(async move {
            // Dropping the sender stops it, too.
            let _ = stopped.await;
        }));
        let bed = Self {
            cluster,
            namespace,
            tls_port,
            http_port,
            manifest,
            stop: Some(stop),
            _task: task,
        };
        bed.until_called().await?;
        Ok(bed)
    }

    /// Waits until the API server calls the webhook: it learns of configuration and CA a moment later.
    async fn until_called(&self) -> anyhow::Result<()> {
        self.apply_akvs("probe", "secret").await?;
        let parameters = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let probe: DynamicObject = serde_json::from_value(pod("probe", &json!([app("probe@azurekeyvault")])))?;
        until("the webhook to be called", PATIENCE, async || {
            let answer = self.pods().ok()?.create(&parameters, &probe).await.ok()?;
            (answer.data["spec"]["containers"][0]["command"][0] == WRAPPER).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Creates an AKVS of that name, for an object of that type.
    pub(crate) async fn apply_akvs(&self, name: &str, kind: &str) -> anyhow::Result<()> {
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": name, "namespace": self.namespace.name()},
            "spec": {"vault": {"name": "kv1", "object": {"name": name, "type": kind}}},
        });
        self.cluster.kubectl_apply(&akvs.to_string()).await?;
        Ok(())
    }

    /// Runs `kubectl create` of a pod in another namespace: whether it worked, what it printed, and what it said besides.
    pub(crate) async fn create_in(&self, namespace: &str, pod: &Value) -> anyhow::Result<(bool, Value, String)> {
        let line = ["--namespace", namespace, "create", "-o", "json", "-f", "-"];
        let output = self.cluster.kubectl_with_input(&line, &pod.to_string()).await?;
        let created = serde_json::from_str(&output.stdout).unwrap_or_default();
        Ok((output.status.success(), created, output.stderr))
    }

    /// The pods of the namespace, whatever fields they have.
    pub(crate) fn pods(&self) -> anyhow::Result<Api<DynamicObject>> {
        let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Pod>(&());
        Ok(Api::namespaced_with(
            self.cluster.client()?,
            self.namespace.name(),
            &resource,
        ))
    }

    /// `kubectl create` of a pod: what it printed, and what it said besides.
    pub(crate) async fn create(&self, pod: &Value, flags: &[&str]) -> anyhow::Result<(bool, Value, String)> {
        let mut line = vec!["--namespace", self.namespace.name(), "create", "-o", "json", "-f", "-"];
        line.extend(flags);
        let output = self.cluster.kubectl_with_input(&line, &pod.to_string()).await?;
        let created = serde_json::from_str(&output.stdout).unwrap_or_default();
        Ok((output.status.success(), created, output.stderr))
    }

    /// `GET path` of the plain port: status line and all that follows.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<String> {
        let stream = TcpStream::connect(("127.0.0.1", self.http_port)).await?;
        converse(stream, &format!("GET {path}"), &[]).await
    }

    /// How often the webhook was asked about a pod.
    pub(crate) async fn reviews(&self) -> anyhow::Result<u64> {
        self.count("pod_inspections").await
    }

    /// The path by which the API server calls now.
    pub(crate) async fn path(&self) -> anyhow::Result<String> {
        let url = self.client_config().await?.url.context("no url")?;
        let (_, path) = url.split_once(&format!(":{}", self.tls_port)).context("another port")?;
        Ok(path.to_owned())
    }

    /// How the API server calls the webhook.
    pub(crate) async fn client_config(&self) -> anyhow::Result<WebhookClientConfig> {
        let name = format!("{}-injector", self.namespace);
        let api = Api::<MutatingWebhookConfiguration>::all(self.cluster.client()?);
        let webhook = api.get(&name).await?.webhooks.unwrap_or_default().into_iter().next();
        Ok(webhook.context("no webhook")?.client_config)
    }

    /// Applies the manifest of the webhook, as an installation or an upgrade does: with the plain path.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        self.cluster.kubectl_apply(&self.manifest).await?;
        Ok(())
    }

    /// What the counter `name` of `/metrics` shows.
    pub(crate) async fn count(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.get("/metrics").await?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("akv2k8s_{name}_total ")));
        Ok(line.context("no such metric")?.parse()?)
    }

    /// A request to the webhook's port, by a client that trusts what the API server was told to trust.
    pub(crate) async fn ask(&self, line: &str, body: &[u8]) -> anyhow::Result<String> {
        let bundle = self.client_config().await?.ca_bundle;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bundle.context("no caBundle")?.0) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.tls_port)).await?;
        let server = ServerName::try_from("127.0.0.1")?;
        let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await?;
        converse(stream, line, body).await
    }

    /// Asks the injector to stop, as SIGTERM does.
    pub(crate) fn stop(&mut self) {
        self.stop = None;
    }
}

/// One request on a connection of its own; all of the answer.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str, body: &[u8]) -> anyhow::Result<String> {
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    // A server that has heard enough answers before it has read all.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer).await;
    ensure!(!answer.is_empty(), "no answer: {read:?}");
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A pod with these containers.
pub(crate) fn pod(name: &str, containers: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}})
}

/// A container with this value in its variable `DB`.
pub(crate) fn app(value: &str) -> Value {
    json!({"name": "app", "image": "app:1", "command": ["app", "--serve"], "env": [{"name": "DB", "value": value}]})
}
