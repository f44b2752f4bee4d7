//! etcd, kube-apiserver and kube-controller-manager on one address, with all their files in one temporary folder.

use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tempfile::TempDir;

use super::access::Access;
use super::kubeconfig::Kubeconfig;
use super::pki::{self, Pki};
use super::process::Process;
use super::{Error, port};
use crate::provision::{Locations, Program};
use crate::wait::until;

/// How long one program may take to become ready; a few seconds are usual.
const START_LIMIT: Duration = Duration::from_secs(90);
/// Where etcd's data are, in the folder of all.
const STORE: &str = "etcd";
/// How often another port is tried when somebody else took the one that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;

/// Where the programs of a control plane run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Where the API server listens.
    pub(crate) address: Ipv4Addr,
    /// What is put before a program to start it there: a command that enters a network namespace, or nothing.
    pub(crate) prefix: Vec<OsString>,
}

impl Place {
    /// Here, for ourselves alone.
    pub(crate) fn loopback() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            prefix: Vec::new(),
        }
    }

    /// Whether nodes can reach the API server.
    fn has_nodes(&self) -> bool {
        !self.address.is_loopback()
    }

    fn start(&self, program: Program, path: &Path, arguments: &[String], folder: &Path) -> Result<Process, Error> {
        Process::start_behind(&self.prefix, path, arguments, [], folder)
            .map_err(Error::io(format!("start {}", program.name())))
    }
}

/// A control plane of our own. Everything stops, and the folder goes, with the value or with this process.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) access: Access,
    // Dropped in this order: the store last, its folder after it.
    controller_manager: Option<Process>,
    api_server: Option<Process>,
    #[expect(dead_code, reason = "held, not used: dropping it stops the store")]
    etcd: Process,
    folder: TempDir,
    pki: Pki,
    place: Place,
    api_server_program: PathBuf,
    api_server_arguments: Vec<String>,
}

impl Local {
    /// Starts all three programs and waits until the API server and the controllers work.
    pub(super) async fn start(locations: &Locations, place: Place) -> Result<Self, Error> {
        let etcd_program = locations.find(Program::Etcd)?;
        let api_server_program = locations.find(Program::ApiServer)?;
        let controller_manager_program = locations.find(Program::ControllerManager)?;

        let folder = tempfile::Builder::new()
            .prefix("akv2k8s-testbed-")
            .tempdir()
            .map_err(Error::io("create a temporary folder"))?;
        let path = folder.path();
        let pki = Pki::create(path, place.address).map_err(Error::io("create certificates"))?;

        let (etcd, etcd_port) = on_free_port(async |port| start_etcd(&etcd_program, port, path, &place).await).await?;
        let (api_server, api_server_port) = on_free_port(async |port| {
            let arguments = api_server_arguments(&place, port, etcd_port, &pki);
            let access = write_access(&place, port, &pki, path).await?;
            start_api_server(&api_server_program, &arguments, path, &access, &place).await
        })
        .await?;
        let access = write_access(&place, api_server_port, &pki, path).await?;
        let mut local = Self {
            access,
            controller_manager: None,
            api_server: Some(api_server),
            etcd,
            folder,
            api_server_program,
            api_server_arguments: api_server_arguments(&place, api_server_port, etcd_port, &pki),
            pki,
            place,
        };
        local.allow_issuer_discovery().await?;
        local.start_controller_manager(&controller_manager_program).await?;
        Ok(local)
    }

    /// The API server's certificate and key, PEM.
    pub(super) fn server_identity(&self) -> std::io::Result<(String, String)> {
        let read = |name| fs::read_to_string(self.folder.path().join(name));
        Ok((read(pki::SERVER_CERTIFICATE)?, read(pki::SERVER_KEY)?))
    }

    /// The key that signs the tokens of ServiceAccounts, PEM.
    pub(super) fn service_account_key(&self) -> std::io::Result<String> {
        fs::read_to_string(&self.pki.service_account_key_file)
    }

    /// The folder of etcd's data.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join(STORE)
    }

    /// The certificate of the authority that signs the certificates of users, PEM.
    pub(super) fn ca_file(&self) -> &Path {
        &self.pki.ca_file
    }

    /// A kubeconfig by which its holder is this user in these groups.
    pub(super) fn kubeconfig_of(&self, user: &str, groups: &[&str]) -> std::io::Result<String> {
        let pair = self.pki.client(user, groups)?;
        Ok(Kubeconfig::of(&self.access.server_url, &self.pki.ca(), &pair).to_string())
    }

    /// Kills the API server, as a crash would.
    pub(super) fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again with the same port, certificates and data, and waits until it is ready.
    pub(super) async fn start_api_server(&mut self) -> Result<(), Error> {
        let start = start_api_server(
            &self.api_server_program,
            &self.api_server_arguments,
            self.folder.path(),
            &self.access,
            &self.place,
        );
        self.api_server = Some(start.await?);
        Ok(())
    }

    /// Lets everybody read the issuer's keys, as managed clusters with federated identities do: Entra does not log in.
    async fn allow_issuer_discovery(&self) -> Result<(), Error> {
        let binding: ClusterRoleBinding = serde_json::from_value(json!({
            "metadata": {"name": "testbed:service-account-issuer-discovery"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:service-account-issuer-discovery",
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}],
        }))
        .expect("the document above is a ClusterRoleBinding");
        let api: Api<ClusterRoleBinding> = Api::all(self.access.client()?);
        api.create(&PostParams::default(), &binding)
            .await
            .map_err(Error::api("allow issuer discovery"))?;
        Ok(())
    }

    /// Its controllers work when the default namespace has its ServiceAccount.
    async fn start_controller_manager(&mut self, program: &Path) -> Result<(), Error> {
        let arguments = controller_manager_arguments(&self.access.kubeconfig, &self.pki);
        let folder = self.folder.path();
        let mut process = self
            .place
            .start(Program::ControllerManager, program, &arguments, folder)?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.access.client()?, "default");
        ready(Program::ControllerManager, &mut process, async |_| {
            accounts.get("default").await.is_ok()
        })
        .await?;
        self.controller_manager = Some(process);
        Ok(())
    }
}

