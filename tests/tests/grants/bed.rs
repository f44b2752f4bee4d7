//! What the tests here share: a rule file, and how it is changed.

use std::path::PathBuf;
use std::time::Duration;

use akv2k8s_shared::api::condition;
use akv2k8s_testbed::stage::{PATIENCE, Running, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::Context;

/// A rule file that is mounted as Kubernetes mounts a ConfigMap: `grants.yaml` → `..data/grants.yaml`, `..data` → the folder of
/// one version. A change swaps the second link, and touches nothing of the path that is read.
pub(crate) struct RuleFile {
    folder: PathBuf,
}

impl RuleFile {
    pub(crate) fn new(stage: &Stage, rules: &str) -> anyhow::Result<Self> {
        let folder = stage.files().join("grants");
        std::fs::create_dir(&folder)?;
        let file = Self { folder };
        file.write(rules)?;
        std::os::unix::fs::symlink("..data/grants.yaml", file.folder.join("grants.yaml"))?;
        Ok(file)
    }

    /// Puts `rules` in place of what was there, at once.
    pub(crate) fn write(&self, rules: &str) -> anyhow::Result<()> {
        let versions = std::fs::read_dir(&self.folder)?.count();
        let version = format!("..version-{versions}");
        std::fs::create_dir(self.folder.join(&version))?;
        std::fs::write(self.folder.join(&version).join("grants.yaml"), rules)?;
        let (fresh, data) = (self.folder.join("..data_tmp"), self.folder.join("..data"));
        std::os::unix::fs::symlink(version, &fresh)?;
        Ok(std::fs::rename(fresh, data)?)
    }

    pub(crate) fn path(&self) -> String {
        self.folder.join("grants.yaml").display().to_string()
    }

    pub(crate) fn flag(&self) -> String {
        format!("--vault-grants={}", self.path())
    }
}

/// One rule: `namespace` may use `vault`.
pub(crate) fn rule(namespace: &str, vault: &str) -> String {
    format!("{{namespaces: [{namespace}], vaults: [{vault}]}}")
}

/// A whole file.
pub(crate) fn rules(rules: &[String]) -> String {
    format!("grants: [{}]\n", rules.join(", "))
}

/// An AKVS that writes the secret `object` of `vault` to key `v` of a Secret of the given name.
pub(crate) fn spec(vault: &str, object: &str, secret: &str) -> String {
    format!(
        "{{vault: {{name: {vault}, object: {{name: {object}, type: secret}}}}, output: {{secret: {{name: {secret}, dataKey: v}}}}}}"
    )
}

/// The message of the Ready condition.
pub(crate) async fn message(stage: &Stage, name: &str) -> anyhow::Result<String> {
    let status = stage.akvs(name).await?.status.context("status")?;
    let ready = condition::get(&status.conditions, condition::READY).context("Ready")?;
    Ok(ready.message.clone())
}

/// Waits until the body of `/readyz` holds `text`, or no longer does.
pub(crate) async fn readyz(controller: &Running, text: &str, holds: bool) -> anyhow::Result<String> {
    let what = format!("/readyz {} {text:?}", if holds { "to tell" } else { "to tell no more" });
    let body = until(&what, PATIENCE, async || {
        let (status, body) = controller.get("/readyz").await.ok()?;
        (status == 200 && body.contains(text) == holds).then_some(body)
    });
    Ok(body.await?)
}

/// Waits until the vault `name` was looked at so often since the last reset of the journal: proof that time has passed for the
/// poller, too.
pub(crate) async fn looks(stage: &Stage, vault: &str, times: u64) -> anyhow::Result<()> {
    let journal = stage.emulator.journal();
    let seen = journal.wait_for(Duration::from_mins(2), |counts| counts.vault(vault).total() >= times);
    seen.await
        .with_context(|| format!("{times} looks at {vault}"))
        .map(drop)
}
