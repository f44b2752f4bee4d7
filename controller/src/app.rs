//! The program: connects, takes the lease, starts the tasks, and stops them in order.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use akv2k8s_program::api_server::{self, Place};
use akv2k8s_program::listen::listen;
use akv2k8s_shared::http::{HttpClient, Limits as HttpLimits};
use akv2k8s_shared::identity::Provider;
use akv2k8s_shared::keyvault::{KeyVault, Settings};
use akv2k8s_shared::readers::{Readers, ServiceAccounts};
use k8s_openapi::jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::background::Background;
use crate::config::Config;
use crate::definition::Definition;
use crate::events::Events;
use crate::grants::VaultGrants;
use crate::health::{Health, Phase};
use crate::leader::Election;
use crate::lists::Lists;
use crate::metrics::{Metrics, Readings};
use crate::objects::{Key, Objects};
use crate::orphans;
use crate::output::Store;
use crate::poll::Poller;
use crate::queue::{Limits, Queue};
use crate::reconcile::{self, Context};
use crate::term::Term;
use crate::watch::{self as watches, Selection};
use crate::{http, identity, process};

/// How long work in flight may take after the signal to stop; below Kubernetes' usual 30 s.
const DRAIN: Duration = Duration::from_secs(20);

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
    /// The lease was lost, or the HTTP server stopped: the process has to start anew.
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
        let health = Arc::new(Health::default());
        let objects = Arc::new(Objects::default());
        let queue = Arc::new(Queue::new(Limits::default()));
        let readings = Readings {
            health: Arc::clone(&health),
            objects: Arc::clone(&objects),
            queue: Arc::clone(&queue),
        };
        let metrics = Arc::new(Metrics::new(vault.clone(), readings));
        let me = process::name();
        let term = config.args.leader_elect.then(Term::default);
        let election = term.as_ref().map(|term| {
            let namespace = config
                .args
                .lease_namespace
                .as_deref()
                .or(config.own_namespace.as_deref());
            let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
            Election::new(
                client.clone(),
                &namespace,
                &config.args.lease_name,
                me.clone(),
                term.clone(),
                Arc::clone(&health),
            )
        });
        // All but the lease is written with this.
        let client = match term {
            Some(term) => term.guard(client),
            None => client,
        };
        let lists = Lists::new(Arc::clone(&health));
        let writes = reconcile::writes();
        let in_flight = Arc::clone(&writes);
        let is_busy = move || reconcile::is_busy(&in_flight);
        let (events, event_writer) = Events::new(client.clone(), me, metrics.events_lost(), is_busy);
        let accounts = config
            .args
            .service_account_identities
            .then(|| ServiceAccounts::new(client.clone(), identity.clone(), vault_http));
        let context = Arc::new(Context {
            client,
            vault,
            readers: Arc::new(Readers::new(identity, accounts)),
            grants: Arc::new(VaultGrants::new(config.args.vault_grants.clone(), Arc::clone(&health))),
            objects,
            names: Arc::default(),
            queue: Arc::clone(&queue),
            store: Store::with(lists.clone()),
            lists,
            watch_outputs: config.args.watch_outputs,
            period: config.args.poll_period(),
            events,
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&health),
            writes,
        });
        let served = http::serve(listener, health, config.metrics.then_some(metrics));
        tokio::pin!(stop, served);
        tokio::select! {
            result = &mut served => result,
            result = lead(&config, &context, &queue, watching, election.as_ref(), event_writer, stop) => result,
        }
    }
}

