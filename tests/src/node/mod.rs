//! A real node: kubelet, kube-proxy, scheduler, containerd and runc below a real control plane, in namespaces of their own.
//!
//! ```no_run
//! # async fn test() -> anyhow::Result<()> {
//! use akv2k8s_testbed::image::{File, Image};
//! use akv2k8s_testbed::node::{Node, guest};
//!
//! let node = Node::start().await?;                        // ready for pods in seconds
//! let app = Image::scratch([File::program("/app", std::fs::read("target/app")?)]).entrypoint(["/app"]);
//! node.add_image("localhost/app:1", &app).await?;         // no registry: the node has it
//! let emulator = node.emulator().await?;                  // https://NAME.vault.azure.net for pods
//! node.cluster.kubectl(&["run", "demo", "--image", guest::IMAGE, "--", "env"]).await?.success()?;
//! let log = node.log("default", "demo").await?;           // when it has ended
//! # Ok(()) }
//! ```
//!
//! * Pods reach the node, each other, Services, and us at [`Node::gateway`]; nothing leaves the machine.
//! * The node's name server has a zone of the tests' own ([`Node::set_name`]) and the Services of the cluster
//!   (`NAME.NAMESPACE.svc.cluster.local`, with the usual search list).
//! * `169.254.169.254` is the emulator's, once [`Node::emulator`] was called.
//! * [`guest`] is a static program for pods, and its image: every node has it.
//! * Nothing is left behind, whatever ends the test: one process holds all namespaces (see `sandbox`).
//! * [`probe`] says what a machine lacks. It needs root.

mod cgroup;
mod dns;
pub mod guest;
mod kubernetes;
mod probe;
mod runtime;
mod sandbox;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

use self::kubernetes::Programs;
use self::runtime::Runtime;
use self::sandbox::Sandbox;
use crate::controlplane::{ControlPlane, Place};
use crate::emulator::{Emulator, Names, Options};
use crate::image::{File, Image};
use crate::wait::until;

pub use self::dns::Dns;
pub use self::probe::{Missing, available, is_required, probe, probe_machine};

/// The name of the node.
pub const NAME: &str = "node";

/// How long a pod may take to start, or to end; a second or two are usual.
const POD_LIMIT: Duration = Duration::from_mins(3);

/// A running node with its control plane. Dropping it ends everything.
pub struct Node {
    // Dropped in this order.
    dns: Dns,
    programs: Programs,
    runtime: Runtime,
    /// The control plane that the node belongs to.
    pub cluster: ControlPlane,
    sandbox: Sandbox,
    startup_time: Duration,
}

impl Node {
    /// Starts a control plane and a node below it, and waits until the node is ready for pods.
    ///
    /// # Errors
    /// What [`probe`] finds, or a program that does not start, with the end of its log.
    pub async fn start() -> anyhow::Result<Self> {
        probe()?;
        let guest = guest::image()?;
        let start = Instant::now();
        let sandbox = Sandbox::start().await?;
        let runtime = Runtime::start(&sandbox, &pause()?).await?;
        runtime.import(guest::IMAGE, &guest).await?;
        let place = Place {
            address: sandbox.address(),
            prefix: sandbox.in_network(),
        };
        let cluster = ControlPlane::start_at(place).await?;
        let dns = Dns::start(sandbox.gateway(), cluster.client()?).await?;
        let programs = Programs::start(&sandbox, &cluster, &runtime).await?;
        Ok(Self {
            dns,
            programs,
            runtime,
            cluster,
            sandbox,
            startup_time: start.elapsed(),
        })
    }

    /// How long the start took, without building programs.
    pub fn startup_time(&self) -> Duration {
        self.startup_time
    }

    /// The node's address, at which we reach its ports.
    pub fn address(&self) -> Ipv4Addr {
        self.sandbox.address()
    }

    /// Our address, at which the node and its pods reach what listens there.
    pub fn gateway(&self) -> Ipv4Addr {
        self.sandbox.gateway()
    }

    /// The name of its network interface on our side, and of its control groups.
    pub fn interface(&self) -> &str {
        self.sandbox.name()
    }

    /// Where its files are while it lives.
    pub fn folder(&self) -> &Path {
        self.sandbox.folder()
    }

    /// Lets pods start containers from `image` under `name`, which must have a registry's host, a repository and a tag other than
    /// `latest`: `localhost/app:1`.
    ///
    /// # Errors
    /// containerd refuses it.
    pub async fn add_image(&self, name: &str, image: &Image) -> anyhow::Result<()> {
        self.runtime.import(name, image).await
    }

    /// Gives a name, or with `*.` in front every name below it, an address in the zone of the node's name server.
    pub fn set_name(&self, name: &str, address: Ipv4Addr) {
        self.dns.set(name, address);
    }

    /// Takes a name out of the zone.
    pub fn remove_name(&self, name: &str) {
        self.dns.remove(name);
    }

