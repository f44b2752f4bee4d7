//! Namespaces of one node: network, mounts, processes.
//!
//! One process holds them. When it is killed, the kernel ends all others in them, and with these go every mount and every network
//! interface: nothing needs to be found and tidied up, whatever state the node was in. Only control groups have no owner.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::Command;

use super::cgroup;
use super::probe::in_path;
use crate::controlplane::process::Process;
use crate::wait::until;

const INIT: &str = include_str!("init.sh");
const AFTER: &str = include_str!("after.sh");
/// How long the first process may take; a moment is usual.
const LIMIT: Duration = Duration::from_secs(30);
/// The range for tests between networks (RFC 2544), of which each node takes four addresses: nobody's own network is there.
const RANGE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// How many nodes the range has room for.
const SIZE: u64 = 1 << 15;
/// The folder of the node's programs, below that of the process which holds the namespaces: what follows the end of that one must
/// not follow theirs.
const FILES: &str = "node";
const ATTEMPTS: usize = 20;
/// Where Azure's metadata service is for every machine.
const METADATA: &str = "169.254.169.254/32";

/// The namespaces, and the cable between their network and ours.
pub(super) struct Sandbox {
    // Dropped in this order: the folder holds what the process's end is to be followed by.
    #[expect(dead_code, reason = "held, not used: dropping it ends everything")]
    process: Process,
    folder: TempDir,
    files: PathBuf,
    pid: String,
    name: String,
    gateway: Ipv4Addr,
    address: Ipv4Addr,
}

impl Sandbox {
    /// Makes the namespaces and connects them.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("akv2k8s-node-").context("cannot make a temporary folder")?;
        fs::create_dir(folder.path().join(FILES))?;
        let process = Process::start(
            &in_path("unshare").context("unshare is not in PATH")?,
            [
                "--net",
                "--mount",
                "--pid",
                "--mount-proc",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                INIT,
                "sh",
            ]
            .map(OsString::from)
            .into_iter()
            .chain([folder.path().into()]),
            folder.path(),
        )
        .context("cannot start unshare")?;
        let (mut process, ready) = (process, folder.path().join("ready"));
        let ended = until("the node's namespaces", LIMIT, async || {
            let ended = process.has_ended().unwrap_or(true);
            (ended || ready.exists()).then_some(ended)
        })
        .await?;
        if ended {
            bail!("cannot make namespaces: {}", process.log_tail());
        }
        let outer = process.id().context("unshare has just ended")?;
        let pid = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children"))?
            .trim()
            .to_owned();
        let (name, gateway) = connect(&pid).await?;
        let sandbox = Self {
            process,
            files: folder.path().join(FILES),
            folder,
            pid,
            address: next(gateway),
            name,
            gateway,
        };
        fs::write(
            sandbox.folder.path().join("after.sh"),
            AFTER.replace("NAME", &sandbox.name),
        )?;
        cgroup::create(&sandbox.name)?;
        sandbox.set_up_network().await?;
        Ok(sandbox)
    }

    /// Where the files of the node's programs are; it goes with the sandbox.
    pub(super) fn folder(&self) -> &Path {
        &self.files
    }

    /// Names what the node makes outside its namespaces: one network interface, and control groups.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The node's own address, which we reach.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Our address on the cable, which the node and its pods reach.
    pub(super) fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// What starts a program in the node's network, otherwise among ourselves.
    pub(super) fn in_network(&self) -> Vec<OsString> {
        vec![
            "nsenter".into(),
            format!("--net=/proc/{}/ns/net", self.pid).into(),
            "--".into(),
        ]
    }

    /// What starts a program inside the node. It ends with the node only.
    pub(super) fn inside(&self) -> Vec<OsString> {
        let words = ["nsenter", "--target", &self.pid, "--net", "--mount", "--pid", "--"];
        words.map(OsString::from).into()
    }

    /// What a command prints inside the node.
    pub(super) async fn output(&self, command: &str) -> anyhow::Result<String> {
        output(&self.inside(), command).await
    }

    async fn set_up_network(&self) -> anyhow::Result<()> {
        let (address, gateway) = (self.address, self.gateway);
        let commands = [
            format!("ip addr add {address}/30 dev eth0"),
            "ip link set eth0 up".to_owned(),
            format!("ip route add default via {gateway}"),
            // We know no way to the pods: to us they are the node.
            "iptables -w -t nat -A POSTROUTING -o eth0 -j MASQUERADE".to_owned(),
            format!("iptables -w -t nat -A PREROUTING -d {METADATA} -p tcp --dport 80 -j DNAT --to {gateway}:80"),
            format!("iptables -w -t nat -A OUTPUT -d {METADATA} -p tcp --dport 80 -j DNAT --to {gateway}:80"),
        ];
        for command in commands {
            run(&self.inside(), &command).await?;
        }
        Ok(())
    }
}

/// Puts a pair of interfaces between us and the network of process `pid`; gives our interface's name, and its address.
async fn connect(pid: &str) -> anyhow::Result<(String, Ipv4Addr)> {
    for _ in 0..ATTEMPTS {
        // A fresh hasher is seeded at random.
        let number = u32::try_from(RandomState::new().hash_one(()) % SIZE).expect("the range is smaller");
        let name = format!("akvnode{number}");
        let gateway = Ipv4Addr::from_bits(RANGE.to_bits() + 4 * number + 1);
        match run(&[], &format!("ip link add {name} type veth peer name eth0 netns {pid}")).await {
            Ok(()) => {}
            Err(error) if error.to_string().contains("File exists") => continue,
            Err(error) => return Err(error),
        }
        run(&[], &format!("ip addr add {gateway}/30 dev {name}")).await?;
        run(&[], &format!("ip link set {name} up")).await?;
        return Ok((name, gateway));
    }
    bail!("no free network found for a node in {ATTEMPTS} attempts: are that many nodes running?")
}

fn next(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(address.to_bits() + 1)
}

/// Runs a command, given as words between blanks, behind `prefix`.
pub(super) async fn run(prefix: &[OsString], command: &str) -> anyhow::Result<()> {
    output(prefix, command).await.map(drop)
}

async fn output(prefix: &[OsString], command: &str) -> anyhow::Result<String> {
    let words = prefix.iter().cloned().chain(command.split(' ').map(OsString::from));
    let words: Vec<OsString> = words.collect();
    let (program, arguments) = words.split_first().context("an empty command")?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("cannot run `{command}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{command}` failed ({}): {}", output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