/// Waits for the lease, works, and gives it back.
async fn lead(
    config: &Config,
    context: &Arc<Context>,
    queue: &Arc<Queue<Key>>,
    watching: kube::Client,
    election: Option<&Election>,
    event_writer: impl Future<Output = ()> + Send + 'static,
    mut stop: impl Future<Output = ()> + Send + Unpin,
) -> anyhow::Result<()> {
    let (mut background, mut ended) = Background::new();
    background.keep("identity", identity::follow(Arc::clone(context)));
    let last_work = match election {
        Some(election) => tokio::select! {
            () = &mut stop => return Ok(()),
            error = ended.next() => return Err(error),
            last_work = election.win() => last_work,
        },
        None => None,
    };
    let lost = async {
        match election {
            Some(election) => election.hold().await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(lost);
    background.keep("events", event_writer);
    let mut workers = JoinSet::new();
    let result = tokio::select! {
        () = &mut stop => Ok(()),
        error = &mut lost => Err(error),
        error = ended.next() => Err(error),
        () = work(config, context, queue, watching, last_work, &mut background, &mut workers) => Ok(()),
    };
    if result.is_ok() {
        info!(in_flight = workers.len(), "stopping");
        // The lease is renewed meanwhile: nobody else may start before the last write.
        let drained = tokio::select! {
            drained = tokio::time::timeout(DRAIN, async { while workers.join_next().await.is_some() {} }) => drained,
            error = lost => return Err(error),
        };
        if drained.is_err() {
            warn!(
                left = workers.len(),
                "some syncs did not end in time; the next start repeats them"
            );
        }
        if let Some(election) = election
            && let Err(error) = election.release().await
        {
            warn!(%error, "the lease could not be given back");
        }
    }
    result
}

/// Starts watching, waits for the first lists, then hands out jobs for ever. `last_work`: when another controller, or this one
/// before it was started anew, is known to have worked.
async fn work(
    config: &Config,
    context: &Arc<Context>,
    queue: &Arc<Queue<Key>>,
    client: kube::Client,
    last_work: Option<Timestamp>,
    background: &mut Background,
    workers: &mut JoinSet<()>,
) {
    context.health.set_phase(Phase::Syncing);
    if config.upgrades_definition {
        let definition = Definition::new(context.client.clone(), Arc::clone(&context.health));
        if !definition.upgrade().await {
            background.keep("definition", definition.follow());
        }
    }
    let grants = &context.grants;
    let grants_file = grants.load().await;
    let is_listed = watch_all(config, context, queue, &client, background);
    let follow = Arc::clone(grants).follow_labels(
        client,
        config.namespaces.clone(),
        Arc::clone(&context.objects),
        Arc::clone(queue),
    );
    background.keep("labels of namespaces", follow);
    context.lists.settled().await;
    grants.labels_settled().await;
    let follow = Arc::clone(grants).follow_file(grants_file, Arc::clone(&context.objects), Arc::clone(queue));
    background.keep("vault grants", follow);
    context.health.set_phase(Phase::Running);
    info!(objects = context.objects.len(), "the first lists are complete");
    if context.watch_outputs {
        background.keep("orphans", orphans::follow(Arc::clone(context), is_listed));
    }
    let poller = Poller {
        vault: context.vault.clone(),
        readers: Arc::clone(&context.readers),
        grants: Arc::clone(&context.grants),
        objects: Arc::clone(&context.objects),
        names: Arc::clone(&context.names),
        queue: Arc::clone(queue),
        metrics: Arc::clone(&context.metrics),
        health: Arc::clone(&context.health),
        last_work: last_work
            .and_then(|at| u64::try_from(at.as_second()).ok())
            .map(Duration::from_secs),
        period: context.period,
        mode: config.args.change_detection,
        reapply_daily: !context.watch_outputs,
    };
    background.keep("poller", Arc::new(poller).run());
    let random = RandomState::new();
    loop {
        let job = queue.next().await;
        while workers.try_join_next().is_some() {}
        let (context, queue) = (Arc::clone(context), Arc::clone(queue));
        let jitter = jitter(&random, &job.key);
        workers.spawn(async move { queue.work(&job, jitter, context.sync(&job)).await });
    }
}

/// Starts the watches of AKVS and outputs in every namespace; says when a list of AKVS is complete.
fn watch_all(
    config: &Config,
    context: &Arc<Context>,
    queue: &Arc<Queue<Key>>,
    client: &kube::Client,
    background: &mut Background,
) -> watch::Receiver<bool> {
    let (listed, is_listed) = watch::channel(false);
    let (told, changes) = mpsc::unbounded_channel();
    for scope in config.namespaces.scopes() {
        if context.watch_outputs {
            let follow = context.store.watch(client.clone(), scope.clone(), told.clone());
            background.keep("watch of outputs", follow);
        }
        let selection = Selection {
            scope,
            labels: config.labels.clone(),
        };
        let follow = watches::objects(
            client.clone(),
            selection,
            Arc::clone(&context.objects),
            Arc::clone(queue),
            context.lists.clone(),
            listed.clone(),
        );
        background.keep("watch of AzureKeyVaultSecrets", follow);
    }
    if context.watch_outputs {
        let follow = watches::outputs(changes, Arc::clone(&context.objects), Arc::clone(queue));
        background.keep("outputs", follow);
    }
    is_listed
}

/// In 0..1, different for each job.
fn jitter(random: &RandomState, key: &Key) -> f64 {
    let mut hasher = random.build_hasher();
    std::hash::Hash::hash(key, &mut hasher);
    std::hash::Hash::hash(&std::time::Instant::now(), &mut hasher);
    f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
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
