//! Names that Azure could not have given, in objects stored before anybody checked them: the API server here checks nothing, so
//! only our own code stands between them and the network.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::emulator::SecretOptions;
use anyhow::ensure;
use tokio::net::TcpListener;

use super::bed::{stage, tellings, told};

const HOSTS: [&str; 17] = [
    "evil.com#",
    "evil.com/",
    "evil.com?",
    "kv1.evil.com",
    "user@evil.com",
    "../kv1",
    "kv1/../evil",
    "kv1%2eevil.com",
    "kv\u{131}",
    "\u{ff4b}\u{ff56}1",
    "kv1\u{202e}",
    "kv1\nHost: evil.com",
    " kv1",
    "[::1]",
    "a--b",
    "-kv1",
    "kv",
];
const OBJECTS: [&str; 13] = [
    "../keys/k1",
    "..",
    ".",
    "k1/../../keys/k1",
    "k1?api-version=7.0",
    "k1#",
    "k1%2f..",
    "k 1",
    "k\u{e9}",
    "\u{202e}k1",
    "k1\r\nX-Evil: 1",
    "k_1",
    "",
];
const VERSIONS: [&str; 5] = ["../../keys/k1", "latest", "0123", "\u{661}", "%00"];

/// Specs with one hostile name each, and what AKVS and Secret are called.
fn specs(port: u16) -> Vec<(String, String)> {
    let long = "a".repeat(500);
    let traps = [
        format!("127.0.0.1:{port}#"),
        format!("127.0.0.1:{port}/"),
        format!("localhost:{port}/?"),
        format!("x@localhost:{port}/"),
    ];
    let with_long = |names: &[&str]| {
        let names = names.iter().copied().chain([long.as_str()]);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut specs = Vec::new();
    for vault in with_long(&HOSTS).iter().chain(&traps) {
        let name = format!("vault-{}", specs.len());
        specs.push((spec(vault, "db", None, &name), name));
    }
    for object in with_long(&OBJECTS) {
        let name = format!("object-{}", specs.len());
        specs.push((spec("kv1", &object, None, &name), name));
    }
    for version in with_long(&VERSIONS) {
        let name = format!("version-{}", specs.len());
        specs.push((spec("kv1", "db", Some(&version), &name), name));
    }
    specs
}

fn spec(vault: &str, object: &str, version: Option<&str>, name: &str) -> String {
    let mut spec = serde_json::json!({
        "vault": {"name": vault, "object": {"name": object, "type": "secret"}},
        "output": {"secret": {"name": name, "dataKey": "v"}},
    });
    if let Some(version) = version {
        spec["vault"]["object"]["version"] = version.into();
    }
    spec.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_never_reach_the_network() -> anyhow::Result<()> {
    let stage = stage("names").await?;
    stage.vault("kv1");
    // Whoever is led here by a vault's name connects, and is counted.
    let trap = TcpListener::bind("127.0.0.1:0").await?;
    let port = trap.local_addr()?.port();
    let specs = specs(port);
    for (spec, name) in &specs {
        stage.apply(name, spec).await?;
    }
    let controller = stage.controller(&[]).await?;
    for (_, name) in &specs {
        let message = told(&stage, name, Code::InvalidSpec).await?;
        ensure!(message.contains("spec.vault."), "{name}: {message}");
        ensure!(message.len() < 1000, "{name}: a message of {} bytes", message.len());
        ensure!(tellings(&stage, name, Code::InvalidSpec).await? == 1, "{name}: events");
        ensure!(stage.secret(name).await?.is_none(), "{name}: a Secret");
    }

    // An object in good order is read afterwards: the poller has been at work, too.
    stage
        .vault("good")
        .set_secret("db", "value", SecretOptions::default())?;
    stage.apply("good", &spec("good", "db", None, "good")).await?;
    stage.wait_for_key("good", "v", "value").await?;
    let counts = stage.emulator.journal().counts();
    ensure!(counts.vault("kv1").total() == 0, "the vault was asked:\n{counts}");
    let others = counts
        .rows()
        .filter(|(service, ..)| !["vault good", "entra"].contains(&service.to_string().as_str()));
    ensure!(others.count() == 0, "others were asked:\n{counts}");
    for entry in stage.emulator.journal().entries() {
        ensure!(
            !entry.request.contains("..") && !entry.request.contains('%'),
            "{entry:?}"
        );
    }
    let caught = tokio::time::timeout(std::time::Duration::ZERO, trap.accept()).await;
    ensure!(caught.is_err(), "somebody was led into the trap");
    controller.stop().await
}
