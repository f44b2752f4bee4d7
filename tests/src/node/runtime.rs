//! containerd: images and containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::json;
use tokio::process::Command;

use super::probe::plugin_folder;
use super::sandbox::{self, Sandbox};
use crate::controlplane::process::Process;
use crate::image::Image;
use crate::wait::until;

/// How long containerd may take to answer; a second is usual.
const LIMIT: Duration = Duration::from_mins(1);
/// The namespace in which kubelet looks for images.
const NAMESPACE: &str = "k8s.io";
/// The image of the container that holds a pod's namespaces.
const PAUSE: &str = "localhost/pause:1";
/// The network of the pods.
const POD_NETWORK: &str = "10.244.0.0/24";

/// A running containerd.
pub(super) struct Runtime {
    process: Process,
    socket: PathBuf,
}

impl Runtime {
    /// Starts it in `sandbox`; `pause` holds the namespaces of pods.
    pub(super) async fn start(sandbox: &Sandbox, pause: &Image) -> anyhow::Result<Self> {
        let folder = sandbox.folder();
        let socket = folder.join("containerd.sock");
        let network = folder.join("cni");
        fs::create_dir(&network)?;
        fs::write(network.join("10-pods.conflist"), network_configuration(folder))?;
        let snapshotter = snapshotter(sandbox).await?;
        let file = folder.join("containerd.toml");
        fs::write(&file, configuration(folder, &socket, snapshotter)?)?;
        let arguments = ["--config".into(), file.into_os_string()];
        let process = Process::start_behind(&sandbox.inside(), Path::new("containerd"), arguments, [], folder)
            .context("cannot start containerd")?;
        let mut runtime = Self { process, socket };
        runtime.wait().await?;
        runtime.import(PAUSE, pause).await?;
        Ok(runtime)
    }

    /// Where kubelet reaches it.
    pub(super) fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The last lines of its log.
    pub(super) fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Makes an image available to pods under `name`.
    pub(super) async fn import(&self, name: &str, image: &Image) -> anyhow::Result<()> {
        let archive = tempfile::NamedTempFile::new()?;
        fs::write(archive.path(), image.archive(name)?)?;
        let path = archive.path().display().to_string();
        let imported = self.ctr(&["images", "import", &path]).await;
        imported.with_context(|| format!("cannot import the image {name}"))
    }

    /// Sends a signal to the first process of a container.
    pub(super) async fn signal(&self, container: &str, signal: &str) -> anyhow::Result<()> {
        self.ctr(&["tasks", "kill", "--signal", signal, container]).await
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let ended = until("containerd", LIMIT, async || {
            let ended = self.process.has_ended().unwrap_or(true);
            (ended || self.ctr(&["version"]).await.is_ok()).then_some(ended)
        })
        .await;
        match ended {
            Ok(false) => Ok(()),
            Ok(true) => bail!("containerd ended by itself; its last lines:\n{}", self.log_tail()),
            Err(timed_out) => bail!("{timed_out}; the last lines of containerd:\n{}", self.log_tail()),
        }
    }

    async fn ctr(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = Command::new("ctr")
            .arg("--address")
            .arg(&self.socket)
            .args(["--namespace", NAMESPACE])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .context("cannot run ctr")?;
        if !output.status.success() {
            bail!(
                "`ctr {}` failed: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

/// Layers are mounted over each other where the file system can do that, and copied where it cannot.
async fn snapshotter(sandbox: &Sandbox) -> anyhow::Result<&'static str> {
    let probe = sandbox.folder().join("overlay");
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(probe.join(name))?;
    }
    let at = probe.display();
    let options = format!("lowerdir={at}/lower,upperdir={at}/upper,workdir={at}/work");
    let mount = format!("mount -t overlay overlay -o {options} {at}/merged");
    if sandbox::run(&sandbox.inside(), &mount).await.is_err() {
        return Ok("native");
    }
    sandbox::run(&sandbox.inside(), &format!("umount {at}/merged")).await?;
    Ok("overlayfs")
}

/// Version 2 of containerd's configuration, which 1.6 and later read.
fn configuration(folder: &Path, socket: &Path, snapshotter: &str) -> anyhow::Result<String> {
    let plugins = plugin_folder().context("the network plugins of containers are absent")?;
    Ok(format!(
        r#"version = 2
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Root in a container or a small virtual machine may not make a process less likely to be killed.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{folder}/cni"
"#,
        folder = folder.display(),
        socket = socket.display(),
        plugins = plugins.display(),
    ))
}

/// Each pod has a cable of its own to the node. With a bridge instead, answers between pods would go past the node's address
/// translation, unless the kernel has `br_netfilter`.
fn network_configuration(folder: &Path) -> String {
    json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "dataDir": folder.join("ipam"),
                    "ranges": [[{"subnet": POD_NETWORK}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}
