//! `support`: what somebody else needs to help, in one archive, without any value.
//!
//! ```text
//!  API server, our pods ──▶ strip (what is let through) ──▶ redact (what is known, what looks like it) ──▶ archive
//! ```

mod archive;
mod credentials;
mod known;
mod redact;
mod report;
mod strip;

use akv2k8s_shared::doctor::Seen;
use anyhow::bail;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::args::Support;
use crate::cluster::Cluster;
use crate::gather::{self, Component};
use known::Known;
use report::{Counted, Written};

/// What is told of a cluster without the resource.
const NO_RESOURCE: &str = "AzureKeyVaultSecrets: the cluster does not know the resource";

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
/// AKVS or what they wrote cannot be read and nobody agreed to that, or the file cannot be written.
pub(crate) async fn support(args: &Support, cluster: &Cluster) -> anyhow::Result<Written> {
    let mut bundle = Bundle::default();
    let known = known::read(cluster).await?;
    if let (Some(refusal), false) = (known.refusal(), args.unsearched) {
        bail!(refusal);
    }
    match &known.objects {
        Seen::Found(objects) => {
            bundle.objects.azure_key_vault_secrets = Some(objects.len());
            bundle.json("akvs.json", &objects.iter().map(strip::akvs).collect());
        }
        Seen::Missing => bundle.missing.push(NO_RESOURCE.to_owned()),
        Seen::NotAllowed => bundle.missing.push(known::NOT_LISTED.to_owned()),
    }
    versions(cluster, &mut bundle).await;
    installation(args, cluster, &mut bundle).await?;
    let redactor = &known.redactor;
    let missing = bundle.missing.iter().map(|what| redactor.clean(what)).collect();
    let objects = bundle.objects;
    let files = bundle.finish(&known);
    let name = format!("akv2k8s-support-{}.tar", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let path = args.to.clone().unwrap_or_else(|| name.into());
    let bytes = archive::write(&path, &files)?;
    let written = Written::new(path.display().to_string(), bytes, &files);
    Ok(written.with_objects(objects).without(missing, known.unread()))
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

/// Deployments and pods of the installation, and what the pods say; what else is in their namespace stays behind.
async fn installation(args: &Support, cluster: &Cluster, bundle: &mut Bundle) -> anyhow::Result<()> {
    let (client, namespace) = (&cluster.client, args.installation.controller_namespace.as_str());
    let Seen::Found(deployments) = gather::deployments(client, namespace).await? else {
        let what = "no right to list deployments.apps, and their pods are not known without";
        bundle
            .missing
            .push(format!("Deployments in namespace {namespace}: {what}"));
        return Ok(());
    };
    if deployments.is_empty() {
        let what =
            format!("Deployments in namespace {namespace}: none has the chart's labels (--controller-namespace)");
        bundle.missing.push(what);
    }
    bundle.objects.deployments = Some(deployments.len());
    bundle.json("deployments.json", &deployments.iter().map(strip::deployment).collect());
    let mut all = Vec::new();
    for deployment in &deployments {
        let Some(component) = Component::of(deployment) else {
            continue;
        };
        match gather::pods(client, namespace, deployment).await? {
            Seen::Found(pods) => all.extend(pods.into_iter().map(|pod| (component, pod))),
            Seen::Missing | Seen::NotAllowed => {
                let what = format!("pods in namespace {namespace}: no right to list pods");
                bundle.missing.push(what);
                return Ok(());
            }
        }
    }
    bundle.objects.pods = Some(all.len());
    bundle.json("pods.json", &all.iter().map(|(_, pod)| strip::pod(pod)).collect());
    for (component, pod) in &all {
        let given = args
            .installation
            .health_port
            .filter(|_| *component == Component::Controller);
        let port = given.unwrap_or_else(|| component.http_port(pod));
        said(client, namespace, pod, port, bundle).await;
    }
    Ok(())
}

/// What `pod` says on `port`, and the end of its log.
async fn said(client: &Client, namespace: &str, pod: &Pod, port: u16, bundle: &mut Bundle) {
    let name = pod.name_any();
    for path in ["readyz", "metrics"] {
        let answer = gather::ask_pod(client, namespace, &name, port, path).await;
        bundle.answer(format!("{name}/{path}.txt"), answer);
    }
    let parameters = LogParams {
        tail_lines: Some(LINES),
        timestamps: true,
        ..LogParams::default()
    };
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let log = pods.logs(&name, &parameters).await;
    bundle.answer(format!("{name}/log.txt"), log.map_err(Into::into));
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

    /// All files, redacted, with one that says how they came about.
    fn finish(self, known: &Known) -> Vec<(String, String)> {
        let missing: String = self
            .missing
            .iter()
            .map(|what| format!("- {what}\n"))
            .collect::<Vec<_>>()
            .concat();
        let about = format!(
            "Made by kubectl akv2k8s support {}.\n\nAnnotations and values of variables were left out, but for variables that are known to be harmless.\n{}\n\
             What looks like a credential was taken out as well. That is best effort: look through it all before you send it.\n\nNot here:\n{missing}",
            env!("CARGO_PKG_VERSION"),
            known.told(),
        );
        let all = std::iter::once(("README.txt".to_owned(), about)).chain(self.files);
        all.map(|(name, text)| (name, known.redactor.clean(&text))).collect()
    }
}
