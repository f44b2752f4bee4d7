//! A registry, and somebody who looks images up in it.

use akv2k8s_envinjector::admission::{ImageConfig, ImageLookup, ImageQuery};
use akv2k8s_envinjector::registry::{Registries, Settings};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::identity::Provider;
use akv2k8s_testbed::hardened;
use akv2k8s_testbed::image::{Image, Platform};
use akv2k8s_testbed::registry::{Options, Registry};
use serde_json::Value;

pub(crate) struct Bed {
    pub(crate) registry: Registry,
    pub(crate) lookup: Registries,
}

impl Bed {
    /// A registry of its own authority, and a look-up that trusts it and reads no pull secrets.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> anyhow::Result<Self> {
        let registry = Registry::start(Options::default()).await?;
        let mut settings = trusting(&registry);
        settings.pull_secrets = false;
        change(&mut settings);
        let lookup = lookup(settings, nowhere()?, None)?;
        Ok(Self { registry, lookup })
    }

    /// What an image of the registry starts.
    pub(crate) async fn ask(&self, name: &str) -> Result<ImageConfig, Box<Diagnosis>> {
        ask(&self.lookup, &query(&self.image(name))).await
    }

    /// The full name of an image of the registry.
    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.address())
    }

    /// Methods, paths and statuses of the requests until now, which are forgotten then.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.registry.requests();
        self.registry.forget_requests();
        let line = |it: &akv2k8s_testbed::registry::Request| format!("{} {} {}", it.method, it.path, it.status);
        requests.iter().map(line).collect()
    }
}

/// Settings that trust a registry of its own authority.
pub(crate) fn trusting(registry: &Registry) -> Settings {
    Settings {
        authorities: registry.ca_pem().map(|pem| pem.as_bytes().to_vec()),
        local: registry.address().parse().into_iter().collect(),
        // A busy machine is no reason for a denial.
        deadline: std::time::Duration::from_mins(1),
        pull_secrets: !hardened::is_on(),
        ..Settings::default()
    }
}

pub(crate) fn lookup(settings: Settings, kube: kube::Client, identity: Option<Provider>) -> anyhow::Result<Registries> {
    Ok(Registries::new(&Environment::default(), settings, kube, identity)?)
}

pub(crate) async fn ask(lookup: &Registries, query: &ImageQuery) -> Result<ImageConfig, Box<Diagnosis>> {
    lookup.config(query).await.map_err(|error| error.0)
}

/// A question as a plain pod asks it.
pub(crate) fn query(image: &str) -> ImageQuery {
    ImageQuery {
        image: image.to_owned(),
        pull_policy: None,
        namespace: "default".to_owned(),
        service_account: "default".to_owned(),
        pull_secrets: Vec::new(),
        node_selector: std::collections::BTreeMap::new(),
        node_affinity: Value::Null,
    }
}

/// An API server that nobody is to ask.
pub(crate) fn nowhere() -> anyhow::Result<kube::Client> {
    let address = "http://127.0.0.1:1".parse()?;
    Ok(kube::Client::try_from(kube::Config::new(address))?)
}

/// An image that starts `program`, for an architecture.
pub(crate) fn starting(program: &str, architecture: &str) -> Image {
    Image::scratch([])
        .entrypoint([program])
        .cmd(["--port", "80"])
        .platform(Platform::linux(architecture))
}

pub(crate) fn config(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
    let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect();
    ImageConfig {
        entrypoint: words(entrypoint),
        cmd: words(cmd),
    }
}

/// What [`starting`] of this program starts.
pub(crate) fn started(program: &str) -> ImageConfig {
    config(&[program], &["--port", "80"])
}
