//! What a vault, and the way to it, can do to us.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::emulator::{
    Fault, FaultId, FaultKind, Firewall, Kind, Operation, Policy, Role, SecretOptions, VaultHandle,
};
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use anyhow::{Context, ensure};

use super::bed::{Snapshot, plain, snapshot, stage, tellings, told};

/// How a fault is caused, and taken away.
enum Cause {
    /// Answers are tampered with.
    Fault(FaultKind),
    /// The same for reads of single secrets only: LIST still shows changes.
    OfReads(FaultKind),
    /// The emulator's state is such that it refuses by itself.
    State(fn(&Stage, &VaultHandle), fn(&Stage, &VaultHandle)),
}

struct Row {
    /// Name of the vault, of the AKVS and of its Secret.
    name: &'static str,
    code: Code,
    /// What the condition's message must say.
    says: &'static str,
    cause: Cause,
}

/// A row at work.
struct Subject {
    row: Row,
    vault: VaultHandle,
    before: Snapshot,
    fault: Option<FaultId>,
}

impl Subject {
    async fn synced(stage: &Stage, row: Row) -> anyhow::Result<Self> {
        let name = row.name;
        let vault = stage.vault(name);
        vault.set_secret("db", "before", SecretOptions::default())?;
        stage.apply(name, &plain(name, "db", name)).await?;
        stage.wait_for_key(name, "v", "before").await?;
        stage.wait_for_reason(name, "Synced").await?;
        Ok(Self {
            row,
            vault,
            before: snapshot(stage, name).await?,
            fault: None,
        })
    }

    fn strike(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let faults = stage.emulator.faults();
        match &self.row.cause {
            Cause::Fault(kind) => self.fault = Some(faults.add(Fault::vault(self.row.name, kind.clone()))),
            Cause::OfReads(kind) => {
                let fault = Fault::vault(self.row.name, kind.clone()).on(&[Operation::SECRET_GET]);
                self.fault = Some(faults.add(fault));
                // Something to read.
                self.vault.set_secret("db", "during", SecretOptions::default())?;
            }
            Cause::State(strike, _) => strike(stage, &self.vault),
        }
        Ok(())
    }

    /// Told, once, and nothing is written however often it fails again.
    async fn is_told(&self, stage: &Stage) -> anyhow::Result<()> {
        let Row { name, code, says, .. } = self.row;
        let message = told(stage, name, code).await?;
        ensure!(message.contains(says), "{name}: {message:?} does not say {says:?}");
        let journal = stage.emulator.journal();
        let seen = journal.counts().vault(name).total();
        journal
            .wait_for(PATIENCE, |counts| counts.vault(name).total() >= seen + 3)
            .await
            .with_context(|| format!("{name} is not tried again"))?;
        let now = told(stage, name, code).await?;
        ensure!(now == message, "{name}: another message: {message:?}, then {now:?}");
        let events = tellings(stage, name, code).await?;
        ensure!(events == 1, "{name}: {events} events");
        ensure!(
            snapshot(stage, name).await? == self.before,
            "{name}: its Secret was written to"
        );
        Ok(())
    }

    fn lift(&self, stage: &Stage) -> anyhow::Result<()> {
        if let Some(fault) = self.fault {
            stage.emulator.faults().lift(fault);
        }
        if let Cause::State(_, lift) = &self.row.cause {
            lift(stage, &self.vault);
        }
        self.vault.set_secret("db", "after", SecretOptions::default())?;
        Ok(())
    }

    async fn recovers(&self, stage: &Stage) -> anyhow::Result<()> {
        let name = self.row.name;
        stage.wait_for_key(name, "v", "after").await.context(name)?;
        stage.wait_for_reason(name, "Synced").await?;
        Ok(())
    }
}

/// Every row at once: one vault each, so none disturbs another.
async fn play(prefix: &str, rows: Vec<Row>) -> anyhow::Result<()> {
    let stage = stage(prefix).await?;
    let controller = stage.controller(&[]).await?;
    let mut subjects = Vec::new();
    for row in rows {
        subjects.push(Subject::synced(&stage, row).await?);
    }
    for subject in &mut subjects {
        subject.strike(&stage)?;
    }
    for subject in &subjects {
        subject.is_told(&stage).await?;
    }
    for subject in &subjects {
        subject.lift(&stage)?;
    }
    for subject in &subjects {
        subject.recovers(&stage).await?;
    }
    controller.stop().await
}

fn row(name: &'static str, code: Code, says: &'static str, cause: Cause) -> Row {
    Row {
        name,
        code,
        says,
        cause,
    }
}

