//! Control groups: the one thing of a node that no namespace owns.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

const ROOT: &str = "/sys/fs/cgroup";
/// How often it was probed.
static PROBES: AtomicUsize = AtomicUsize::new(0);

/// Makes the group `name` in every tree, below which kubelet makes those of its pods.
pub(super) fn create(name: &str) -> anyhow::Result<()> {
    for tree in trees().context("cannot list the control groups of this machine")? {
        let group = tree.join(name);
        fs::create_dir(&group).with_context(|| format!("cannot make the control group {}", group.display()))?;
    }
    Ok(())
}

/// Makes a group in every tree and removes it again.
pub(super) fn probe() -> Result<(), String> {
    let trees =
        trees().map_err(|error| format!("the control groups in {ROOT} cannot be used ({error}); run as root"))?;
    // Tests of one process probe at the same time.
    let number = PROBES.fetch_add(1, Ordering::Relaxed);
    for tree in trees {
        let group = tree.join(format!("akvprobe{}-{number}", std::process::id()));
        let tried = fs::create_dir(&group).and_then(|()| fs::remove_dir(&group));
        tried.map_err(|error| {
            format!(
                "no control group can be made in {} ({error}); run as root",
                tree.display()
            )
        })?;
    }
    Ok(())
}

/// The trees of groups: one in version 2, with all its controllers switched on for the groups below; one for each controller in
/// version 1.
fn trees() -> io::Result<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    let controllers = root.join("cgroup.controllers");
    if controllers.exists() {
        for controller in fs::read_to_string(controllers)?.split_whitespace() {
            fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"))?;
        }
        return Ok(vec![root.to_owned()]);
    }
    let folders = fs::read_dir(root)?.map(|entry| Ok(entry?.path()));
    // Links stand for trees of two controllers.
    let is_tree = |path: &io::Result<PathBuf>| path.as_ref().map_or(true, |path| path.is_dir() && !path.is_symlink());
    folders.filter(is_tree).collect()
}
