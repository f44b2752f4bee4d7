//! The program: connects, opens its doors, and closes them in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_program::api_server::{self, Place};
use akv2k8s_program::listen::listen;
use akv2k8s_program::metrics::{AzureReadings, registry};
use anyhow::Context;
use axum::Router;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::info;

use crate::admission::{ImageLookup, Metrics, Settings, Webhook};
use crate::broker::{self, Broker};
use crate::cluster::Cluster;
use crate::config::Config;
use crate::metrics::Certificates;
use crate::pki::{Directory, Options, Pki};
use crate::server::{Door, Limits, Phase, Phases};
use crate::{registry as images, routes};

/// An env injector that listens and is ready to run.
pub struct EnvInjector {
    config: Config,
    namespace: String,
    client: kube::Client,
    watching: kube::Client,
    http: TcpListener,
    tls: TcpListener,
    /// The broker's port, and its certificate, when pods get their values from it.
    broker: Option<TcpListener>,
    pki: Option<Arc<Pki>>,
    directory: Option<Arc<Directory>>,
    images: Arc<dyn ImageLookup>,
}

impl EnvInjector {
    /// Connects, makes or reads certificates, and binds the ports.
    ///
    /// # Errors
    /// What makes running pointless: no API server, a port in use, certificates that cannot be used.
    pub async fn new(config: Config) -> anyhow::Result<Self> {
        let place = Place {
            kubeconfig: config.args.kubeconfig.as_deref(),
            ..Place::default()
        };
        let cluster = api_server::cluster(place).await?;
        let client = api_server::client(&cluster, api_server::ANSWER)?;
        let watching = api_server::client(&cluster, api_server::WATCH)?;
        let namespace = config
            .namespace
            .clone()
            .unwrap_or_else(|| client.default_namespace().to_owned());
        let directory = match &config.certificates {
            Some(folder) => Some(Arc::new(Directory::open(folder.clone()).await.map_err(|error| *error)?)),
            None => None,
        };
        // Whoever brings certificates for the webhook's port may still have its path kept secret.
        let pki = if config.broker || directory.is_none() || config.webhook_configuration.is_some() {
            let options = pki_options(&config, &namespace, directory.is_none());
            Some(Arc::new(
                Pki::open(client.clone(), options).await.map_err(|error| *error)?,
            ))
        } else {
            None
        };
        Ok(Self {
            http: listen(config.ports.http, "HTTP_PORT").await?,
            tls: listen(config.ports.tls, "TLS_PORT").await?,
            images: images::open(&config, client.clone())?,
            broker: if config.broker {
                Some(listen(config.ports.broker, "MTLS_PORT").await?)
            } else {
                None
            },
            config,
            namespace,
            client,
            watching,
            pki,
            directory,
        })
    }