    /// Starts an emulator that pods reach by the names of the public cloud (`https://NAME.vault.azure.net`,
    /// `https://login.microsoftonline.com`) and at the address of the metadata service, and that trusts the tokens of this cluster.
    /// Pods must be told to trust [`Emulator::ca_pem`]. One at a time.
    ///
    /// # Errors
    /// The ports are taken.
    pub async fn emulator(&self) -> anyhow::Result<Emulator> {
        let gateway = self.gateway();
        let options = Options {
            listen: SocketAddr::from((gateway, 443)),
            imds_listen: SocketAddr::from((gateway, 80)),
            names: Names::Public,
            ..Options::default()
        };
        let emulator = Emulator::start(options).await?;
        emulator.entra().trust_issuer_ca(self.cluster.ca_pem());
        self.set_name("*.vault.azure.net", gateway);
        self.set_name("login.microsoftonline.com", gateway);
        Ok(emulator)
    }

    /// Waits until a pod's containers have ended, and gives its phase: `Succeeded` or `Failed`.
    ///
    /// # Errors
    /// It does not end in time: what became of it until then.
    pub async fn ended(&self, namespace: &str, pod: &str) -> anyhow::Result<String> {
        self.until_phase(namespace, pod, &["Succeeded", "Failed"]).await
    }

    /// Waits until a pod's containers run.
    ///
    /// # Errors
    /// It does not run in time: what became of it until then.
    pub async fn running(&self, namespace: &str, pod: &str) -> anyhow::Result<()> {
        self.until_phase(namespace, pod, &["Running"]).await.map(drop)
    }

    async fn until_phase(&self, namespace: &str, pod: &str, phases: &[&str]) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client()?, namespace);
        let what = format!("pod {namespace}/{pod} to be {}", phases.join(" or "));
        let waited = until(&what, POD_LIMIT, async || {
            let phase = pods.get(pod).await.ok()?.status?.phase?;
            phases.contains(&phase.as_str()).then_some(phase)
        })
        .await;
        match waited {
            Ok(phase) => Ok(phase),
            Err(timed_out) => Err(timed_out).context(self.describe(namespace, pod).await),
        }
    }

    /// Waits until kube-proxy knows where the connections to a Service go.
    ///
    /// # Errors
    /// It does not in time.
    pub async fn service_ready(&self, namespace: &str, service: &str) -> anyhow::Result<()> {
        let name = format!("\"{namespace}/{service}");
        let is_its = |rule: &str| {
            let rest = rule.split_once(&name).map(|(_, rest)| rest);
            rule.contains("-j KUBE-SEP-") && rest.is_some_and(|rest| rest.starts_with([' ', ':']))
        };
        let what = format!("kube-proxy's rules for {namespace}/{service}");
        until(&what, POD_LIMIT, async || {
            let rules = self.sandbox.output("iptables-save -t nat").await.ok()?;
            rules.lines().any(is_its).then_some(())
        })
        .await?;
        Ok(())
    }

    /// Waits until a pod has ended, and gives what its only container printed.
    ///
    /// # Errors
    /// It does not end in time, or kubectl fails.
    pub async fn log(&self, namespace: &str, pod: &str) -> anyhow::Result<String> {
        self.ended(namespace, pod).await?;
        self.log_now(namespace, pod).await
    }

    /// What a pod's only container has printed until now.
    ///
    /// # Errors
    /// kubectl fails.
    pub async fn log_now(&self, namespace: &str, pod: &str) -> anyhow::Result<String> {
        let output = self.cluster.kubectl(&["--namespace", namespace, "logs", pod]).await?;
        Ok(output.success()?)
    }

    /// Runs a command in a pod's only container and gives what it printed.
    ///
    /// # Errors
    /// kubectl fails, or the command does.
    pub async fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> anyhow::Result<String> {
        let arguments = [&["--namespace", namespace, "exec", pod, "--"], command].concat();
        Ok(self.cluster.kubectl(&arguments).await?.success()?)
    }

    /// Sends a signal to the first process of a pod's running container, as the kubelet does when it ends one.
    ///
    /// # Errors
    /// There is no such container.
    pub async fn signal(&self, namespace: &str, pod: &str, container: &str, signal: &str) -> anyhow::Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client()?, namespace);
        let status = pods.get(pod).await?.status.unwrap_or_default();
        let statuses = status.container_statuses.unwrap_or_default();
        let id = statuses.into_iter().find(|it| it.name == container);
        let id = id.and_then(|it| it.container_id?.strip_prefix("containerd://").map(str::to_owned));
        let id = id.with_context(|| format!("container {container} of pod {namespace}/{pod} does not run"))?;
        self.runtime.signal(&id, signal).await
    }

    /// All that is known of a pod, for the message of a failed test.
    pub async fn describe(&self, namespace: &str, pod: &str) -> String {
        let arguments = ["--namespace", namespace, "describe", "pod", pod];
        let described = match self.cluster.kubectl(&arguments).await {
            Ok(output) => output.stdout + &output.stderr,
            Err(error) => error.to_string(),
        };
        let (kubelet, containerd) = (self.programs.log_tail(), self.runtime.log_tail());
        format!("{described}\nthe last lines of kubelet:\n{kubelet}\nthe last lines of containerd:\n{containerd}")
    }
}

/// The image of the container that holds a pod's namespaces.
fn pause() -> anyhow::Result<Image> {
    let bytes = std::fs::read(crate::statics::guest()?)?;
    Ok(Image::scratch([File::program(guest::PATH, bytes)])
        .entrypoint([guest::PATH, "wait"])
        .user("65532:65532"))
}
