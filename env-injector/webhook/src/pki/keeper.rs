//! Keeps Secret, served certificate and published bundles in step with the clock and with other replicas.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::configuration::Wanted;
use super::hot::{Hot, server_config};
use super::plan::{Step, plan};
use super::publisher::Publisher;
use super::secret::Store;
use super::state::State;
use super::{clause, path};

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
    /// Name of the `MutatingWebhookConfiguration` that is kept up to date; `None`: somebody else does, and callers need no secret path.
    pub webhook_configuration: Option<String>,
    /// Whether its `caBundle` is ours: the webhook's port is served with our own certificate.
    pub publishes_ca: bool,
    /// The time; `Arc::new(Timestamp::now)` but in tests.
    pub clock: Clock,
}

/// The injector's own certificates.
pub struct Pki {
    store: Store,
    publisher: Option<Publisher>,
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
            publisher: options
                .webhook_configuration
                .as_deref()
                .map(|name| Publisher::new(client, name)),
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

    /// Until when that certificate is valid, in Unix seconds; `None`: there is none.
    pub fn valid_until(&self) -> Option<i64> {
        self.hot.valid_until()
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
        self.publish().await
    }

    /// Whether a request to `path` came the way that the webhook configuration tells the API server. One that came another way is taken
    /// only if the configuration, looked at now, says so: then somebody has just applied the manifest, and it is written anew.
    ///
    /// # Errors
    /// The configuration cannot be looked at.
    pub async fn admits(&self, path: &str) -> Result<bool, Box<Diagnosis>> {
        let Some(publisher) = &self.publisher else {
            return Ok(true);
        };
        let state = self.state();
        let knows = |key| path::is_known(key, path, (self.options.clock)());
        if state.path_key.as_ref().is_some_and(knows) || publisher.allows(path, (self.options.clock)()) {
            return Ok(true);
        }
        let looked = self.publish().await;
        let allowed = publisher.allows(path, (self.options.clock)());
        if allowed { Ok(true) } else { looked.map(|()| false) }
    }

    async fn publish(&self) -> Result<(), Box<Diagnosis>> {
        let (state, now) = (self.state(), (self.options.clock)());
        let (Some(publisher), Some(key)) = (&self.publisher, &state.path_key) else {
            return Ok(());
        };
        let bundle = state.ca_bundle();
        let wanted = Wanted {
            ca_bundle: self.options.publishes_ca.then_some(&*bundle),
            path: &path::current(key, now),
            may_stay: &|path| path::is_current(key, path, now),
        };
        publisher.look(&wanted, now).await
    }

    /// Brings Secret, memory and clock together.
    async fn keep_state(&self) -> Result<(), Box<Diagnosis>> {
        for _ in 0..RACES {
            let kept = self.store.read().await?;
            let known = self.state();
            let is_emptied = kept.as_ref().is_some_and(|kept| !kept.state.has_authority());
            if is_emptied && !known.has_authority() {
                return Err(self.store.emptied().into());
            }
            // A Secret that somebody deleted or emptied comes back as it was: pods trust what was in it.
            let mut state = match &kept {
                Some(kept) if !is_emptied => kept.state.clone(),
                _ => State::clone(&known),
            };
            let steps = self.advance(&mut state)?;
            let written = match kept {
                None => self.store.create(&state).await?,
                Some(_) if steps.is_empty() && !is_emptied => true,
                Some(kept) => self.store.replace(kept, &state).await?,
            };
            if written {
                self.serve(state, &steps);
                return Ok(());
            }
        }
        let what = format!("Secret '{}' changes all the time.", self.options.secret);
        Err(Diagnosis::case(case::SecretNeverStill { attempts: &RACES }, what).into())
    }

    fn advance(&self, state: &mut State) -> Result<Vec<Step>, Box<Diagnosis>> {
        let (now, names) = ((self.options.clock)(), &self.options.names);
        let steps = plan(now, &state.outline(names));
        let what = "The injector's certificates cannot be made.";
        state.apply(&steps, names, now).map_err(|error| {
            let error = &clause(error);
            Diagnosis::case(case::CertificatesCannotBeMade { error }, what)
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
