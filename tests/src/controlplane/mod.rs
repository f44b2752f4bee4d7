//! A real control plane (etcd, kube-apiserver, kube-controller-manager) for tests and the demo.
//!
//! ```no_run
//! # use akv2k8s_testbed::controlplane::ControlPlane;
//! # use k8s_openapi::api::core::v1::Secret;
//! # async fn test() -> anyhow::Result<()> {
//! let cluster = ControlPlane::shared().await?;              // one per test process, up in seconds, never stopped by hand
//! let namespace = cluster.namespace("drift").await?;        // fresh: drift-x7k2p
//! let secrets: kube::Api<Secret> = kube::Api::namespaced(cluster.client()?, namespace.name());
//! let table = cluster.kubectl(&["-n", namespace.name(), "get", "secrets"]).await?.success()?;
//! cluster.kubectl_apply("apiVersion: v1\nkind: …").await?;  // `kubectl apply -f -`
//! # Ok(()) }
//! ```
//!
//! * [`ControlPlane::shared`] is what tests use. Tests that restart the API server, or that count what the whole server does, take
//!   one of their own with [`ControlPlane::start`].
//! * A client belongs to the runtime it was made in: call [`ControlPlane::client`] in each test, never share one through a static.
//! * The server is a real token issuer: [`ControlPlane::issuer`] with discovery that anybody may read, tokens by
//!   [`ControlPlane::service_account_token`] (ES256), or from the `TokenRequest` API as ever.
//! * Nothing outlives the test process, whatever ends it: each program is held by a pipe from it (`supervise.sh`).
//! * `AKV2K8S_TEST_KUBECONFIG` names a kubeconfig of a cluster to use instead. `KUBECONFIG` is left alone on purpose: nobody
//!   should run a test suite against production by forgetting a variable.

mod access;
pub mod cli;
mod error;
mod kubeconfig;
mod kubectl;
mod local;
mod namespace;
mod pki;
mod port;
pub(crate) mod process;
mod resign;

use std::env;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace as CoreNamespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::{Mutex, OnceCell};

use self::access::Access;
use self::kubectl::Kubectl;
use self::local::Local;
pub(crate) use self::local::Place;
use crate::provision::{Locations, Program};
use crate::wait::until;

pub use self::error::Error;
pub use self::kubeconfig::Kubeconfig;
pub use self::kubectl::Output;
pub use self::namespace::Namespace;

/// The variable that names a kubeconfig of an existing cluster.
pub const KUBECONFIG_VARIABLE: &str = "AKV2K8S_TEST_KUBECONFIG";

/// How long a fresh namespace may wait for its ServiceAccount.
const NAMESPACE_LIMIT: Duration = Duration::from_secs(30);

/// A running control plane: one of our own, or a cluster that was there before.
#[derive(Debug)]
pub struct ControlPlane {
    access: Access,
    kubectl: Kubectl,
    /// Absent for a cluster that was there before.
    local: Option<Box<Mutex<Local>>>,
    startup_time: Duration,
}

