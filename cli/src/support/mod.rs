//! `support`: what somebody else needs to help, in one archive, without any value.
//!
//! ```text
//!  API server, controller pods ──▶ strip (what is let through) ──▶ redact (what is known, what looks like it) ──▶ archive
//! ```

mod archive;
mod redact;
mod report;
mod strip;

use akv2k8s_controller::output::Target;
use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::secret::SecretBytes;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::args::Support;
use crate::cluster::{Cluster, seen};
use crate::gather;
use crate::live::Live;
use redact::{Redactor, SHORTEST};
use report::{Counted, Written};

/// Lines of a pod's log.
const LINES: i64 = 2000;

/// The archive's content: names of files, and their texts.
#[derive(Default)]
struct Bundle {
    files: Vec<(String, String)>,
    objects: Counted,
    /// What could not be had, and why.
    missing: Vec<String>,
}

/// Writes the archive; gives what to tell of it.
///
/// # Errors
/// AKVS cannot be listed, or the file cannot be written.
pub(crate) async fn support(args: &Support, cluster: &Cluster) -> anyhow::Result<Written> {
    let api: Api<AzureKeyVaultSecret> = Api::all(cluster.client.clone());
    let objects = seen(api.list(&ListParams::default()).await, "AzureKeyVaultSecrets")?;
    let mut bundle = Bundle::default();
    let (redactor, unknown) = if let Seen::Found(objects) = &objects {
        bundle.objects.azure_key_vault_secrets = Some(objects.items.len());
        bundle.json("akvs.json", &objects.items.iter().map(strip::akvs).collect());
        known_values(cluster, &objects.items).await?
    } else {
        let what = "AzureKeyVaultSecrets of all namespaces: no right to list them, or no such resource";
        bundle.missing.push(what.to_owned());
        (Redactor::default(), 0)
    };
    versions(cluster, &mut bundle).await;
    installation(args, cluster, &mut bundle).await?;
    let missing = bundle.missing.iter().map(|what| redactor.clean(what)).collect();
    let objects = bundle.objects;
    let files = bundle.finish(&redactor, unknown);
    let name = format!("akv2k8s-support-{}.tar", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let path = args.to.clone().unwrap_or_else(|| name.into());
    let bytes = archive::write(&path, &files)?;
    let written = Written::new(path.display().to_string(), bytes, &files);
    Ok(written.with_objects(objects).without(missing, unknown))
}

/// What outputs hold, to be looked for; and how many of them cannot be read.
async fn known_values(cluster: &Cluster, objects: &[AzureKeyVaultSecret]) -> anyhow::Result<(Redactor, usize)> {
    let mut values: Vec<SecretBytes> = Vec::new();
    let mut unknown = 0;
    for akvs in objects {
        let namespace = akvs.namespace().unwrap_or_default();
        for output in akvs.status.iter().flat_map(|status| &status.outputs) {
            match Live::read(cluster, &namespace, &Target::from(output)).await? {
                Seen::Found(live) => values.extend(live.data.into_values()),
                Seen::Missing => {}
                Seen::NotAllowed => unknown += 1,
            }
        }
    }
    Ok((Redactor::new(&values), unknown))
}

async fn versions(cluster: &Cluster, bundle: &mut Bundle) {
    let server = cluster.client.apiserver_version().await;
    let server = match server {
        Ok(info) => Value::from(info.git_version),
        Err(error) => {
            bundle.missing.push(format!("version of the API server: {error}"));
            Value::Null
        }
    };
    bundle.json(
        "versions.json",
        &json!({"kubectl-akv2k8s": env!("CARGO_PKG_VERSION"), "kubernetes": server}),
    );
}

/// Deployments and pods in the controller's namespace, and what the pods say.
async fn installation(args: &Support, cluster: &Cluster, bundle: &mut Bundle) -> anyhow::Result<()> {
    let (client, namespace) = (&cluster.client, args.installation.controller_namespace.as_str());
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    match seen(deployments.list(&ListParams::default()).await, "Deployments")? {
        Seen::Found(list) => {
            bundle.objects.deployments = Some(list.items.len());
            bundle.json("deployments.json", &list.iter().map(strip::deployment).collect());
        }
        _ => bundle
            .missing
            .push(format!("Deployments in namespace {namespace}: no right to list them")),
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = if let Seen::Found(list) = seen(pods.list(&ListParams::default()).await, "pods")? {
        bundle.objects.pods = Some(list.items.len());
        list.items
    } else {
        bundle
            .missing
            .push(format!("pods in namespace {namespace}: no right to list them"));
        Vec::new()
    };
    bundle.json("pods.json", &list.iter().map(strip::pod).collect());
    for pod in &list {
        let name = pod.name_any();
        for path in ["readyz", "metrics"] {
            let port = args.installation.health_port;
            let answer = gather::ask_pod(client, namespace, &name, port, path).await;
            bundle.answer(format!("{name}/{path}.txt"), answer);
        }
        let parameters = LogParams {
            tail_lines: Some(LINES),
            timestamps: true,
            ..LogParams::default()
        };
        bundle.answer(
            format!("{name}/log.txt"),
            pods.logs(&name, &parameters).await.map_err(Into::into),
        );
    }
    Ok(())
}

impl Bundle {
    fn json(&mut self, name: &str, value: &Value) {
        self.files.push((name.to_owned(), format!("{value:#}\n")));
    }

    fn answer(&mut self, name: String, answer: anyhow::Result<String>) {
        match answer {
            Ok(text) => self.files.push((name, text)),
            Err(error) => self.missing.push(format!("{name}: {error:#}")),
        }
    }

    /// All files, redacted, with one that says how they came about; `unknown` outputs could not be read.
    fn finish(self, redactor: &Redactor, unknown: usize) -> Vec<(String, String)> {
        let unread = if unknown == 0 {
            String::new()
        } else {
            format!(" {unknown} of them could not be read, so their values were not looked for.")
        };
        let missing: String = self
            .missing
            .iter()
            .map(|what| format!("- {what}\n"))
            .collect::<Vec<_>>()
            .concat();
        let about = format!(
            "Made by kubectl akv2k8s support {}.\n\nAnnotations and values of variables were left out, but for variables that are known to be harmless. Then everything was searched\n\
             for the values of the Secrets and ConfigMaps that AzureKeyVaultSecrets have written, those shorter than {SHORTEST} bytes excepted, and for what looks like a \
             credential.{unread}\n\nNot here:\n{missing}",
            env!("CARGO_PKG_VERSION")
        );
        let all = std::iter::once(("README.txt".to_owned(), about)).chain(self.files);
        all.map(|(name, text)| (name, redactor.clean(&text))).collect()
    }
}
