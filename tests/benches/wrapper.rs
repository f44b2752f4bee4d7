//! What the wrapper costs, measured: the program as users get it, against an emulated vault and a broker's double, on one machine.
//!
//! ```text
//! cargo bench -p akv2k8s-testbed --bench wrapper
//! ```
//!
//! A start through the wrapper and one without it take turns; the figure is the difference. Vault, broker and wrapper share the cores.

#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "../tests/wrapper/stub.rs"]
#[expect(dead_code, reason = "tests need more of it")]
mod stub;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use akv2k8s_shared::injection::names;
use akv2k8s_testbed::emulator::{Emulator, Fault, FaultKind, Operation, Options, Role, SecretOptions};
use akv2k8s_testbed::statics::{self, Architecture};
use tempfile::TempDir;

use crate::stub::{Says, Stub};

const REFERENCES: usize = 20;
const LATENCY: Duration = Duration::from_millis(20);

type Variables = Vec<(String, String)>;

#[tokio::main]
async fn main() {
    let bench = tokio::task::spawn_blocking(Bench::build).await.unwrap();
    let uptime = Command::new("uptime").output().unwrap();
    println!("{}", String::from_utf8_lossy(&uptime.stdout).trim());
    println!(
        "{:<58} {:>9} {:>9} {:>9} {:>9} {:>12}",
        "", "fastest", "median", "RSS KiB", "target", "Go original"
    );

    bench
        .row("nothing but `true`, without the wrapper", None, 200, "", "")
        .await;
    let none = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    bench.row("0 references", Some(&none), 200, "1.5", "20.2").await;

    let values = (0..REFERENCES).map(|number| (&*format!("db{number}@azurekeyvault").leak(), b"s3cret".to_vec()));
    let stub = Stub::start([Says::Values(values.collect())]).await;
    let references: Variables = (0..REFERENCES)
        .map(|number| (format!("V{number}"), format!("db{number}@azurekeyvault")))
        .collect();
    let broker = [stub.variables(&[]), references].concat();
    let runs = bench
        .row(
            "20 references, from a broker that has them",
            Some(&broker),
            200,
            "10",
            "",
        )
        .await;
    println!(
        "  requests for each start: {}",
        each(u64::try_from(stub.asked().len()).unwrap(), runs)
    );

    direct(&bench, None).await;
    direct(&bench, Some(LATENCY)).await;
}

/// The vault itself, with 20 references to 20 secrets, by client secret.
async fn direct(bench: &Bench, latency: Option<Duration>) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let vault = emulator.vault("kv1");
    let app = emulator.entra().register_app();
    vault.grant(app.principal(), Role::SecretsUser);
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    emulator.write_ca_file(&path("ca.pem")).unwrap();
    emulator.write_cloud_file(&path("cloud.json")).unwrap();
    let mut variables = vec![
        ("AZURE_TENANT_ID".to_owned(), emulator.entra().tenant_id().to_owned()),
        ("AZURE_CLIENT_ID".to_owned(), app.client_id().to_owned()),
        ("AZURE_CLIENT_SECRET".to_owned(), app.add_secret()),
        (
            "AZURE_ENVIRONMENT_FILEPATH".to_owned(),
            path("cloud.json").display().to_string(),
        ),
        ("SSL_CERT_FILE".to_owned(), path("ca.pem").display().to_string()),
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        (names::USE_AUTH_SERVICE.to_owned(), "false".to_owned()),
    ];
    for number in 0..REFERENCES {
        vault
            .set_secret(&format!("db{number}"), "s3cret", SecretOptions::default())
            .unwrap();
        variables.push((format!("V{number}"), format!("azurekeyvault://kv1/secrets/db{number}")));
    }
    let (what, target, original) = match latency {
        Some(latency) => {
            for fault in [
                Fault::vault("kv1", latency_of(latency)),
                Fault::entra(latency_of(latency)),
            ] {
                emulator.faults().add(fault);
            }
            // Challenge, token and vault, one after the other, and 15 ms.
            let target = 3 * latency + Duration::from_millis(15);
            (
                "20 references, direct, 20 ms for each answer",
                target.as_millis().to_string(),
                "2067",
            )
        }
        None => ("20 references, direct, no latency", String::new(), "2026"),
    };
    emulator.journal().reset();
    let runs = bench.row(what, Some(&variables), 50, &target, original).await;
    let counts = emulator.journal().counts();
    let each = |count| each(count, runs);
    println!(
        "  requests for each start: {} challenge, {} token, {} discovery, {} secrets",
        each(counts.status(401)),
        each(counts.of(Operation::Token)),
        each(counts.of(Operation::Discovery)),
        each(counts.with_status(Operation::SECRET_GET, 200)),
    );
}

