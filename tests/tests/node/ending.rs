//! What is left when a node has ended: nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use akv2k8s_testbed::node::{self, Node, guest};
use akv2k8s_testbed::wait::until;

/// Everything of this machine that belongs to the node of this name: processes, mounts, control groups, network interfaces.
fn traces(node: &str, folder: &str) -> String {
    // By variables, since the shell's own command line would be a trace.
    let script = "grep -l -s -e \"$FOLDER\" /proc/[0-9]*/cmdline; grep -s \"$FOLDER\" /proc/mounts; \
                  find /sys/fs/cgroup -name \"$NODE\"; ip -brief link show dev \"$NODE\" 2>/dev/null; \
                  ls -d \"$FOLDER\" 2>/dev/null";
    let output = Command::new("sh")
        .args(["-c", script])
        .env("NODE", node)
        .env("FOLDER", folder)
        .output()
        .expect("sh");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn a_node_that_is_dropped_while_pods_run_leaves_nothing_behind() -> anyhow::Result<()> {
    if !node::available(1) {
        return Ok(());
    }
    let node = Node::start().await?;
    let run = ["run", "left", "--image", guest::IMAGE, "--", "wait"];
    node.cluster.kubectl(&run).await?.success()?;
    node.running("default", "left").await?;
    let (name, folder) = (node.interface().to_owned(), node.folder().display().to_string());
    let before = traces(&name, &folder);
    assert!(
        before.contains("/cmdline") && before.contains("/kubepods") || before.contains(&folder),
        "{before}"
    );
    let start = Instant::now();
    drop(node);
    let gone = async || traces(&name, &folder).is_empty().then_some(());
    let waited = until("the node's end", Duration::from_secs(30), gone).await;
    assert!(waited.is_ok(), "left behind:\n{}", traces(&name, &folder));
    println!("ended in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}
