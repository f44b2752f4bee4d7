//! Keeps Secret, served certificate and published bundles in step with the clock and with other replicas.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use akv2k8s_shared::diagnosis::Diagnosis;
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::hot::{Hot, server_config};
use super::plan::{Step, plan};
use super::secret::Store;
use super::state::State;
use super::{ca_bundle, unusable};

/// How often Secret and webhook configuration are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How often a replica that comes second tries again at once.
const RACES: usize = 10;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where certificates are kept, and for whom.
#[derive(Clone)]
pub struct Options {
    /// Our own namespace.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    /// DNS names and IP addresses of our server; the first is the usual one: `SERVICE.NAMESPACE.svc`.
    pub names: Vec<String>,
    /// Name of the `MutatingWebhookConfiguration` whose `caBundle` is kept up to date; `None`: somebody else does.
    pub webhook_configuration: Option<String>,
    /// The time; `Arc::new(Timestamp::now)` but in tests.
    pub clock: Clock,
}

/// The injector's own certificates.
pub struct Pki {
    client: kube::Client,
    store: Store,
    options: Options,
    hot: Arc<Hot>,
    state: Mutex<Arc<State>>,
}

impl Pki {
    /// Finds or makes the certificates.
    ///
    /// # Errors
    /// The Secret cannot be read, written or used.
    pub async fn open(client: kube::Client, options: Options) -> Result<Self, Box<Diagnosis>> {
        let pki = Self {
            store: Store::new(client.clone(), &options.namespace, &options.secret),
            client,
            options,
            hot: Arc::default(),
            state: Mutex::default(),
        };
        pki.keep_state().await?;
        Ok(pki)
    }

    /// How to serve: always with the certificate of the moment.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        server_config(Arc::clone(&self.hot))
    }

    /// What a pod has to trust that is created now: the authority that signs and the one that will, PEM.
    pub fn bundle(&self) -> String {
        self.state().bundle()
    }

    /// Looks again and again, until dropped. What fails is logged, and tried again at the next look.
    pub async fn follow(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            ticks.tick().await;
            let problem = self.look().await.err().map(|problem| *problem);
            if let Some(problem) = problem.as_ref().filter(|_| problem != told) {
                warn!(code = problem.code.as_str(), error = %problem, "certificates cannot be looked after");
            }
            told = problem;
        }
    }

    /// One look: rotates what is due, takes over what another replica rotated, publishes.
    ///
    /// # Errors
    /// The Secret or the webhook configuration cannot be read, written or used. What was served before is served further.
    pub async fn look(&self) -> Result<(), Box<Diagnosis>> {
        self.keep_state().await?;
        match &self.options.webhook_configuration {
            Some(name) => ca_bundle::publish(&self.client, name, &self.state().ca_bundle()).await,
            None => Ok(()),
        }
    }

    /// Brings Secret, memory and clock together.
    async fn keep_state(&self) -> Result<(), Box<Diagnosis>> {
        for _ in 0..RACES {
            let kept = self.store.read().await?;
            // A Secret that somebody deleted comes back as it was: pods trust what was in it.
            let mut state = kept
                .as_ref()
                .map_or_else(|| State::clone(&self.state()), |kept| kept.state.clone());
            let steps = self.advance(&mut state)?;
            let written = match kept {
                None => self.store.create(&state).await?,
                Some(_) if steps.is_empty() => true,
                Some(kept) => self.store.replace(kept, &state).await?,
            };
            if written {
                self.serve(state, &steps);
                return Ok(());
            }
        }
        Err(unusable(
            &format!("Secret '{}' changes all the time.", self.options.secret),
            format!("{RACES} attempts to write it met another writer"),
            "See who else writes it; it is tried again.",
        )
        .into())
    }

    fn advance(&self, state: &mut State) -> Result<Vec<Step>, Box<Diagnosis>> {
        let (now, names) = ((self.options.clock)(), &self.options.names);
        let steps = plan(now, &state.outline(names));
        let what = "The injector's certificates cannot be made.";
        state.apply(&steps, names, now).map_err(|error| {
            unusable(
                what,
                error,
                "It is tried again; see that the names in the configuration are DNS names.",
            )
        })?;
        Ok(steps)
    }

    fn serve(&self, state: State, steps: &[Step]) {
        if let Some(serving) = &state.serving {
            self.hot.set(serving.certified());
            if !steps.is_empty() || !state.is(&self.state()) {
                let valid_until = serving.span.until;
                info!(?steps, %valid_until, "serving with this certificate from now on");
            }
        }
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