/// Every start asks for the same.
fn each(count: u64, starts: u32) -> u64 {
    assert_eq!(count % u64::from(starts), 0, "{count} requests of {starts} starts");
    count / u64::from(starts)
}

fn latency_of(latency: Duration) -> FaultKind {
    FaultKind::Latency {
        milliseconds: u64::try_from(latency.as_millis()).unwrap(),
    }
}

/// The programs.
#[derive(Clone)]
struct Bench {
    wrapper: PathBuf,
    guest: PathBuf,
}

impl Bench {
    fn build() -> Self {
        Self {
            wrapper: statics::wrapper(Architecture::here()).unwrap(),
            guest: statics::guest().unwrap(),
        }
    }

    /// Measures, prints, and gives the number of starts through the wrapper. Without variables the program is started by itself.
    async fn row(&self, what: &str, variables: Option<&Variables>, times: u32, target: &str, original: &str) -> u32 {
        let (bench, wrapped) = (self.clone(), variables.cloned());
        let measured = tokio::task::spawn_blocking(move || bench.measure(wrapped.as_ref(), times));
        let (alone, through, rss) = measured.await.unwrap();
        let over = |rank: fn(&[f64]) -> f64| rank(&through) - variables.map_or(0.0, |_| rank(&alone));
        let (fastest, median) = (over(|sorted| sorted[0]), over(|sorted| sorted[sorted.len() / 2]));
        println!("{what:<58} {fastest:>9.2} {median:>9.2} {rss:>9} {target:>9} {original:>12}");
        // One more for the memory.
        times + 1
    }

    /// Milliseconds of each start without the wrapper and of each through it, from the fastest to the slowest, and peak memory in KiB.
    fn measure(&self, variables: Option<&Variables>, times: u32) -> (Vec<f64>, Vec<f64>, u64) {
        let (mut alone, mut through) = (Vec::new(), Vec::new());
        for _ in 0..times {
            alone.push(time(Command::new("/usr/bin/true").env_clear()));
            through.push(match variables {
                Some(variables) => time(&mut self.wrapped(variables)),
                None => time(Command::new("/usr/bin/true").env_clear()),
            });
        }
        alone.sort_by(f64::total_cmp);
        through.sort_by(f64::total_cmp);
        let mut peak = Command::new(&self.guest);
        peak.arg("peak").env_clear();
        match variables {
            Some(variables) => peak
                .arg(&self.wrapper)
                .arg("/usr/bin/true")
                .envs(variables.iter().cloned()),
            None => peak.arg("/usr/bin/true"),
        };
        let output = peak.stderr(Stdio::inherit()).output().unwrap();
        let rss = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        (alone, through, rss)
    }

    fn wrapped(&self, variables: &Variables) -> Command {
        let mut command = Command::new(&self.wrapper);
        command.arg("/usr/bin/true").env_clear().envs(variables.iter().cloned());
        command
    }
}

/// From start to end, in milliseconds.
fn time(command: &mut Command) -> f64 {
    let started = Instant::now();
    let status = command.status().unwrap();
    let took = started.elapsed();
    assert!(status.success(), "{status}");
    took.as_secs_f64() * 1000.0
}
