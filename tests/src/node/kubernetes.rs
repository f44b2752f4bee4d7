//! The programs that make pods run: scheduler, kubelet, kube-proxy.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Node as CoreNode;
use kube::Api;
use serde_json::{Value, json};

use super::NAME;
use super::dns::CLUSTER_DOMAIN;
use super::runtime::Runtime;
use super::sandbox::Sandbox;
use crate::controlplane::ControlPlane;
use crate::controlplane::process::Process;
use crate::provision::{Locations, Program};
use crate::wait::until;

/// How long the node may take to become ready; ten seconds are usual.
const LIMIT: Duration = Duration::from_mins(3);

/// The running programs.
pub(super) struct Programs {
    #[expect(dead_code, reason = "held, not used: dropping it stops the program")]
    scheduler: Process,
    #[expect(dead_code, reason = "held, not used: dropping it stops the program")]
    proxy: Process,
    kubelet: Process,
}

impl Programs {
    /// Starts all three and waits until the node is ready for pods.
    pub(super) async fn start(sandbox: &Sandbox, cluster: &ControlPlane, runtime: &Runtime) -> anyhow::Result<Self> {
        let start = Starter { sandbox, cluster };
        let scheduler_access = start.access("system:kube-scheduler", &[]).await?;
        let scheduler = [
            option("kubeconfig", &scheduler_access),
            "--leader-elect=false".to_owned(),
        ];
        let proxy_access = start.access("system:kube-proxy", &[]).await?;
        let proxy = start.file("kube-proxy.yaml", &proxy_configuration(&proxy_access))?;
        let user = format!("system:node:{NAME}");
        let kubelet_access = start.access(&user, &["system:nodes"]).await?;
        let kubelet = start.kubelet_configuration(runtime).await?;
        let kubelet = [
            option("config", &kubelet),
            option("kubeconfig", &kubelet_access),
            option("root-dir", &sandbox.folder().join("kubelet")),
            option("cert-dir", &sandbox.folder().join("kubelet-certificates")),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={}", sandbox.address()),
        ];
        let mut programs = Self {
            scheduler: start.program(Program::Scheduler, &scheduler)?,
            proxy: start.program(Program::Proxy, &[option("config", &proxy)])?,
            kubelet: start.program(Program::Kubelet, &kubelet)?,
        };
        programs.wait(cluster).await?;
        Ok(programs)
    }

    async fn wait(&mut self, cluster: &ControlPlane) -> anyhow::Result<()> {
        let nodes: Api<CoreNode> = Api::all(cluster.client()?);
        let ended = until("the node's readiness", LIMIT, async || {
            let ended = self.kubelet.has_ended().unwrap_or(true);
            let ready = async || nodes.get(NAME).await.is_ok_and(|node| is_ready(&node));
            (ended || ready().await).then_some(ended)
        })
        .await;
        let tail = || self.kubelet.log_tail();
        match ended {
            Ok(false) => Ok(()),
            Ok(true) => bail!("kubelet ended by itself; its last lines:\n{}", tail()),
            Err(timed_out) => bail!("{timed_out}; the last lines of kubelet:\n{}", tail()),
        }
    }

    /// The last lines of kubelet's log.
    pub(super) fn log_tail(&self) -> String {
        self.kubelet.log_tail()
    }
}

fn is_ready(node: &CoreNode) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|it| it.type_ == "Ready" && it.status == "True"))
}

struct Starter<'a> {
    sandbox: &'a Sandbox,
    cluster: &'a ControlPlane,
}

impl Starter<'_> {
    /// The file with a kubeconfig of this user.
    async fn access(&self, user: &str, groups: &[&str]) -> anyhow::Result<PathBuf> {
        let text = self.cluster.kubeconfig_of(user, groups).await?;
        let name = user.split(':').nth(1).unwrap_or(user);
        self.write(&format!("{name}.kubeconfig"), &text)
    }

    /// A file with a configuration; JSON is YAML.
    fn file(&self, name: &str, configuration: &Value) -> anyhow::Result<PathBuf> {
        self.write(name, &configuration.to_string())
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.sandbox.folder().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn program(&self, program: Program, arguments: &[String]) -> anyhow::Result<Process> {
        let path = Locations::from_env().find(program)?;
        Process::start_behind(&self.sandbox.inside(), &path, arguments, [], self.sandbox.folder())
            .with_context(|| format!("cannot start {}", program.name()))
    }

    async fn kubelet_configuration(&self, runtime: &Runtime) -> anyhow::Result<PathBuf> {
        // Search lists of this machine are none of a pod's business.
        let resolver = self.write("resolv.conf", "")?;
        let configuration = json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.sandbox.address().to_string(),
            "authentication": {
                "anonymous": {"enabled": false},
                "webhook": {"enabled": true},
                "x509": {"clientCAFile": self.cluster.user_authority().await?},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": format!("/{}", self.sandbox.name()),
            "failCgroupV1": false,
            "failSwapOn": false,
            "containerRuntimeEndpoint": runtime.endpoint(),
            "clusterDNS": [self.sandbox.gateway().to_string()],
            "clusterDomain": CLUSTER_DOMAIN,
            "resolvConf": resolver,
            "enforceNodeAllocatable": [],
            "oomScoreAdj": 0,
            // A full disk of this machine is none of a test's business either.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "0%",
                "nodefs.available": "0%",
                "nodefs.inodesFree": "0%",
                "imagefs.available": "0%",
                "imagefs.inodesFree": "0%",
            },
            // Tests wait for pods to start and to end.
            "syncFrequency": "10s",
            "registryPullQPS": 0,
            "maxPods": 400,
        });
        self.file("kubelet.yaml", &configuration)
    }
}

fn proxy_configuration(access: &Path) -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": access},
        "hostnameOverride": NAME,
        "mode": "iptables",
        // Limits of the whole machine, which a network namespace may not change.
        "conntrack": {"maxPerCore": 0, "min": 0},
    })
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
