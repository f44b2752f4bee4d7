//! A container of a prepared pod, run without a node: the test does what kubelet, volumes and Services would.
//!
//! The pod is the one that the API server has. From it come command, arguments and variables; its init container fills the volume with
//! the wrapper; its token is made by the API server, for this pod, with the audience and path that its volume says.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};

use akv2k8s_shared::injection::names;
use anyhow::{Context, ensure};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::controlplane::ControlPlane;
use crate::kubelet::{self, text};
use crate::stack::{Injector, wrapper_program};

/// What any image brings along here: the programs of this machine.
const PATH: (&str, &str) = ("PATH", "/usr/local/bin:/usr/bin:/bin");

/// A container that can be started, any number of times.
pub struct Container {
    /// What is mounted.
    folder: TempDir,
    words: Vec<String>,
    variables: BTreeMap<String, String>,
}

impl Container {
    /// Prepares what container `name` of `pod` would find.
    ///
    /// # Errors
    /// The pod is not prepared as documented, or the API server refuses the token.
    pub async fn new(cluster: &ControlPlane, injector: &Injector, pod: &Value, name: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("akv2k8s-container-")?;
        fill_volume(pod, folder.path()).await?;
        let client = cluster.client()?;
        if let Some(token) = token(&client, pod).await? {
            std::fs::write(folder.path().join(names::TOKEN_FILE), token)?;
        }

        let all = ["initContainers", "containers"].map(|list| pod["spec"][list].as_array());
        let container = all.into_iter().flatten().flatten().find(|it| it["name"] == name);
        let container = container.with_context(|| format!("the pod has no container {name}"))?;
        let image = BTreeMap::from([(PATH.0.to_owned(), PATH.1.to_owned())]);
        let mut variables = kubelet::variables(&client, pod, container, &image).await?;
        serve(&mut variables, injector)?;
        let token_file = folder.path().join(names::TOKEN_FILE).display().to_string();
        variables.insert(names::AUTH_SERVICE_TOKEN_FILE.to_owned(), token_file);

        let words = ["command", "args"].map(|list| container[list].as_array());
        let words = words.into_iter().flatten().flatten();
        let mut words: Vec<String> = words.map(|word| kubelet::expand(text(word), &variables)).collect();
        ensure!(
            words.first().is_some_and(|it| it == names::WRAPPER),
            "container {name} does not begin with the wrapper: {words:?}"
        );
        words[0] = folder.path().join(names::PROGRAM).display().to_string();
        Ok(Self {
            folder,
            words,
            variables,
        })
    }

    /// Sets a variable, as if it were the image's.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Replaces the pod's token for the broker.
    pub fn set_token(&self, token: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.folder.path().join(names::TOKEN_FILE), token)?)
    }

    /// The pod's token for the broker.
    pub fn token(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join(names::TOKEN_FILE))?)
    }

    /// The container's program, ready to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.words[0]);
        command
            .args(&self.words[1..])
            .env_clear()
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end.
    pub async fn run(&self) -> anyhow::Result<Output> {
        self.command().output().await.context("cannot start the wrapper")
    }
}

/// Runs the init container: the wrapper copies itself.
async fn fill_volume(pod: &Value, folder: &Path) -> anyhow::Result<()> {
    let init = &pod["spec"]["initContainers"][0];
    ensure!(
        init["name"] == names::INIT_CONTAINER,
        "the first init container is {}",
        init["name"]
    );
    let command = init["command"].as_array().context("it has a command")?;
    let words: Vec<&str> = command.iter().map(text).collect();
    let program = tokio::task::spawn_blocking(wrapper_program).await??;
    let [image, "--copy", names::DIRECTORY] = words[..] else {
        anyhow::bail!("the init container starts {words:?}");
    };
    ensure!(image.ends_with(names::PROGRAM), "the init container starts {image}");
    let copied = Command::new(program).arg("--copy").arg(folder).status().await?;
    ensure!(copied.success(), "the init container ended with {copied}");
    Ok(())
}

/// The token that the kubelet would project into the pod; without the broker there is none.
async fn token(client: &kube::Client, pod: &Value) -> anyhow::Result<Option<String>> {
    let volumes = pod["spec"]["volumes"].as_array().context("the pod has volumes")?;
    let Some(volume) = volumes.iter().find(|it| it["name"] == names::TOKEN_VOLUME) else {
        return Ok(None);
    };
    let source = &volume["projected"]["sources"][0]["serviceAccountToken"];
    ensure!(
        source["path"] == names::TOKEN_FILE,
        "the token is at {}",
        source["path"]
    );
    let seconds = source["expirationSeconds"].as_i64();
    bound_token(client, pod, text(&source["audience"]), seconds)
        .await
        .map(Some)
}

/// A token of the pod's ServiceAccount, bound to the pod.
///
/// # Errors
/// The API server refuses it.
pub async fn bound_token(
    client: &kube::Client,
    pod: &Value,
    audience: &str,
    expiration_seconds: Option<i64>,
) -> anyhow::Result<String> {
    let metadata = &pod["metadata"];
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), text(&metadata["namespace"]));
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience.to_owned()]),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(text(&metadata["name"]).to_owned()),
                uid: Some(text(&metadata["uid"]).to_owned()),
            }),
            expiration_seconds,
        }),
        ..TokenRequest::default()
    };
    let account = text(&pod["spec"]["serviceAccountName"]);
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    let token = answer.status.and_then(|status| status.token);
    token.context("the answer to a request for a token has one")
}

/// Does the part of DNS and Service: the broker is at its port of this machine.
fn serve(variables: &mut BTreeMap<String, String>, injector: &Injector) -> anyhow::Result<()> {
    let Some(address) = variables.get_mut(names::AUTH_SERVICE) else {
        return Ok(());
    };
    ensure!(*address == injector.service(), "the broker is said to be at {address}");
    *address = format!("https://127.0.0.1:{}", injector.broker_port());
    Ok(())
}
