//! `run`: a program on this computer with values in its environment, by the code of the exec wrapper.

mod env_file;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;

use akv2k8s_exec::elsewhere::{Setup, Variables};
use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::secret::SecretBytes;
use anyhow::{Context, anyhow};
use kube::Api;
use serde_json::{Map, Value};

use crate::args::{Args, Run};
use crate::cluster::{Cluster, required_akvs};
use crate::vault::auth_type;

/// What complaints of the wrapper's code begin with.
const PROGRAM: &str = "kubectl-akv2k8s";

/// A program that can be started.
pub struct Start {
    variables: Variables,
    setup: Setup,
    arguments: Vec<OsString>,
}

impl Start {
    /// Resolves the references, and becomes the program. Comes back only when it was not started. Must not be called within a runtime.
    pub fn now(self) -> ExitCode {
        self.variables.become_program(self.setup, self.arguments)
    }
}

/// Reads the files, and the AKVS that references name; a cluster is asked only when there are some.
///
/// # Errors
/// A file cannot be read, a reference is malformed, or there is no such AKVS.
pub(crate) async fn prepare(run: &Run, args: &Args, environment: &Environment) -> anyhow::Result<Start> {
    let mut variables = Variables::of_process();
    for file in &run.env_files {
        let text = std::fs::read(file).map(SecretBytes::new);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        let pairs = env_file::parse(&text).with_context(|| format!("cannot use {}", file.display()))?;
        for (name, value) in pairs {
            variables.set(&name, value);
        }
    }
    let named = variables.named().map_err(|why| anyhow!(why))?;
    let specs = if named.is_empty() {
        Map::new()
    } else {
        specs(&Cluster::connect(args).await?, &named).await?
    };
    Ok(Start {
        variables,
        setup: Setup {
            program: PROGRAM,
            auth_type: auth_type(environment).map_err(|error| *error)?.as_str().to_owned(),
            specs: Value::Object(specs).to_string(),
        },
        arguments: run.command.clone(),
    })
}

async fn specs(cluster: &Cluster, named: &BTreeSet<String>) -> anyhow::Result<Map<String, Value>> {
    let namespace = &cluster.namespace;
    let api: Api<AzureKeyVaultSecret> = Api::namespaced(cluster.client.clone(), namespace);
    let mut specs = Map::new();
    for name in named {
        let what =
            format!("AzureKeyVaultSecret {namespace}/{name}, which a variable names (-n NAMESPACE looks in another)");
        let akvs = required_akvs(api.get(name).await, &what, "get", &format!("namespace {namespace}"))?;
        let spec = serde_json::to_value(&akvs.spec).context("a spec has no JSON form")?;
        specs.insert(name.clone(), spec);
    }
    Ok(specs)
}
