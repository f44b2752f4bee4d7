//! A broker behind TLS, pods whose tokens the API server made, and a client like the wrapper.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use akv2k8s_envinjector::broker::{Broker, Metrics, Options, router};
use akv2k8s_envinjector::cluster::Cluster;
use akv2k8s_envinjector::pki::{self, Pki};
use akv2k8s_envinjector::server::{Door, Limits, Phase, Phases};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::grants::RuleFile;
use akv2k8s_shared::http::{self, HttpClient};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::wire::{self, Refusal, Values};
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::readers::{Readers, ServiceAccounts};
use akv2k8s_testbed::emulator::Counts;
use akv2k8s_testbed::emulator::Operation;
use akv2k8s_testbed::hardened;
use akv2k8s_testbed::log::Log;
use akv2k8s_testbed::stack::rights;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const ISOLATION: &str = include_str!("../../../examples/isolation/01-cluster.yaml");

/// What a test may want otherwise.
pub(crate) struct Wish {
    pub(crate) options: Options,
    pub(crate) limits: Limits,
    pub(crate) grants: Option<PathBuf>,
    /// Whether vaults are read as ServiceAccounts; the broker has the rights of `examples/` then and no others.
    pub(crate) identities: bool,
    /// Whether the broker gets to see what is in the cluster.
    pub(crate) watches: bool,
    /// The namespaces that are served, and the broker has rights in the stage's alone then; `None`: all.
    pub(crate) served: Option<BTreeSet<String>>,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            options: Options {
                max_age: Duration::from_mins(1),
                max_stale: Duration::ZERO,
            },
            limits: Limits::default(),
            grants: None,
            identities: false,
            watches: true,
            served: None,
        }
    }
}

pub(crate) struct Bed {
    pub(crate) stage: Stage,
    pub(crate) port: u16,
    pub(crate) cluster: Cluster,
    pub(crate) vaults: KeyVault,
    registry: Registry,
    client: kube::Client,
    tls: TlsConnector,
    questions: Arc<Questions>,
    tasks: Vec<JoinHandle<()>>,
}

/// An answer of the broker.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<u64>,
    body: Vec<u8>,
}

impl Answer {
    /// Reference → value.
    pub(crate) fn values(&self) -> BTreeMap<String, String> {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, 200, "{text}");
        let values = Values::from_json(&self.body).unwrap().0;
        values
            .into_iter()
            .map(|(reference, value)| (reference, value.expose_str().unwrap().to_owned()))
            .collect()
    }

    pub(crate) fn refusal(&self) -> Refusal {
        let text = String::from_utf8_lossy(&self.body);
        assert_ne!(self.status, 200, "{text}");
        serde_json::from_slice(&self.body).expect(&text)
    }

    /// Status and code.
    pub(crate) fn denial(&self) -> (u16, String) {
        (self.status, self.refusal().code)
    }
}

impl Bed {
    pub(crate) async fn new(prefix: &str) -> anyhow::Result<Self> {
        Self::with(prefix, |_| Wish::default()).await
    }

    pub(crate) async fn with(prefix: &str, wish: impl FnOnce(&Stage) -> Wish) -> anyhow::Result<Self> {
        Box::pin(Self::build(prefix, wish)).await
    }

    async fn build(prefix: &str, wish: impl FnOnce(&Stage) -> Wish) -> anyhow::Result<Self> {
        log();
        let stage = Stage::new(prefix).await?;
        let Wish {
            options,
            limits,
            grants,
            identities,
            watches,
            served,
        } = wish(&stage);
        let client = stage.cluster.client()?;
        enable(&client, stage.namespace.name(), names::ENABLED).await?;

        let pki = Pki::open(
            client.clone(),
            pki::Options {
                namespace: stage.namespace.name().to_owned(),
                secret: "akv2k8s-envinjector-pki".to_owned(),
                names: vec!["127.0.0.1".to_owned()],
                webhook_configuration: None,
                publishes_ca: true,
                clock: Arc::new(Timestamp::now),
            },
        )
        .await?;
        let own = match &served {
            Some(served) => narrowed(&stage, served).await?,
            None if identities => installed(&stage).await?,
            None => client.clone(),
        };
        let (counted, questions) = counted(&own);
        let (cluster, watching) = Cluster::watch(&own, served.as_ref());
        let rules = Arc::new(RuleFile::new(grants));
        rules.load().await?;
        let (identity, vaults, http) = azure(&stage, options.max_age)?;
        let accounts = identities.then(|| ServiceAccounts::new(own.clone(), identity.clone(), http));
        let mut registry = Registry::with_prefix("akv2k8s");
        let metrics = Metrics::new(&mut registry);
        let readers = Readers::new(identity, accounts);
        let broker = Broker::new(
            counted,
            cluster.clone(),
            vaults.clone(),
            readers,
            rules,
            metrics,
            &options,
        );
        let broker = Arc::new(broker);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let door = Door {
            listener,
            tls: Some(pki.server_config()),
            router: router(Arc::clone(&broker)),
            limits,
        };
        let phases = Phases::default();
        phases.enter(Phase::Serving);
        let mut tasks = vec![
            tokio::spawn(door.serve(phases)),
            tokio::spawn(async move { broker.follow().await }),
        ];
        if watches {
            tasks.push(tokio::spawn(watching));
            cluster.synced().await;
        }
        let bed = Self {
            stage,
            port,
            cluster,
            vaults,
            registry,
            client,
            tls: trusting(&pki.bundle()),
            questions,
            tasks,
        };
        if watches {
            bed.wait_for_label(bed.stage.namespace.name(), names::ENABLED).await?;
        }
        Ok(bed)
    }

