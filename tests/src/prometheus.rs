//! A real Prometheus that reads our programs. The package `prometheus` brings it, and `promtool` with it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::form_urlencoded;

use crate::controlplane::process::Process;
use crate::wait::until;

/// What to do where it is absent.
const INSTALL: &str = "to install: apt-get install prometheus";
/// How long it may take to start.
const START: Duration = Duration::from_mins(1);

/// Something that shows metrics: its job, and where: `http://HOST:PORT`.
pub type Target<'t> = (&'t str, &'t str);

/// A running Prometheus, on loopback; ends when it is dropped.
pub struct Prometheus {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Reads `targets` once a second, and evaluates `rules` (a file) as often.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn start(targets: &[Target<'_>], rules: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("akv2k8s-prometheus-")?;
        let config = folder.path().join("prometheus.yml");
        let jobs: Vec<_> = targets
            .iter()
            .map(|(job, url)| json!({"job_name": job, "static_configs": [{"targets": [url.trim_start_matches("http://")]}]}))
            .collect();
        let document = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules.canonicalize()?],
            "scrape_configs": jobs,
        });
        std::fs::write(&config, document.to_string())?;
        // Somebody else may take the port in between: then it does not start, and the test says so.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let process = Process::start(&program("prometheus")?, arguments, folder.path())?;
        let mut prometheus = Self {
            process,
            address,
            _folder: folder,
        };
        let ready = until("Prometheus to start", START, async || {
            if prometheus.process.has_ended().unwrap_or(true) {
                return Some(false);
            }
            let text = prometheus.get("/-/ready").await.ok()?;
            text.contains("is Ready").then_some(true)
        });
        match ready.await {
            Ok(true) => Ok(prometheus),
            Ok(false) => bail!("Prometheus ended:\n{}", prometheus.process.log_tail()),
            Err(error) => Err(anyhow::Error::new(error).context(prometheus.process.log_tail())),
        }
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The result of an expression, now: one entry for each series.
    ///
    /// # Errors
    /// The expression cannot be evaluated; with what Prometheus says.
    pub async fn query(&self, expression: &str) -> anyhow::Result<Vec<Value>> {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let data = self
            .api(&format!("query?query={query}"))
            .await
            .context(expression.to_owned())?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// What an expression was in each second of the last minute: pairs of time (Unix seconds) and value for each series.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn last_minute(&self, expression: &str) -> anyhow::Result<Vec<Vec<(f64, f64)>>> {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let now = jiff::Timestamp::now().as_second();
        let path = format!("query_range?query={query}&start={}&end={now}&step=1", now - 60);
        let data = self.api(&path).await.context(expression.to_owned())?;
        let series = data["result"].as_array().into_iter().flatten();
        let points = series.map(|it| {
            it["values"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(point)
                .collect()
        });
        Ok(points.collect())
    }

    /// `data` of a path of its API, version 1.
    ///
    /// # Errors
    /// It does not say `success`.
    pub async fn api(&self, path: &str) -> anyhow::Result<Value> {
        let text = self.get(&format!("/api/v1/{path}")).await?;
        let mut answer: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        ensure!(answer["status"] == "success", "{text}");
        Ok(answer["data"].take())
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        get(&format!("{}{path}", self.url())).await
    }
}

/// A pair of time and value, which is text since it may be no number.
fn point(pair: &Value) -> Option<(f64, f64)> {
    Some((pair[0].as_f64()?, pair[1].as_str()?.parse().ok()?))
}

/// The body of an answer, whatever its status.
///
/// # Errors
/// Nobody answers.
pub async fn get(url: &str) -> anyhow::Result<String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.get(url.parse()?).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Runs `promtool` in the repository's root; what it printed.
///
/// # Errors
/// It is not installed, or is not content; with what it printed.
pub fn promtool(arguments: &[&str]) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let output = Command::new(program("promtool")?)
        .args(arguments)
        .current_dir(root)
        .output()?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(output.status.success(), "promtool {}: {text}", arguments.join(" "));
    Ok(text)
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places
        .find(|it| it.is_file())
        .with_context(|| format!("{name} is not there; {INSTALL}"))
}
