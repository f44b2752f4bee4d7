//! The program: connects, and puts its parts together.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use akv2k8s_program::api_server::{self, Place};
use akv2k8s_program::listen::listen;
use akv2k8s_shared::http::{HttpClient, Limits as HttpLimits};
use akv2k8s_shared::identity::Provider;
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::readers::{Readers, ServiceAccounts};
use tokio::net::TcpListener;

use crate::config::Config;
use crate::events::Events;
use crate::grants::VaultGrants;
use crate::health::Health;
use crate::lead::Lead;
use crate::leader::Election;
use crate::lists::Lists;
use crate::metrics::{Metrics, Readings};
use crate::objects::Objects;
use crate::output::Store;
use crate::queue::{Limits, Queue};
use crate::reconcile::{self, Context};
use crate::term::Term;
use crate::{http, process};

/// A controller that listens for probes and is ready to run.
pub struct Controller {
    config: Config,
    client: kube::Client,
    watching: kube::Client,
    listener: TcpListener,
    vault: KeyVault,
    http: HttpClient,
    identity: Provider,
}

impl Controller {
    /// Connects nothing yet but binds the port and reads kubeconfig, certificates and identity.
    ///
    /// # Errors
    /// What makes running pointless: no kubeconfig, a port in use, an unreadable CA file.
    pub async fn new(config: Config) -> anyhow::Result<Self> {
        let cluster = cluster(&config).await?;
        let (client, watching) = (
            api_server::client(&cluster, api_server::ANSWER)?,
            api_server::client(&cluster, api_server::WATCH)?,
        );
        let http = HttpClient::from_environment(&config.environment, HttpLimits::default())?;
        let identity = config.identity(&http);
        let settings = Settings {
            requests_per_10s: config.args.vault_requests_per_10s,
            ..Settings::default()
        };
        let vault = KeyVault::new(http.clone(), settings);
        let listener = listen(config.http_port, "HTTP_PORT").await?;
        Ok(Self {
            config,
            client,
            watching,
            listener,
            vault,
            http,
            identity,
        })
    }

    /// Where probes are answered.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Works until `stop` resolves, then finishes what is in flight.
    ///
    /// # Errors
    /// The lease was lost: the process has to start anew.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
        let Self {
            config,
            client,
            watching,
            listener,
            vault,
            http: vault_http,
            identity,
        } = self;
        let (health, me) = (Arc::new(Health::default()), process::name());
        let election = elect(&config, &client, &me, &health);
        // All but the lease is written with this.
        let client = match &election {
            Some(election) => election.guard(client),
            None => client,
        };
        let accounts = config
            .args
            .service_account_identities
            .then(|| ServiceAccounts::new(client.clone(), identity.clone(), vault_http));
        let readers = Readers::new(identity, accounts);
        let (context, event_writer) = context(&config, client, vault, readers, Arc::clone(&health), me);
        let metrics = config.metrics.then(|| Arc::clone(&context.metrics));
        let lead = Lead {
            config,
            context: Arc::new(context),
            watching,
            election,
        };
        tokio::select! {
            () = http::serve(listener, health, metrics) => Ok(()),
            result = lead.run(event_writer, Box::pin(stop)) => result,
        }
    }
}

/// The candidate for the lease; `None`: this is the only replica.
fn elect(config: &Config, client: &kube::Client, me: &str, health: &Arc<Health>) -> Option<Election> {
    let args = &config.args;
    let namespace = args.lease_namespace.as_deref().or(config.own_namespace.as_deref());
    let namespace = namespace.unwrap_or_else(|| client.default_namespace());
    args.leader_elect.then(|| {
        let (client, term) = (client.clone(), Term::default());
        Election::new(
            client,
            namespace,
            &args.lease_name,
            me.to_owned(),
            term,
            Arc::clone(health),
        )
    })
}

/// What workers need, and the task that writes events.
fn context(
    config: &Config,
    client: kube::Client,
    vault: KeyVault,
    readers: Readers,
    health: Arc<Health>,
    me: String,
) -> (Context, impl Future<Output = ()> + Send + 'static + use<>) {
    let objects = Arc::new(Objects::default());
    let queue = Arc::new(Queue::new(Limits::default()));
    let readings = Readings {
        health: Arc::clone(&health),
        objects: Arc::clone(&objects),
        queue: Arc::clone(&queue),
    };
    let metrics = Arc::new(Metrics::new(vault.clone(), readings));
    let lists = Lists::new(Arc::clone(&health));
    let writes = reconcile::writes();
    let in_flight = Arc::clone(&writes);
    let is_busy = move || reconcile::is_busy(&in_flight);
    let (events, event_writer) = Events::new(client.clone(), me, metrics.events_lost(), is_busy);
    let context = Context {
        client,
        vault,
        readers: Arc::new(readers),
        grants: Arc::new(VaultGrants::new(config.args.vault_grants.clone(), Arc::clone(&health))),
        objects,
        names: Arc::default(),
        queue,
        store: Store::with(lists.clone()),
        lists,
        watch_outputs: config.args.watch_outputs,
        period: config.args.poll_period(),
        events,
        metrics,
        health,
        writes,
    };
    (context, event_writer)
}

/// A client of the cluster that `config` names, for a few questions.
///
/// # Errors
/// There is neither a kubeconfig nor a ServiceAccount.
pub(crate) async fn connect(config: &Config) -> anyhow::Result<kube::Client> {
    api_server::client(&cluster(config).await?, api_server::ANSWER)
}

async fn cluster(config: &Config) -> anyhow::Result<kube::Config> {
    api_server::cluster(Place {
        kubeconfig: config.args.kubeconfig.as_deref(),
        server: config.args.master.as_deref(),
        ..Place::default()
    })
    .await
}