    /// An AKVS `name` of the secret `object` in `vault`; waits until the broker knows it.
    pub(crate) async fn akvs(&self, name: &str, vault: &str, object: &str) -> anyhow::Result<()> {
        let spec = format!("{{vault: {{name: {vault}, object: {{name: {object}, type: secret}}}}}}");
        self.stage.apply(name, &spec).await?;
        let known = async || {
            let specs = self.cluster.specs(self.stage.namespace.name());
            (specs.get(name)?["vault"]["object"]["name"] == object).then_some(())
        };
        Ok(until(&format!("the broker to know {name}"), PATIENCE, known).await?)
    }

    /// Waits until the broker knows the label of `namespace`.
    pub(crate) async fn wait_for_label(&self, namespace: &str, value: &str) -> anyhow::Result<()> {
        let known = async || {
            let labels = self.cluster.labels(namespace)?;
            (labels.get(names::LABEL).map_or("", String::as_str) == value).then_some(())
        };
        Ok(until("the broker to know a label", PATIENCE, known).await?)
    }

    /// Another namespace; `label` is the value of the injection label.
    pub(crate) async fn namespace(&self, label: &str) -> anyhow::Result<akv2k8s_testbed::controlplane::Namespace> {
        let namespace = self.unseen_namespace(label).await?;
        self.wait_for_label(namespace.name(), label).await?;
        Ok(namespace)
    }

    /// The same, and the broker may not know of it.
    pub(crate) async fn unseen_namespace(
        &self,
        label: &str,
    ) -> anyhow::Result<akv2k8s_testbed::controlplane::Namespace> {
        let namespace = self.stage.cluster.namespace("other").await?;
        enable(&self.client, namespace.name(), label).await?;
        Ok(namespace)
    }

    /// A pod as the webhook leaves it, in the stage's namespace.
    pub(crate) async fn pod(&self, name: &str) -> anyhow::Result<Pod> {
        self.pod_in(self.stage.namespace.name(), &prepared(name)).await
    }

    pub(crate) async fn pod_in(&self, namespace: &str, pod: &Value) -> anyhow::Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pod = serde_json::from_value(pod.clone())?;
        Ok(pods.create(&PostParams::default(), &pod).await?)
    }

    /// Deletes the pod at once, as the kubelet does at the end.
    pub(crate) async fn delete(&self, pod: &Pod) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
            .await?;
        let gone = async || pods.get_opt(&pod.name_any()).await.ok()?.is_none().then_some(());
        Ok(until("the pod to go", PATIENCE, gone).await?)
    }

    /// The token that the kubelet would project into `pod`.
    pub(crate) async fn token(&self, pod: &Pod) -> anyhow::Result<String> {
        self.token_for(pod, names::TOKEN_AUDIENCE).await
    }

    pub(crate) async fn token_for(&self, pod: &Pod, audience: &str) -> anyhow::Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: Some(vec![audience.to_owned()]),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: pod.metadata.name.clone(),
                    uid: pod.metadata.uid.clone(),
                }),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request("default", &PostParams::default(), &request)
            .await?;
        Ok(answer.status.unwrap().token.unwrap())
    }

    /// Asks as the wrapper does.
    pub(crate) async fn ask(&self, token: &str, references: &[&str]) -> anyhow::Result<Answer> {
        let body = json!({"references": references}).to_string();
        self.post(token, body.into()).await
    }

    pub(crate) async fn post(&self, token: &str, body: Bytes) -> anyhow::Result<Answer> {
        let request = Request::post(wire::PATH)
            .header("host", "broker")
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(body))?;
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends with the answer.
        tokio::spawn(connection);
        let answer: Response<_> = sender.send_request(request).await?;
        let retry_after = answer.headers().get("retry-after");
        Ok(Answer {
            status: answer.status().as_u16(),
            retry_after: retry_after.map(|it| it.to_str().unwrap().parse().unwrap()),
            body: answer.into_body().collect().await?.to_bytes().to_vec(),
        })
    }

    /// A TLS connection to the broker, which trusts the bundle that pods get.
    pub(crate) async fn connect(&self) -> anyhow::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        Ok(self.tls.connect(ServerName::try_from("127.0.0.1")?, stream).await?)
    }

    /// What the emulator was asked so far.
    pub(crate) fn asked(&self) -> Counts {
        self.stage.emulator.journal().counts()
    }

    /// How often the API server was asked about a token.
    pub(crate) fn reviews(&self) -> u64 {
        self.questions.reviews.load(Ordering::SeqCst)
    }

    /// How often it was asked for a pod.
    pub(crate) fn looks(&self) -> u64 {
        self.questions.looks.load(Ordering::SeqCst)
    }

    /// How many times a vault gave a secret.
    pub(crate) fn reads(&self) -> u64 {
        self.asked().with_status(Operation::SECRET_GET, 200)
    }

    /// Everything that is counted, as Prometheus reads it.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What the broker asked the API server.
