//! Whether this machine can run a node.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::cgroup;
use crate::provision::{Locations, Program};

/// What keeps a node from running here, each with the way to change it.
#[derive(Debug, thiserror::Error)]
#[error("no node can run here:\n  {}", self.reasons().collect::<Vec<_>>().join("\n  "))]
pub struct Missing {
    /// What the machine refuses, whatever is installed on it.
    refused: Vec<String>,
    /// What can be installed.
    absent: Vec<String>,
}

impl Missing {
    /// What is missing, one text each.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.refused.iter().chain(&self.absent).map(String::as_str)
    }

    /// Whether the machine refuses something, so that installing programs would not help.
    pub fn is_refusal(&self) -> bool {
        !self.refused.is_empty()
    }
}

/// Programs of the system, and the packages of Debian and Ubuntu that have them.
const PROGRAMS: &[(&str, &str)] = &[
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
];

/// Where the network plugins of containers are: Debian's folder, then the one of their own releases.
const PLUGIN_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin"];
/// The plugins that a node needs.
const PLUGINS: &[&str] = &["ptp", "host-local", "portmap"];

/// Tries what a node needs of this machine. It takes less than a second and leaves nothing behind.
///
/// # Errors
/// Everything that is missing, at once.
pub fn probe() -> Result<(), Missing> {
    let mut missing = look();
    let locations = Locations::from_env();
    for program in Program::CONTROL_PLANE.iter().chain(Program::NODE) {
        let absent = locations.find(*program).err();
        missing.absent.extend(absent.map(|absent| absent.to_string()));
    }
    checked(missing)
}

/// The same without the programs that `cargo testbed provision --node` builds.
///
/// # Errors
/// Everything that is missing, at once.
pub fn probe_machine() -> Result<(), Missing> {
    checked(look())
}

fn checked(missing: Missing) -> Result<(), Missing> {
    if missing.reasons().next().is_none() {
        Ok(())
    } else {
        Err(missing)
    }
}

fn look() -> Missing {
    let absent = PROGRAMS.iter().filter(|(program, _)| in_path(program).is_none());
    let mut absent: Vec<_> = absent
        .map(|(program, package)| format!("`{program}` is not in PATH; to install: apt-get install {package}"))
        .collect();
    if plugin_folder().is_none() {
        let text =
            "the network plugins of containers are absent; to install: apt-get install containernetworking-plugins";
        absent.push(text.to_owned());
    }
    let refused = [try_namespaces().err(), cgroup::probe().err()];
    Missing {
        refused: refused.into_iter().flatten().collect(),
        absent,
    }
}

/// Whether what is missing is a failure: where `CI` is set in the environment.
pub fn is_required() -> bool {
    env::var_os("CI").is_some_and(|it| !it.is_empty())
}

/// Whether `count` tests of a node can run, for their first lines: where they cannot, says so and why, and the test ends. Where it
/// [is required](is_required), a missing prerequisite is a failure.
///
/// # Panics
/// Where it is required, when something is missing.
pub fn available(count: usize) -> bool {
    let Err(missing) = probe() else { return true };
    assert!(!is_required(), "{missing}");
    println!("NOT RUN {count}: {missing}");
    false
}

/// The folder that has all plugins.
pub(super) fn plugin_folder() -> Option<&'static Path> {
    let complete = |folder: &&Path| PLUGINS.iter().all(|plugin| folder.join(plugin).is_file());
    PLUGIN_FOLDERS.iter().map(Path::new).find(complete)
}

/// The path of a program of the system.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = env::split_paths(&path).map(|folder| folder.join(program));
    candidates.into_iter().find(|path| path.is_file())
}

/// The very steps that a node begins with, as far as their programs are there.
fn try_namespaces() -> Result<(), String> {
    let mut script =
        "mount --make-rshared / && mount -t tmpfs tmpfs /run && echo 1 >/proc/sys/net/ipv4/ip_forward".to_owned();
    for (program, step) in [
        ("ip", "ip link add probe0 type veth peer name probe1"),
        ("iptables", "iptables -w -t nat -L -n >/dev/null"),
    ] {
        if in_path(program).is_some() {
            script = format!("{script} && {step}");
        }
    }
    let output = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            &script,
        ])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start unshare: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "namespaces of its own, with mounts and a network, are not to be had ({}); run as root, in a container with --privileged",
        said.trim().replace('\n', "; ")
    ))
}
