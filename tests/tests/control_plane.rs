//! The control plane that all other end-to-end tests stand on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn it_is_up_in_seconds_and_serves_kubectl() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    println!("up after {:.2} s", cluster.startup_time().as_secs_f32());
    assert!(
        cluster.startup_time() < Duration::from_mins(1),
        "{:?}",
        cluster.startup_time()
    );
    let version = cluster
        .kubectl(&["version"])
        .await
        .expect("kubectl")
        .success()
        .expect("kubectl version");
    assert!(version.contains("Server Version"), "{version}");
}

#[tokio::test]
async fn every_test_gets_a_namespace_of_its_own() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    let (first, second) = tokio::join!(cluster.namespace("own"), cluster.namespace("own"));
    let (first, second) = (first.expect("namespace"), second.expect("namespace"));
    assert_ne!(first.name(), second.name());
    assert!(first.name().starts_with("own-"));
}

#[tokio::test]
async fn a_child_is_collected_after_its_owner() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    let namespace = cluster.namespace("collect").await.expect("namespace");
    let client = cluster.client().expect("client");
    let owners: Api<ConfigMap> = Api::namespaced(client.clone(), namespace.name());
    let children: Api<Secret> = Api::namespaced(client, namespace.name());

    let owner: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "owner"}})).expect("ConfigMap");
    let owner = owners.create(&PostParams::default(), &owner).await.expect("owner");
    let reference =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid.expect("uid")});
    let child = json!({"metadata": {"name": "child", "ownerReferences": [reference]}});
    let child: Secret = serde_json::from_value(child).expect("Secret");
    children.create(&PostParams::default(), &child).await.expect("child");

    owners
        .delete("owner", &DeleteParams::background())
        .await
        .expect("delete");
    let gone = async || children.get_opt("child").await.expect("look").is_none().then_some(());
    until("the child's collection", LIMIT, gone).await.expect("collected");
}

#[tokio::test]
async fn anybody_can_read_the_token_issuers_keys_and_nothing_else() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    let mut anonymous = kube::Config::new(cluster.server_url().parse().expect("URL"));
    anonymous.root_cert = Some(vec![
        pem::parse(cluster.ca_pem()).expect("one certificate").into_contents(),
    ]);
    let anonymous = kube::Client::try_from(anonymous).expect("client");
    let get = async |path: &str| anonymous.request_text(http_get(path)).await;
    let discovery = get("/.well-known/openid-configuration").await.expect("discovery");
    let discovery: Value = serde_json::from_str(&discovery).expect("JSON");
    assert_eq!(discovery["issuer"], cluster.issuer().await.expect("issuer"));
    assert_eq!(discovery["issuer"], cluster.server_url());
    assert_eq!(
        discovery["jwks_uri"],
        format!("{}/openid/v1/jwks", cluster.server_url())
    );
    let keys = get("/openid/v1/jwks").await.expect("keys");
    assert!(keys.contains(r#""kid""#), "{keys}");
    assert!(get("/api/v1/namespaces/default/secrets").await.is_err());
}

#[tokio::test]
async fn a_service_account_gets_tokens_for_the_audience_of_entra() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    let namespace = cluster.namespace("token").await.expect("namespace");
    let token = cluster
        .service_account_token(namespace.name(), "default", "api://AzureADTokenExchange")
        .await;
    let token = token.expect("token");
    let claims = token.split('.').nth(1).expect("a JWT has three parts");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["iss"], cluster.server_url());
    assert_eq!(claims["aud"], json!(["api://AzureADTokenExchange"]));
    assert_eq!(claims["sub"], format!("system:serviceaccount:{namespace}:default"));
}