/// Calls `start` with ports until it finds one that nobody took meanwhile.
async fn on_free_port(start: impl AsyncFn(u16) -> Result<Process, Error>) -> Result<(Process, u16), Error> {
    let mut attempt = 1;
    loop {
        let port = port::free().map_err(Error::io("find a free port"))?;
        match start(port).await {
            Ok(process) => return Ok((process, port)),
            Err(Error::NotStarted { tail, .. })
                if tail.contains("address already in use") && attempt < PORT_ATTEMPTS =>
            {
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until `look` says that the program works.
async fn ready(
    program: Program,
    process: &mut Process,
    mut look: impl AsyncFnMut(&Process) -> bool,
) -> Result<(), Error> {
    let why = until("readiness", START_LIMIT, async || {
        if process.has_ended().unwrap_or(true) {
            Some(Some("it ended by itself".to_owned()))
        } else {
            look(process).await.then_some(None)
        }
    })
    .await
    .unwrap_or_else(|timed_out| Some(timed_out.to_string()));
    match why {
        None => Ok(()),
        Some(why) => Err(Error::NotStarted {
            program: program.name(),
            why,
            tail: process.log_tail(),
        }),
    }
}

async fn start_etcd(program: &Path, port: u16, folder: &Path, place: &Place) -> Result<Process, Error> {
    let mut process = place.start(Program::Etcd, program, &etcd_arguments(port, folder), folder)?;
    // Its own words, since an answer on the port could be somebody else's.
    ready(Program::Etcd, &mut process, async |process| {
        process.log().contains("ready to serve client requests")
    })
    .await?;
    Ok(process)
}

async fn start_api_server(
    program: &Path,
    arguments: &[String],
    folder: &Path,
    access: &Access,
    place: &Place,
) -> Result<Process, Error> {
    let mut process = place.start(Program::ApiServer, program, arguments, folder)?;
    let client = access.client()?;
    // Only our server has a certificate that our client trusts.
    ready(Program::ApiServer, &mut process, async |_| {
        let request = hyper::Request::get("/readyz")
            .body(Vec::new())
            .expect("the path is valid");
        client.request_text(request).await.is_ok()
    })
    .await?;
    Ok(process)
}

/// Writes the administrator's kubeconfig for the server on `port`.
async fn write_access(place: &Place, port: u16, pki: &Pki, folder: &Path) -> Result<Access, Error> {
    let path = folder.join("kubeconfig");
    let text = Kubeconfig::of(&format!("https://{}:{port}", place.address), &pki.ca(), &pki.admin);
    fs::write(&path, text.to_string()).map_err(Error::io(format!("write {}", path.display())))?;
    Access::read(&path).await
}

fn etcd_arguments(port: u16, folder: &Path) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}");
    vec![
        format!("--data-dir={}", folder.join(STORE).display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        // There are no peers: any port will do.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        // The data need not outlive the machine, only the API server.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server_arguments(place: &Place, port: u16, etcd_port: u16, pki: &Pki) -> Vec<String> {
    let address = place.address;
    let issuer = format!("https://{address}:{port}");
    let mut arguments = vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
        format!("--bind-address={address}"),
        format!("--secure-port={port}"),
        format!("--advertise-address={address}"),
        format!("--tls-cert-file={}", pki.server_certificate_file.display()),
        format!("--tls-private-key-file={}", pki.server_key_file.display()),
        format!("--client-ca-file={}", pki.ca_file.display()),
        format!(
            "--service-account-key-file={}",
            pki.service_account_public_key_file.display()
        ),
        format!(
            "--service-account-signing-key-file={}",
            pki.service_account_key_file.display()
        ),
        format!("--service-account-issuer={issuer}"),
        format!("--service-account-jwks-uri={issuer}/openid/v1/jwks"),
        format!("--api-audiences={issuer}"),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--allow-privileged=true".to_owned(),
    ];
    if place.has_nodes() {
        arguments.extend([
            "--authorization-mode=Node,RBAC".to_owned(),
            format!("--kubelet-client-certificate={}", pki.admin_certificate_file.display()),
            format!("--kubelet-client-key={}", pki.admin_key_file.display()),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
        ]);
    } else {
        arguments.extend([
            "--authorization-mode=RBAC".to_owned(),
            // A loopback address is not allowed as the endpoint of the service `kubernetes`.
            "--endpoint-reconciler-type=none".to_owned(),
        ]);
    }
    arguments
}

fn controller_manager_arguments(kubeconfig: &Path, pki: &Pki) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!(
            "--service-account-private-key-file={}",
            pki.service_account_key_file.display()
        ),
        format!("--root-ca-file={}", pki.ca_file.display()),
        "--leader-elect=false".to_owned(),
        // No port of its own.
        "--secure-port=0".to_owned(),
        // Tests delete thousands of objects by deleting their owner or namespace.
        "--kube-api-qps=500".to_owned(),
        "--kube-api-burst=1000".to_owned(),
    ]
}
