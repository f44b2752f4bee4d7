//! What a process has used, and what many measurements come to. Linux only.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};

/// The head of a bench's table.
pub fn head() {
    row("", "here", "target", "Go original");
}

/// One line of it.
pub fn row(what: &str, here: &str, target: &str, original: &str) {
    println!("{what:<66} {here:>16} {target:>10} {original:>12}");
}

/// Milliseconds, as figures are printed.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Keeps this process, and what it starts from now on, to one core, so that what is measured has another one for itself.
pub fn keep_to_core(core: usize) -> anyhow::Result<()> {
    let (core, me) = (core.to_string(), std::process::id().to_string());
    let output = Command::new("taskset").args(["-apc", &core, &me]).output();
    let output = output.context("cannot run taskset: apt-get install util-linux")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The kernel's clock ticks in `/proc`: `USER_HZ`, which is 100 wherever Linux runs.
const TICK: Duration = Duration::from_millis(10);

/// Resident memory of a process, MiB.
pub fn resident(process: u32) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .context("no VmRSS")?;
    Ok(kib.parse::<f64>()? / 1024.0)
}

/// How many files, sockets and the like a process has open.
pub fn open_files(process: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// Processor time that a process has used, in all its threads.
pub fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the name, may hold anything; the 14th and 15th are user and system time.
    let (_, fields) = stat.rsplit_once(')').context("no such line")?;
    let ticks: u32 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u32>().ok())
        .sum();
    Ok(TICK * ticks)
}

/// The value that this share of `sorted` does not exceed.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_list() {
        let list: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&list, 50), Duration::from_millis(100));
        assert_eq!(percentile(&list, 99), Duration::from_millis(198));
        assert_eq!(percentile(&list[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }

    #[test]
    fn what_this_process_uses_is_seen() {
        let me = std::process::id();
        assert!(resident(me).unwrap() > 1.0);
        let before = processor_time(me).unwrap();
        let mut sum = 0_u64;
        while processor_time(me).unwrap() < before + TICK {
            sum = (0..1000).fold(sum, u64::wrapping_add);
        }
        assert!(sum > 0);
    }
}