#[tokio::test]
async fn a_client_that_acts_as_a_service_account_has_only_its_rights() {
    let cluster = ControlPlane::shared().await.expect("control plane");
    let namespace = cluster.namespace("rights").await.expect("namespace");
    let client = cluster
        .client_as_service_account(namespace.name(), "default")
        .expect("client");
    let secrets: Api<Secret> = Api::namespaced(client, namespace.name());
    match secrets.list(&ListParams::default()).await {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{}", status.message),
        other => panic!("expected 403, got {other:?}"),
    }
}

#[tokio::test]
async fn the_api_server_can_be_restarted_with_its_data() {
    let cluster = ControlPlane::start().await.expect("control plane");
    let namespace = cluster.namespace("restart").await.expect("namespace");
    cluster.stop_api_server().await.expect("stop");
    assert!(!answers(cluster.server_url()));
    cluster.start_api_server().await.expect("start");
    let namespaces = cluster
        .kubectl(&["get", "namespace", namespace.name()])
        .await
        .expect("kubectl");
    namespaces.success().expect("the namespace is still there");
}

#[tokio::test]
async fn nothing_is_left_of_a_process_that_was_killed() {
    nothing_is_left_after("-KILL").await;
}

#[tokio::test]
async fn nothing_is_left_after_ctrl_c() {
    nothing_is_left_after("-INT").await;
}

/// Starts `testbed up`, sends it a signal, and waits until no process and no file of its control plane is left.
async fn nothing_is_left_after(signal: &str) {
    let mut testbed = Killed(
        Command::new(env!("CARGO_BIN_EXE_testbed"))
            .arg("up")
            .stdout(Stdio::piped())
            .spawn()
            .expect("start `testbed up`"),
    );
    let lines = BufReader::new(testbed.0.stdout.take().expect("piped")).lines();
    let kubeconfig = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("export KUBECONFIG=").map(str::to_owned))
        .expect("`testbed up` prints the kubeconfig's path");
    let folder = Path::new(&kubeconfig)
        .parent()
        .expect("the kubeconfig is in a folder")
        .to_owned();
    let cluster = ControlPlane::existing(Path::new(&kubeconfig)).await.expect("a cluster");
    let server = cluster.server_url().to_owned();
    assert!(
        processes_about(&folder).len() >= 6,
        "three programs and their supervisors"
    );

    let process = testbed.0.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &process])
            .status()
            .expect("kill")
            .success()
    );
    testbed.0.wait().expect("the end of `testbed up`");

    let nothing = async || (processes_about(&folder).is_empty() && !folder.exists()).then_some(());
    until("the end of all processes and of their folder", LIMIT, nothing)
        .await
        .expect("nothing is left");
    assert!(!answers(&server));
}

#[test]
fn without_provisioned_programs_the_error_names_the_command_that_brings_them() {
    let empty = tempfile::tempdir().expect("temporary folder");
    let output = Command::new(env!("CARGO_BIN_EXE_testbed"))
        .arg("up")
        .env_remove("KUBEBUILDER_ASSETS")
        .env_remove("AKV2K8S_TEST_KUBECONFIG")
        .env("XDG_CACHE_HOME", empty.path())
        .output()
        .expect("start `testbed up`");
    assert!(!output.status.success());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(
        message.contains("cargo testbed provision") && message.contains("KUBEBUILDER_ASSETS"),
        "{message}"
    );
}

/// A process that is killed (SIGKILL) at the end of its scope, a failed assertion included.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It fails for a process that has ended as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn http_get(path: &str) -> hyper::Request<Vec<u8>> {
    hyper::Request::get(path).body(Vec::new()).expect("the path is valid")
}

/// Whether anybody listens at `https://HOST:PORT`.
fn answers(url: &str) -> bool {
    TcpStream::connect(url.trim_start_matches("https://")).is_ok()
}

/// Command lines of running programs that name `folder`.
fn processes_about(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().expect("temporary paths are text");
    let processes = fs::read_dir("/proc").expect("this test needs Linux: it looks for processes in /proc");
    processes
        .filter_map(|process| fs::read(process.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder))
        .collect()
}
