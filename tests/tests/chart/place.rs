//! A place for a release of akv2k8s, and for ours over it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::helm::{Helm, RELEASE, id};
use akv2k8s_testbed::provision::Program;
use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::installing::authority;
use crate::learn_of_others;
use crate::users::listed;

/// On an API server that all tests with the same Helm have in common, one after the other.
pub(crate) struct Place {
    pub(crate) cluster: &'static ControlPlane,
    old: Helm,
    pub(crate) ours: Helm,
    /// Of the webhook of the old release.
    pub(crate) certificate: String,
    _charts: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// Objects by their [`id`].
pub(crate) type Objects = BTreeMap<String, Value>;

/// Objects before and after an upgrade.
pub(crate) struct Switched {
    pub(crate) before: Objects,
    pub(crate) after: Objects,
    /// What Helm printed.
    pub(crate) said: String,
}

impl Place {
    /// Nothing of a release is there, and others' definitions are.
    pub(crate) async fn new(program: Program) -> anyhow::Result<Self> {
        static OF_HELM_3: (Mutex<()>, OnceCell<ControlPlane>) = (Mutex::const_new(()), OnceCell::const_new());
        static OF_HELM_4: (Mutex<()>, OnceCell<ControlPlane>) = (Mutex::const_new(()), OnceCell::const_new());
        let (turn, cluster) = match program {
            Program::Helm4 => &OF_HELM_4,
            _ => &OF_HELM_3,
        };
        let turn = turn.lock().await;
        let cluster = cluster.get_or_try_init(ControlPlane::start).await?;
        let (charts, certificate) = (tempfile::tempdir()?, authority());
        let chart = old_chart(charts.path(), &certificate)?;
        let place = Self {
            cluster,
            // Whoever has a release of akv2k8s installed it by Helm 3.
            old: Helm::of(Program::Helm3)?
                .with_chart(&chart)
                .with_cluster(cluster.kubeconfig()),
            ours: Helm::of(program)?.with_cluster(cluster.kubeconfig()),
            certificate,
            _charts: charts,
            _turn: turn,
        };
        // What a test that failed has left, and the definition as another one has left it.
        place.uninstall()?;
        let definition = [
            "delete",
            "customresourcedefinition",
            "azurekeyvaultsecrets.spv.no",
            "--ignore-not-found",
        ];
        cluster.kubectl(&definition).await?.success()?;
        learn_of_others(cluster).await?;
        Ok(place)
    }

    pub(crate) fn install_old(&self, values: &str) -> anyhow::Result<()> {
        let line = [
            "install",
            RELEASE,
            "CHART",
            "--namespace",
            RELEASE,
            "--create-namespace",
        ];
        self.old.run(&line, values).context("install the old release")?;
        Ok(())
    }

    pub(crate) fn upgrade_with(&self, flags: &[&str], values: &str) -> anyhow::Result<String> {
        let line = [&["upgrade", RELEASE, "CHART", "--namespace", RELEASE][..], flags].concat();
        self.ours.run(&line, values).context("upgrade")
    }

    pub(crate) fn uninstall(&self) -> anyhow::Result<()> {
        let line = ["uninstall", RELEASE, "--namespace", RELEASE, "--ignore-not-found"];
        self.ours.run(&line, "").context("uninstall")?;
        Ok(())
    }

    /// Those of these objects that are there.
    pub(crate) async fn get<'i>(&self, ids: impl IntoIterator<Item = &'i String>) -> anyhow::Result<Objects> {
        let ids: Vec<_> = ids.into_iter().map(String::as_str).collect();
        let line = [
            &["--namespace", RELEASE, "get", "--ignore-not-found", "--output=json"][..],
            &ids,
        ]
        .concat();
        let text = self.cluster.kubectl(&line).await?.success()?;
        Ok(by_id(listed(serde_json::from_str(&text)?)))
    }

    pub(crate) async fn there(&self, wanted: &str) -> anyhow::Result<Value> {
        let mut found = self.get([&wanted.to_owned()]).await?;
        found.remove(wanted).with_context(|| format!("{wanted} is not there"))
    }

    /// Upgrades with the same values. Afterwards there is what our chart renders, and nothing else of the old release: what both have is the
    /// same object as before, with no part left of the old one.
    pub(crate) async fn switch(&self, values: &str) -> anyhow::Result<Switched> {
        let (old, new) = (by_id(self.old.objects(values)?), by_id(self.ours.objects(values)?));
        let before = self.get(old.keys()).await?;
        ensure!(
            before.keys().eq(old.keys()),
            "installed: {:?}, of {:?}",
            before.keys(),
            old.keys()
        );
        let said = self.upgrade_with(&[], values)?;
        let both: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let after = self.get(both).await?;
        ensure!(
            after.keys().eq(new.keys()),
            "upgraded: {:?}, of {:?}",
            after.keys(),
            new.keys()
        );
        for (id, object) in &after {
            is_as_rendered(&new[id], object).with_context(|| id.clone())?;
            let former = before.get(id).map(|it| &it["metadata"]["uid"]);
            ensure!(
                former.is_none_or(|uid| *uid == object["metadata"]["uid"]),
                "{id} was made anew"
            );
        }
        Ok(Switched { before, after, said })
    }
}

impl Switched {
    /// What went.
    pub(crate) fn gone(&self) -> Vec<&str> {
        let gone = self.before.keys().filter(|id| !self.after.contains_key(*id));
        gone.map(String::as_str).collect()
    }

    /// Whether all of these are in place.
    pub(crate) fn keeps(&self, ids: &[&str]) -> anyhow::Result<()> {
        for id in ids {
            let kept = self.before.contains_key(*id) && self.after.contains_key(*id);
            ensure!(kept, "{id} is not in both");
        }
        Ok(())
    }
}

/// The chart of the old release, with the resource definition as it was.
fn old_chart(folder: &Path, certificate: &str) -> anyhow::Result<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chart/upstream");
    let copied = std::process::Command::new("cp")
        .args(["-r", source])
        .arg(folder)
        .status()?;
    ensure!(copied.success(), "copy {source}");
    let chart = folder.join("upstream");
    std::fs::write(chart.join("certificate"), certificate)?;
    std::fs::create_dir(chart.join("crds"))?;
    std::fs::write(chart.join("crds/crd.yaml"), include_str!("../crd/upstream.yaml"))?;
    Ok(chart)
}

pub(crate) fn by_id(objects: Vec<Value>) -> Objects {
    objects.into_iter().map(|it| (id(&it), it)).collect()
}

/// Whether an object has all that was rendered, and in lists nothing besides. The API server adds fields, but no members of lists.
fn is_as_rendered(rendered: &Value, live: &Value) -> anyhow::Result<()> {
    match (rendered, live) {
        (Value::Object(rendered), _) => rendered
            .iter()
            .try_for_each(|(key, value)| is_as_rendered(value, &live[key]).with_context(|| key.clone())),
        (Value::Array(rendered), Value::Array(live)) if rendered.len() == live.len() => rendered
            .iter()
            .zip(live)
            .try_for_each(|(rendered, live)| is_as_rendered(rendered, live)),
        (Value::Array(rendered), Value::Null) if rendered.is_empty() => Ok(()),
        _ => {
            ensure!(rendered == live, "{live} in place of {rendered}");
            Ok(())
        }
    }
}