#[derive(Default)]
struct Questions {
    reviews: AtomicU64,
    looks: AtomicU64,
}

/// A client whose token reviews and looks at pods are counted.
fn counted(client: &kube::Client) -> (kube::Client, Arc<Questions>) {
    let (inner, count) = (client.clone(), Arc::<Questions>::default());
    let counter = Arc::clone(&count);
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let path = request.uri().path();
        let (is_review, is_look) = (path.ends_with("/tokenreviews"), path.contains("/pods/"));
        counter.reviews.fetch_add(is_review.into(), Ordering::SeqCst);
        counter.looks.fetch_add(is_look.into(), Ordering::SeqCst);
        let inner = inner.clone();
        async move { inner.send(request).await }
    });
    (kube::Client::new(service, "default"), count)
}

/// What this process has logged. One log for all tests: tracing decides once for each line of code whether anybody listens.
pub(crate) fn log() -> &'static Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false);
        subscriber.init();
        log
    });
    &LOG
}

/// The lines of the audit log about `namespace` that hold `words`.
pub(crate) fn audited(namespace: &str, words: &str) -> Vec<String> {
    let namespace = format!("namespace=\"{namespace}\"");
    let is_wanted =
        |line: &&str| line.contains("akv2k8s_envinjector::audit") && line.contains(&namespace) && line.contains(words);
    log().text().lines().filter(is_wanted).map(str::to_owned).collect()
}

/// A pod as the webhook leaves it.
pub(crate) fn prepared(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "initContainers": [{"name": names::INIT_CONTAINER, "image": "env"}],
            "containers": [{"name": "app", "image": "app", "command": [names::WRAPPER], "args": ["app"]}],
        },
    })
}

async fn enable(client: &kube::Client, namespace: &str, value: &str) -> anyhow::Result<()> {
    let patch = json!({"metadata": {"labels": {names::LABEL: value}}});
    let api: Api<Namespace> = Api::all(client.clone());
    api.patch(namespace, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}

/// Installs the rights of the env injector; gives a client that has them and no others.
async fn installed(stage: &Stage) -> anyhow::Result<kube::Client> {
    stage.emulator.entra().trust_issuer_ca(stage.cluster.ca_pem());
    let create = ["create", "namespace", "akv2k8s"];
    // It may be there already.
    stage.cluster.kubectl(&create).await?;
    for manifests in [&*hardened::injector_rights()?, ISOLATION] {
        stage.cluster.kubectl_apply(manifests).await?;
    }
    Ok(stage
        .cluster
        .client_as_service_account("akv2k8s", "akv2k8s-envinjector")?)
}

/// A client of an env injector that serves these namespaces, and has its rights in the stage's alone.
async fn narrowed(stage: &Stage, served: &BTreeSet<String>) -> anyhow::Result<kube::Client> {
    let own = stage.namespace.name();
    let name = format!("{own}-injector");
    let served: Vec<_> = served.iter().map(String::as_str).collect();
    let own_rights = rights::renamed(&hardened::injector_rights()?, own, &name);
    let narrowed = rights::narrowed(&own_rights, own, &served)?;
    stage.cluster.kubectl_apply(&narrowed).await?;
    Ok(stage.cluster.client_as_service_account(own, &name)?)
}

/// The identity of the stage's application, a client of its vaults, and what both are made with.
fn azure(stage: &Stage, answers_kept: Duration) -> anyhow::Result<(Provider, KeyVault, HttpClient)> {
    let file = |name: &str| stage.files().join(name).display().to_string();
    let variables = [
        ("SSL_CERT_FILE", file("ca.pem")),
        ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
        ("AZURE_ENVIRONMENT_FILEPATH", file("cloud.json")),
        ("AZURE_TENANT_ID", stage.emulator.entra().tenant_id().to_owned()),
        ("AZURE_CLIENT_ID", stage.app.client_id().to_owned()),
        ("AZURE_CLIENT_SECRET", stage.app.add_secret()),
    ];
    let environment: Environment = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let http = HttpClient::from_environment(&environment, http::Limits::default())?;
    let identity = Provider::new(environment, AuthType::Environment, PathBuf::new(), http.clone());
    let settings = Settings {
        answers_kept,
        retries: 0,
        ..Settings::default()
    };
    Ok((identity, KeyVault::new(http.clone(), settings), http))
}

fn trusting(bundle: &str) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
