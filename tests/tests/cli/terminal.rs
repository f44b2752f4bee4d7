//! What is different where somebody looks: a real terminal (a pseudo-terminal of the kernel).

use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;

use akv2k8s_testbed::emulator::{Fault, FaultKind};
use nix::pty::openpty;

use crate::bed::{Bed, CANARY};

const DB: &str = "{vault: {name: kv1, object: {name: db, type: secret}}, output: {secret: {name: db, dataKey: v}}}";

/// Runs the program on a terminal where somebody types `typed`; what the terminal shows, and the exit code.
async fn on_a_terminal(bed: &Bed, arguments: &[&str], typed: &str) -> anyhow::Result<(Option<i32>, String)> {
    let pair = openpty(None, None)?;
    let mut command = bed.command(arguments).await?;
    command
        .stdin(Stdio::from(pair.slave.try_clone()?))
        .stdout(Stdio::from(pair.slave.try_clone()?))
        .stderr(Stdio::from(pair.slave));
    let mut child = command.spawn()?;
    // Its copies of the terminal's other end would keep it open.
    drop(command);
    let mut terminal = File::from(pair.master);
    terminal.write_all(typed.as_bytes())?;
    let shown = tokio::task::spawn_blocking(move || {
        let mut shown = Vec::new();
        // Linux says EIO when the last process has closed its end.
        let _ = terminal.read_to_end(&mut shown);
        String::from_utf8_lossy(&shown).into_owned()
    });
    let code = child.wait().await?.code();
    Ok((code, shown.await?))
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_colours_unless_no_color_is_set() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-colour").await?;
    bed.set("db", CANARY)?;
    let file = bed.manifest("db", DB)?;
    let (code, shown) = on_a_terminal(&bed, &["plan", "-f", &file], "").await?;
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("\x1b[32m+ create Secret db\x1b[0m"), "{shown:?}");
    let (_, shown) = on_a_terminal(&bed, &["doctor"], "").await?;
    assert!(
        shown.contains("\x1b[32m✓ The resource AzureKeyVaultSecret is known"),
        "{shown:?}"
    );
    bed.variables.push(("NO_COLOR", "1".to_owned()));
    let (_, shown) = on_a_terminal(&bed, &["plan", "-f", &file], "").await?;
    assert!(
        shown.contains("+ create Secret db") && !shown.contains("\x1b[32m"),
        "{shown:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_shown_after_a_yes_and_not_after_a_no() -> anyhow::Result<()> {
    let bed = Bed::new("cli-ask").await?;
    bed.set("db", CANARY)?;
    bed.stage.apply("db", DB).await?;
    let (code, shown) = on_a_terminal(&bed, &["get", "db", "--show"], "n\n").await?;
    assert!(
        code == Some(1) && shown.contains("Print 1 value of db? [y/N]") && !shown.contains(CANARY),
        "{shown}"
    );
    let (code, shown) = on_a_terminal(&bed, &["get", "db", "--show"], "y\n").await?;
    assert!(code == Some(2) && shown.contains(CANARY), "{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_longer_than_a_second_says_so_and_leaves_no_trace_of_it() -> anyhow::Result<()> {
    let bed = Bed::new("cli-progress").await?;
    bed.set("db", CANARY)?;
    let file = bed.manifest("db", DB)?;
    let slow = FaultKind::Latency { milliseconds: 2500 };
    bed.stage.emulator.faults().add(Fault::vault("kv1", slow));
    let (code, shown) = on_a_terminal(&bed, &["plan", "-f", &file], "").await?;
    assert_eq!(code, Some(2), "{shown:?}");
    let said = shown.find("\r\x1b[Kplanning … 1 s");
    let cleared = shown.rfind("\r\x1b[K");
    let plan = shown.find("AzureKeyVaultSecret ");
    assert!(said.is_some() && said < cleared && cleared < plan, "{shown:?}");
    let piped = bed.run(&["plan", "-f", &file]).await?;
    assert!(piped.err.is_empty() && !piped.out.contains("planning"), "{piped:?}");
    Ok(())
}
