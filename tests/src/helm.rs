//! Real Helm, version 3 and 4, with our chart.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde::Deserialize as _;
use serde_json::Value;

use crate::provision::{Locations, NotProvisioned, Program};

/// The chart's folder.
pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/akv2k8s");
/// Name of the release, and of its namespace, unless a test says otherwise: what most installations have.
pub const RELEASE: &str = "akv2k8s";

/// One Helm.
#[derive(Clone, Debug)]
pub struct Helm {
    program: PathBuf,
    chart: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Helm of this version (`Program::Helm3` or `Program::Helm4`), with the chart of the work tree.
    ///
    /// # Errors
    /// It was not built; the message names the command that builds it.
    pub fn of(program: Program) -> Result<Self, NotProvisioned> {
        Ok(Self {
            program: Locations::from_env().find(program)?,
            chart: CHART.into(),
            kubeconfig: None,
        })
    }

    /// Both.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn both() -> Result<Vec<Self>, NotProvisioned> {
        Program::HELM.iter().map(|program| Self::of(*program)).collect()
    }

    /// The same with another chart.
    #[must_use]
    pub fn with_chart(mut self, chart: &Path) -> Self {
        chart.clone_into(&mut self.chart);
        self
    }

    /// The same for the cluster of this kubeconfig.
    #[must_use]
    pub fn with_cluster(mut self, kubeconfig: &Path) -> Self {
        self.kubeconfig = Some(kubeconfig.to_owned());
        self
    }

    /// What `helm ARGUMENTS` prints, with `values` (YAML) in a file. The word `CHART` stands for the chart.
    ///
    /// # Errors
    /// Helm's own words.
    pub fn run(&self, arguments: &[&str], values: &str) -> anyhow::Result<String> {
        let mut file = tempfile::NamedTempFile::new().context("a file for the values")?;
        file.write_all(values.as_bytes()).context("write the values")?;
        // Nothing of whoever runs the tests: no plugins, no repositories, no cluster.
        let home = tempfile::tempdir().context("a folder for Helm")?;
        let mut command = Command::new(&self.program);
        for argument in arguments {
            match *argument {
                "CHART" => command.arg(&self.chart),
                argument => command.arg(argument),
            };
        }
        if !values.is_empty() {
            command.arg("--values").arg(file.path());
        }
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HELM_") {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", home.path())
            .env_remove("XDG_CACHE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env(
                "KUBECONFIG",
                self.kubeconfig.as_deref().unwrap_or(Path::new("/nowhere")),
            );
        let output = command
            .output()
            .with_context(|| format!("start {}", self.program.display()))?;
        ensure!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `helm template` for the usual release with `values` (YAML), as text.
    ///
    /// # Errors
    /// Helm's own words.
    pub fn template(&self, values: &str) -> anyhow::Result<String> {
        self.run(&["template", RELEASE, "CHART", "--namespace", RELEASE], values)
    }

    /// The objects of [`Self::template`].
    ///
    /// # Errors
    /// Helm's own words, or what it prints is no YAML.
    pub fn objects(&self, values: &str) -> anyhow::Result<Vec<Value>> {
        objects(&self.template(values)?)
    }
}

/// The objects of a stream of YAML documents.
///
/// # Errors
/// It is no YAML.
pub fn objects(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = Value::deserialize(document).context("the manifests are no YAML")?;
        if !object.is_null() {
            objects.push(object);
        }
    }
    Ok(objects)
}

/// `KIND/NAME` of an object, or `KIND/NAMESPACE/NAME` outside of the release's namespace.
pub fn id(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) if namespace != RELEASE => format!("{kind}/{namespace}/{name}"),
        _ => format!("{kind}/{name}"),
    }
}

/// The object with this [`id`].
pub fn find<'o>(objects: &'o [Value], wanted: &str) -> Option<&'o Value> {
    objects.iter().find(|object| id(object) == wanted)
}