impl ControlPlane {
    /// The control plane of this process, started by the first caller. It stops with the process. When it could not be started,
    /// every caller is told why.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: OnceCell<Result<ControlPlane, Error>> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await.as_ref().map_err(Error::Shared)
    }

    /// A control plane of the caller's own, stopped when it is dropped; or the cluster that [`KUBECONFIG_VARIABLE`] names.
    pub async fn start() -> Result<Self, Error> {
        match env::var_os(KUBECONFIG_VARIABLE) {
            Some(path) if !path.is_empty() => Self::existing(Path::new(&path)).await,
            _ => Self::start_at(Place::loopback()).await,
        }
    }

    /// Uses the cluster of a kubeconfig's current context.
    pub async fn existing(kubeconfig: &Path) -> Result<Self, Error> {
        let start = Instant::now();
        let access = Access::read(kubeconfig).await?;
        access
            .client()?
            .apiserver_version()
            .await
            .map_err(Error::api(format!("reach {}", access.server_url)))?;
        let cache = env::temp_dir().join("akv2k8s-testbed-kubectl-cache");
        Self::new(access, cache, None, &Locations::from_env(), start)
    }

    /// One of the caller's own somewhere else.
    pub(crate) async fn start_at(place: Place) -> Result<Self, Error> {
        let start = Instant::now();
        let locations = &Locations::from_env();
        let local = Local::start(locations, place).await?;
        let access = local.access.clone();
        let cache = access.kubeconfig.with_file_name("kubectl-cache");
        Self::new(access, cache, Some(Box::new(Mutex::new(local))), locations, start)
    }

    fn new(
        access: Access,
        cache: PathBuf,
        local: Option<Box<Mutex<Local>>>,
        locations: &Locations,
        start: Instant,
    ) -> Result<Self, Error> {
        let program = locations.find(Program::Kubectl)?;
        let kubectl = Kubectl {
            program,
            kubeconfig: access.kubeconfig.clone(),
            cache,
        };
        Ok(Self {
            access,
            kubectl,
            local,
            startup_time: start.elapsed(),
        })
    }

    /// How long the start took.
    pub fn startup_time(&self) -> Duration {
        self.startup_time
    }

    /// A new client with all rights, for the runtime it is called in.
    pub fn client(&self) -> Result<Client, Error> {
        self.access.client()
    }

    /// A new client that acts as a user in groups (by impersonation), with just the rights that RBAC gives these.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client, Error> {
        self.access.client_as(user, groups)
    }

    /// A new client that acts as a ServiceAccount.
    pub fn client_as_service_account(&self, namespace: &str, name: &str) -> Result<Client, Error> {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let group = format!("system:serviceaccounts:{namespace}");
        self.client_as(&user, &["system:authenticated", "system:serviceaccounts", &group])
    }

    /// A kubeconfig with all rights. It needs no other file.
    pub fn kubeconfig(&self) -> &Path {
        &self.access.kubeconfig
    }

    /// A kubeconfig for somebody else: `user` as kubeconfigs have users.
    pub fn kubeconfig_with(&self, user: serde_json::Value) -> Kubeconfig {
        Kubeconfig::new(self.server_url(), self.ca_pem(), user)
    }

    /// `https://ADDRESS:PORT`; no slash at the end.
    pub fn server_url(&self) -> &str {
        &self.access.server_url
    }

    /// The authorities that signed the server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.access.ca_pem
    }

    /// The API server's own certificate and key, PEM: for something that stands in front of it.
    pub async fn server_identity(&self) -> Result<(String, String), Error> {
        let local = self.ours("take the API server's certificate")?.lock().await;
        local
            .server_identity()
            .map_err(Error::io("read the API server's certificate"))
    }

    /// The certificate of the authority that signs the certificates of users (PEM), in a file.
    pub(crate) async fn user_authority(&self) -> Result<PathBuf, Error> {
        let local = self.ours("take the authority of users")?.lock().await;
        Ok(local.ca_file().to_owned())
    }

    /// A kubeconfig (YAML) by which its holder is this user in these groups.
    pub(crate) async fn kubeconfig_of(&self, user: &str, groups: &[&str]) -> Result<String, Error> {
        let local = self.ours("sign the certificate of a user")?.lock().await;
        local
            .kubeconfig_of(user, groups)
            .map_err(Error::io(format!("sign a certificate of {user}")))
    }

    /// The issuer of ServiceAccount tokens, as its own discovery document names it.
    pub async fn issuer(&self) -> Result<String, Error> {
        let what = "read the issuer's discovery document";
        let request = hyper::Request::get("/.well-known/openid-configuration").body(Vec::new());
        let request = request.expect("the path is valid");
        let document: serde_json::Value = self.client()?.request(request).await.map_err(Error::api(what))?;
        Ok(document["issuer"].as_str().unwrap_or_default().to_owned())
    }

    /// A fresh namespace, named `prefix` and something random, with its ServiceAccount `default`.
    pub async fn namespace(&self, prefix: &str) -> Result<Namespace, Error> {
        let client = self.client()?;
        let metadata = ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            ..ObjectMeta::default()
        };
        let namespace = CoreNamespace {
            metadata,
            ..CoreNamespace::default()
        };
        let created = Api::<CoreNamespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await;
        let name = created
            .map_err(Error::api(format!("create a namespace {prefix}-…")))?
            .metadata
            .name;
        let name = name.expect("the server names what it created");
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &name);
        let account = async || accounts.get("default").await.ok();
        until(&format!("ServiceAccount default in {name}"), NAMESPACE_LIMIT, account).await?;
        Ok(Namespace::new(name, self.local.is_none().then(|| self.kubectl.clone())))
    }

    /// A token of a ServiceAccount for one audience, valid for an hour.
    pub async fn service_account_token(&self, namespace: &str, name: &str, audience: &str) -> Result<String, Error> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let spec = TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await;
        let answer = answer.map_err(Error::api(format!("get a token of ServiceAccount {namespace}/{name}")))?;
        Ok(answer
            .status
            .and_then(|status| status.token)
            .expect("the server answers a token request with a token"))
    }

    /// A ServiceAccount's token with other claims, signed as the server signs: for tokens that it does not give, such as expired ones.
    pub async fn resigned(&self, token: &str, change: impl FnOnce(&mut serde_json::Value)) -> Result<String, Error> {
        let local = self.ours("sign a token")?.lock().await;
        let key = local
            .service_account_key()
            .map_err(Error::io("read the key of tokens"))?;
        resign::resign(&key, token, change).map_err(Error::io("sign a token"))
    }

    /// The folder with everything that the server has stored, as etcd writes it.
    pub async fn store(&self) -> Result<PathBuf, Error> {
        Ok(self.ours("find the server's store")?.lock().await.store())
    }

    /// Runs kubectl with these arguments. Another exit code than 0 is no error here: see [`Output::success`].
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output, Error> {
        self.kubectl.run(arguments, "").await
    }

    /// The kubectl that is run, for those who set up its environment themselves.
    pub fn kubectl_program(&self) -> &Path {
        &self.kubectl.program
    }

    /// Runs kubectl with these arguments and this standard input (for `-f -`).
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Output, Error> {
        self.kubectl.run(arguments, input).await
    }

    /// Applies manifests (YAML) and gives what kubectl printed.
    pub async fn kubectl_apply(&self, manifests: &str) -> Result<String, Error> {
        let apply = async || self.kubectl.run(&["apply", "-f", "-"], manifests).await;
        let mut output = apply().await?;
        // kubectl looks, then creates: another test has created the same in between.
        if output.stderr.contains("(AlreadyExists)") {
            output = apply().await?;
        }
        output.success()
    }

    /// Kills the API server as a crash would. Never on the shared one: other tests run on it.
    pub async fn stop_api_server(&self) -> Result<(), Error> {
        self.ours("stop the API server")?.lock().await.stop_api_server();
        Ok(())
    }

    /// Starts a stopped API server with the same address, certificates and data, and waits until it is ready.
    pub async fn start_api_server(&self) -> Result<(), Error> {
        self.ours("start the API server")?.lock().await.start_api_server().await
    }

    /// Kills the API server and starts it again after `downtime`.
    pub async fn restart_api_server(&self, downtime: Duration) -> Result<(), Error> {
        self.stop_api_server().await?;
        tokio::time::sleep(downtime).await;
        self.start_api_server().await
    }

    fn ours(&self, what: &'static str) -> Result<&Mutex<Local>, Error> {
        self.local.as_deref().ok_or(Error::NotOurs(what))
    }
}
