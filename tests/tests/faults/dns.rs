//! The real program, and a name server that does not know, does not answer, and comes back.
//!
//! The program sees a `/etc/resolv.conf` of its own, in a mount namespace of its own, and asks a name server on port 53 of a
//! loopback address. Both take root.

use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::{Names, Options, SecretOptions};
use akv2k8s_testbed::node::Dns;
use akv2k8s_testbed::stack::Stack;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// A failed lookup is tried again after a minute at first, and may be remembered for half a minute.
const HEALED: Duration = Duration::from_mins(5);

/// A loopback address that no other process of this machine's tests has.
fn own_address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 + (high & 63), middle, low)
}

/// Whether this machine can do what the test needs. Where it cannot, says so and why; where `CI` is set in the environment that
/// is a failure.
fn can_have_own_mounts() -> anyhow::Result<bool> {
    let tried = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount --bind /etc/hosts /etc/resolv.conf"])
        .output()
        .context("cannot start unshare; to install: apt-get install util-linux mount")?;
    if tried.status.success() {
        return Ok(true);
    }
    let why = format!(
        "a program cannot be given a /etc/resolv.conf of its own; run the tests as root, in a container with CAP_SYS_ADMIN: {}",
        String::from_utf8_lossy(&tried.stderr).trim()
    );
    ensure!(env::var_os("CI").is_none_or(|it| it.is_empty()), "{why}");
    println!("NOT RUN 1: {why}");
    Ok(false)
}

struct Bed {
    stack: Stack,
    objects: Api<AzureKeyVaultSecret>,
    secrets: Api<Secret>,
}

impl Bed {
    /// An AKVS, and a Secret to be, of the name of its vault.
    async fn apply(&self, vault: &str) -> anyhow::Result<()> {
        let value = format!("value of {vault}");
        self.stack
            .vault(vault)
            .set_secret("db", &value, SecretOptions::default())?;
        let object = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": vault},
            "spec": {
                "vault": {"name": vault, "object": {"name": "db", "type": "secret"}},
                "output": {"secret": {"name": vault, "dataKey": "v"}},
            },
        });
        let apply = PatchParams::apply("test").force();
        self.objects.patch(vault, &apply, &Patch::Apply(object)).await?;
        Ok(())
    }

    /// Waits for the reason of `Ready`; gives its message.
    async fn told(&self, name: &str, reason: &str) -> anyhow::Result<String> {
        let what = format!("{name} to become {reason}");
        let told = async || {
            let status = self.objects.get(name).await.ok()?.status?;
            let ready = condition::get(&status.conditions, condition::READY)?;
            (ready.reason == reason).then(|| ready.message.clone())
        };
        Ok(until(&what, HEALED, told).await?)
    }

    async fn value(&self, name: &str) -> anyhow::Result<Option<String>> {
        let secret = self.secrets.get_opt(name).await?;
        let value = secret.and_then(|secret| secret.data?.remove("v"));
        Ok(value.map(|value| String::from_utf8_lossy(&value.0).into_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_server_that_does_not_know_or_does_not_answer_is_told_and_the_program_heals_by_itself()
-> anyhow::Result<()> {
    if !can_have_own_mounts()? {
        return Ok(());
    }
    let address = own_address();
    let options = Options {
        listen: SocketAddr::from((address, 443)),
        names: Names::Public,
        ..Options::default()
    };
    let stack = Stack::with(options).await?;
    let client = stack.cluster.client()?;
    let bed = Bed {
        objects: Api::default_namespaced(client.clone()),
        secrets: Api::default_namespaced(client.clone()),
        stack,
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("resolv.conf");
    std::fs::write(&file, format!("nameserver {address}\n"))?;
    let dns = Dns::start(address, client.clone()).await?;
    dns.set("login.microsoftonline.com", address);
    let controller = bed.stack.controller().resolv_conf(&file).start().await?;

    bed.apply("kv1").await?;
    let message = bed.told("kv1", "VaultNotFound").await?;
    ensure!(message.contains("kv1.vault.azure.net"), "{message}");
    ensure!(bed.value("kv1").await?.is_none(), "a Secret without a value");
    dns.set("*.vault.azure.net", address);
    bed.told("kv1", "Synced").await?;
    ensure!(
        bed.value("kv1").await?.as_deref() == Some("value of kv1"),
        "another value"
    );

    drop(dns);
    bed.apply("kv2").await?;
    let message = bed.told("kv2", "VaultUnavailable").await?;
    ensure!(message.contains("vault 'kv2'"), "{message}");
    ensure!(bed.value("kv2").await?.is_none(), "a Secret without a value");
    ensure!(
        bed.value("kv1").await?.as_deref() == Some("value of kv1"),
        "another value"
    );
    let dns = Dns::start(address, client).await?;
    dns.set("*.vault.azure.net", address);
    dns.set("login.microsoftonline.com", address);
    bed.told("kv2", "Synced").await?;
    ensure!(
        bed.value("kv2").await?.as_deref() == Some("value of kv2"),
        "another value"
    );
    controller.stop().await
}