    /// Where health and metrics are.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        self.http.local_addr()
    }

    /// Where the webhook is.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn tls_address(&self) -> std::io::Result<SocketAddr> {
        self.tls.local_addr()
    }

    /// Where the broker is; `None`: pods read vaults themselves.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn broker_address(&self) -> std::io::Result<Option<SocketAddr>> {
        self.broker.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Works until `stop` resolves, serves on until everybody knows, and finishes what is in flight.
    ///
    /// # Errors
    /// Something ended that should not: the process has to start anew.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let phases = Phases::default();
        let (cluster, followed) = Cluster::watch(&self.watching, self.config.served.as_ref());
        let cluster = cluster.with_label(self.config.namespace_label.clone());
        let mut registry = registry(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let webhook = Arc::new(self.webhook(cluster.clone(), Metrics::register(&mut registry)));
        let serving = self.serving().context("there are no certificates")?;
        let broker = self.broker_door(&cluster, &mut registry).await?;

        registry.register_collector(Box::new(Certificates {
            pki: self.pki.clone(),
            directory: self.directory.clone(),
            broker: self.config.broker,
        }));

        let mut background = self.background();
        background.spawn(followed);
        let mut doors = JoinSet::new();
        if let Some((door, broker)) = broker {
            doors.spawn(door.serve(phases.clone()));
            background.spawn(async move { broker.follow().await });
        }
        let metrics = if self.config.metrics {
            routes::metrics(registry)
        } else {
            Router::new()
        };
        let health = routes::health(phases.clone());
        let plain = health.clone().merge(metrics).merge(routes::gone());
        doors.spawn(door(self.http, None, plain).serve(phases.clone()));
        let pods = health.merge(routes::pods(webhook, self.pki, phases.clone()));
        doors.spawn(door(self.tls, Some(serving), pods).serve(phases.clone()));

        let ready = async {
            cluster.synced().await;
            phases.enter(Phase::Serving);
            info!("the first lists are complete");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stop => {}
            () = ready => {}
            ended = background.join_next() => anyhow::bail!("something ended that should not: {ended:?}"),
            ended = doors.join_next() => anyhow::bail!("a port is served no more: {ended:?}"),
        }
        farewell(&phases, self.config.drain, doors).await;
        Ok(())
    }

    /// What keeps certificates up to date.
    fn background(&self) -> JoinSet<()> {
        let mut background = JoinSet::new();
        if let Some(pki) = self.pki.clone() {
            background.spawn(async move { pki.follow().await });
        }
        if let Some(directory) = self.directory.clone() {
            background.spawn(async move { directory.follow().await });
        }
        background
    }

    /// The broker's port, and the broker behind it.
    async fn broker_door(
        &mut self,
        cluster: &Cluster,
        registry: &mut Registry,
    ) -> anyhow::Result<Option<(Door, Arc<Broker>)>> {
        let (Some(listener), Some(pki)) = (self.broker.take(), &self.pki) else {
            return Ok(None);
        };
        let metrics = broker::Metrics::new(registry);
        let broker = Broker::open(&self.config, self.client.clone(), cluster.clone(), metrics).await?;
        registry.register_collector(Box::new(AzureReadings(broker.vault())));
        let door = Door {
            listener,
            tls: Some(pki.server_config()),
            router: broker::router(Arc::clone(&broker)),
            limits: Limits {
                // Pods have addresses of their own, and each container asks once.
                of_one: 128,
                ..Limits::default()
            },
        };
        Ok(Some((door, broker)))
    }

    fn webhook(&self, cluster: Cluster, metrics: Metrics) -> Webhook {
        let Config {
            service,
            broker_external_port: port,
            ..
        } = &self.config;
        let pki = self.pki.clone();
        Webhook {
            settings: Settings {
                image: self.config.image.clone(),
                image_pull_policy: self.config.image_pull_policy.clone(),
                security: self.config.security.clone(),
                resources: self.config.resources.clone(),
                broker: self
                    .config
                    .broker
                    .then(|| format!("https://{service}.{}.svc:{port}", self.namespace)),
            },
            cluster,
            client: self.client.clone(),
            authorities: Arc::new(move || pki.as_ref().map(|pki| pki.bundle()).unwrap_or_default()),
            images: self.images.clone(),
            metrics,
            questions: Webhook::turns(),
        }
    }

    fn serving(&self) -> Option<Arc<ServerConfig>> {
        let own = || self.pki.as_ref().map(|pki| pki.server_config());
        self.directory
            .as_ref()
            .map(|directory| directory.server_config())
            .or_else(own)
    }
}

fn door(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router) -> Door {
    Door {
        listener,
        tls,
        router,
        limits: Limits::default(),
    }
}

/// Serves on until everybody knows, and finishes what is in flight.
async fn farewell(phases: &Phases, drain: Duration, mut doors: JoinSet<()>) {
    info!(?drain, "stopping");
    phases.enter(Phase::Draining);
    tokio::time::sleep(drain).await;
    phases.enter(Phase::Stopping);
    while doors.join_next().await.is_some() {}
}

fn pki_options(config: &Config, namespace: &str, for_webhook: bool) -> Options {
    let service = &config.service;
    let names = [
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.cluster.local"),
    ];
    Options {
        namespace: namespace.to_owned(),
        secret: config.pki_secret.clone(),
        names: names.into_iter().chain(config.further_names.clone()).collect(),
        webhook_configuration: config.webhook_configuration.clone(),
        // Who brings certificates for the webhook's port says in the configuration who signed them.
        publishes_ca: for_webhook,
        clock: Arc::new(Timestamp::now),
    }
}