fn grant(stage: &Stage, vault: &VaultHandle) {
    vault.grant(stage.app.principal(), Role::SecretsUser);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_refuses_is_told_once_and_synced_again_when_it_gives_in() -> anyhow::Result<()> {
    const OTHER_TENANT: &str = "11111111-2222-3333-4444-555555555555";
    let audience = "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://vault.azure.cn.";
    let elsewhere = FaultKind::status(403, "Forbidden", "something new");
    let rows = vec![
        row(
            "audience",
            Code::WrongAudience,
            "AZURE_ENVIRONMENT",
            Cause::Fault(FaultKind::status(401, "Unauthorized", audience)),
        ),
        row(
            "tenant",
            Code::WrongTenant,
            OTHER_TENANT,
            Cause::State(
                |_, vault| vault.set_tenant(OTHER_TENANT),
                |stage, vault| vault.set_tenant(stage.emulator.entra().tenant_id()),
            ),
        ),
        row(
            "rbac",
            Code::ForbiddenByRbac,
            "az role assignment create --role \"Key Vault Secrets User\"",
            Cause::State(|stage, vault| vault.revoke(stage.app.principal()), grant),
        ),
        row(
            "policy",
            Code::ForbiddenByPolicy,
            "az keyvault set-policy --name policy",
            Cause::State(
                |stage, vault| vault.set_policy(stage.app.principal(), Policy::default()),
                grant,
            ),
        ),
        row(
            "networks",
            Code::ForbiddenByFirewall,
            "az keyvault network-rule add --name networks",
            Cause::State(
                |_, vault| vault.set_firewall(Some(Firewall::SelectedNetworks)),
                |_, vault| vault.set_firewall(None),
            ),
        ),
        row(
            "endpoint",
            Code::ForbiddenByFirewall,
            "private endpoint",
            Cause::State(
                |_, vault| vault.set_firewall(Some(Firewall::PrivateEndpoint)),
                |_, vault| vault.set_firewall(None),
            ),
        ),
        row("unheard", Code::Forbidden, "something new", Cause::Fault(elsewhere)),
        row(
            "deleted",
            Code::ObjectNotFound,
            "list-deleted --vault-name deleted",
            Cause::State(
                |_, vault| vault.delete(Kind::Secret, "db").expect("it is there"),
                |_, vault| vault.recover(Kind::Secret, "db").expect("it was deleted"),
            ),
        ),
        row(
            "disabled",
            Code::ObjectDisabled,
            "Enable it, or pin a version",
            Cause::State(
                |_, vault| vault.disable(Kind::Secret, "db").expect("it is there"),
                |_, _| {},
            ),
        ),
    ];
    play("refusals", rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_out_of_order_is_told_once_and_synced_again_when_it_works() -> anyhow::Result<()> {
    let status = |status, code| Cause::Fault(FaultKind::status(status, code, "try again"));
    let rows = vec![
        row(
            "err-500",
            Code::VaultUnavailable,
            "HTTP 500",
            status(500, "InternalError"),
        ),
        row(
            "err-503",
            Code::VaultUnavailable,
            "HTTP 503",
            status(503, "ServiceUnavailable"),
        ),
        row("err-418", Code::VaultResponseInvalid, "HTTP 418", status(418, "Teapot")),
        row(
            "throttle",
            Code::Throttled,
            "slows down by itself",
            Cause::OfReads(FaultKind::Throttle { retry_after: None }),
        ),
        row(
            "pause",
            Code::Throttled,
            "over the service's limit",
            Cause::Fault(FaultKind::Throttle { retry_after: Some(1) }),
        ),
        row(
            "reset",
            Code::VaultUnavailable,
            "does not answer",
            Cause::Fault(FaultKind::Reset),
        ),
        row(
            "garbage",
            Code::VaultResponseInvalid,
            "JSON",
            Cause::Fault(FaultKind::MalformedJson),
        ),
        row(
            "cut",
            Code::VaultUnavailable,
            "does not answer",
            Cause::Fault(FaultKind::TruncatedBody),
        ),
    ];
    play("outages", rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_keeps_us_waiting_is_told_once_and_synced_again_when_it_answers() -> anyhow::Result<()> {
    let rows = vec![
        row(
            "stalls",
            Code::VaultUnavailable,
            "does not answer",
            Cause::OfReads(FaultKind::StalledBody),
        ),
        row(
            "slow",
            Code::VaultUnavailable,
            "does not answer",
            Cause::OfReads(FaultKind::Latency { milliseconds: 60_000 }),
        ),
    ];
    play("waiting", rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_dns_does_not_know_is_told_and_its_secret_left_alone() -> anyhow::Result<()> {
    let mut stage = stage("dns").await?;
    stage
        .vault("kv1")
        .set_secret("db", "before", SecretOptions::default())?;
    let controller = stage.controller(&[]).await?;
    stage.apply("db", &plain("kv1", "db", "db")).await?;
    stage.wait_for_reason("db", "Synced").await?;
    controller.stop().await?;
    let before = snapshot(&stage, "db").await?;

    // A name below `.invalid` never resolves (RFC 6761 §6.4).
    let mut cloud = stage.emulator.cloud();
    let good = stage.files().join("cloud.json").display().to_string();
    cloud["keyVaultDNSSuffix"] = "vault.invalid".into();
    cloud["keyVaultEndpoint"] = "https://vault.invalid/".into();
    let file = stage.files().join("elsewhere.json");
    std::fs::write(&file, cloud.to_string())?;
    stage.set_variable("AZURE_ENVIRONMENT_FILEPATH", &file.display().to_string());
    let controller = stage.controller(&[]).await?;
    stage.apply("new", &plain("kv1", "db", "new")).await?;
    for name in ["db", "new"] {
        let message = told(&stage, name, Code::VaultNotFound).await?;
        ensure!(message.contains("kv1.vault.invalid"), "{message}");
        ensure!(tellings(&stage, name, Code::VaultNotFound).await? == 1, "{name}");
    }
    ensure!(snapshot(&stage, "db").await? == before, "the Secret was written to");
    ensure!(stage.secret("new").await?.is_none(), "a Secret without a value");
    controller.stop().await?;

    stage.set_variable("AZURE_ENVIRONMENT_FILEPATH", &good);
    let controller = stage.controller(&[]).await?;
    stage.wait_for_key("new", "v", "before").await?;
    stage.wait_for_reason("db", "Synced").await?;
    controller.stop().await
}
