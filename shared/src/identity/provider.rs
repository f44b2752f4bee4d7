//! The identity of a process, as its variables and files say **now**: what is missing may appear, and what is there may change.
//!
//! Files are looked at in the background. Whoever asks while a file system hangs goes on with what was seen last.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use tokio::time::Instant;
use tracing::{info, warn};

use super::choice::{Choice, Files, FoundFile, choose};
use super::home::{Home, home};
use super::{AuthType, Identity, Method, azure_cli};
use crate::diagnosis::{Code, Diagnosis, case};
use crate::environment::Environment;
use crate::environment::common::{AZURE_ENVIRONMENT_FILEPATH, IDENTITY_ENDPOINT, PATH};
use crate::file::{self, ReadError};
use crate::follow::Follower;
use crate::http::HttpClient;
use crate::single_flight::{Flight, launch};

/// How old an answer may be: files are looked at again after this time.
const FRESH: Duration = Duration::from_secs(1);

/// Off Azure nothing answers at the metadata service's address; on Azure it is on the same machine.
const PROBE: Duration = Duration::from_secs(1);

/// How long whoever has something to go on with waits for something newer.
const MEANWHILE: Duration = Duration::from_secs(1);

/// How long all others wait for a look: two files and the metadata service, each with its own limit, and some more.
const LOOK: Duration = Duration::from_secs(15);

/// Gives the identity to use. Cheap to clone, cheap to ask.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    environment: Environment,
    auth_type: AuthType,
    cloud_config: PathBuf,
    http: HttpClient,
    /// Whether the metadata service was found to be there.
    has_imds: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    looked: Option<Instant>,
    look: Option<(Instant, Flight<()>)>,
    follower: Follower<Found>,
    outcome: Option<Result<Current, Box<Diagnosis>>>,
    home: Option<Result<Home, Box<Diagnosis>>>,
    /// Whether the last look ended without an answer from some file.
    is_silent: bool,
}

#[derive(Clone)]
struct Current {
    /// By which a change is noticed.
    choice: Choice,
    identity: Identity,
}

/// What one look saw.
#[derive(Clone, PartialEq, Eq)]
struct Found {
    choice: Result<Choice, Box<Diagnosis>>,
    home: Result<Home, Box<Diagnosis>>,
}

impl Provider {
    /// Looks at nothing yet. `cloud_config` is the path of `azure.json`, read with [`AuthType::AzureCloudConfig`] only.
    pub fn new(environment: Environment, auth_type: AuthType, cloud_config: PathBuf, http: HttpClient) -> Self {
        Self(Arc::new(Inner {
            environment,
            auth_type,
            cloud_config,
            http,
            has_imds: AtomicBool::new(false),
            state: Mutex::default(),
        }))
    }

    /// Who this process is now. The same identity as before, with its tokens, while nothing changed; each change is logged, and
    /// counts once two looks in a row, a second apart, showed it. The first identity counts at once.
    ///
    /// Files that do not answer leave the identity as it was; they keep nobody waiting who has one.
    ///
    /// # Errors
    /// Nobody, and why. Asking again later may go better, without a restart.
    pub async fn identity(&self) -> Result<Identity, Box<Diagnosis>> {
        self.look().await;
        match &self.0.state().outcome {
            Some(outcome) => outcome.as_ref().map(|it| it.identity.clone()).map_err(Clone::clone),
            None => Err(Box::new(unanswered())),
        }
    }

    /// Where the process is at home now, whether or not it is anybody there. It follows the files as [`Self::identity`] does;
    /// files that cannot be used leave it as it was.
    ///
    /// # Errors
    /// It was not known yet, and why.
    pub async fn home(&self) -> Result<Home, Box<Diagnosis>> {
        self.look().await;
        match &self.0.state().home {
            Some(home) => home.clone(),
            None => Err(Box::new(unanswered())),
        }
    }

    /// Brings the state up to date, or waits long enough for that.
    async fn look(&self) {
        let (flight, until) = {
            let mut state = self.0.state();
            if state.looked.is_some_and(|looked| looked.elapsed() < FRESH) {
                return;
            }
            let wait = match (state.is_in_force(), state.is_silent) {
                (true, true) => Duration::ZERO,
                (true, false) => MEANWHILE,
                (false, _) => LOOK,
            };
            let new = || (Instant::now(), launch(look(Arc::clone(&self.0))));
            let (began, flight) = state.look.get_or_insert_with(new);
            (flight.clone(), *began + wait)
        };
        if let Ok(None) = tokio::time::timeout_at(until, flight.clone()).await {
            // What panicked once may not stand in the way of the next look.
            let mut state = self.0.state();
            if state.look.as_ref().is_some_and(|(_, it)| it.ptr_eq(&flight)) {
                state.look = None;
            }
        }
    }
}

/// One look, to its end.
async fn look(inner: Arc<Inner>) {
    let seen = inner.see().await;
    let mut state = inner.state();
    state.look = None;
    state.looked = Some(Instant::now());
    state.take(seen, &inner);
}

impl State {
    fn is_in_force(&self) -> bool {
        matches!(self.outcome, Some(Ok(_))) || matches!(self.home, Some(Ok(_)))
    }

    /// Takes over what a look saw, or which file did not answer.
    fn take(&mut self, seen: Result<Found, Box<Diagnosis>>, inner: &Inner) {
        let found = match seen {
            Ok(found) => found,
            Err(silent) if self.is_in_force() => {
                if !self.is_silent {
                    warn!(code = silent.code.as_str(), error = %silent, "the identity stays as it is");
                }
                self.is_silent = true;
                return;
            }
            Err(silent) => {
                self.outcome = Some(Err(silent.clone()));
                self.home = Some(Err(silent));
                return;
            }
        };
        if std::mem::take(&mut self.is_silent) {
            info!("the files of the identity answer again");
        }
        if self.is_in_force() {
            if let Some(found) = self.follower.look(found) {
                self.adopt(found, inner);
            }
        } else {
            self.follower.took(found.clone());
            self.adopt(found, inner);
        }
    }

    fn adopt(&mut self, found: Found, inner: &Inner) {
        let outcome = match (found.choice, &self.outcome) {
            (Ok(choice), Some(Ok(current))) if current.choice == choice => Ok(current.clone()),
            (Ok(choice), _) => Identity::from_choice(&choice, &inner.environment, &inner.http).map(|identity| {
                announce(&choice);
                Current { choice, identity }
            }),
            (Err(diagnosis), _) => Err(diagnosis),
        };
        self.outcome = Some(outcome);
        if found.home.is_ok() || !matches!(self.home, Some(Ok(_))) {
            self.home = Some(found.home);
        }
    }
}

fn announce(choice: &Choice) {
    let who = choice.info();
    info!(
        method = who.method.as_str(),
        client_id = who.client_id,
        tenant_id = who.tenant_id,
        cloud = choice.cloud().name,
        reason = choice.reason(),
        "identity chosen"
    );
    for note in choice.not_used() {
        if who.method == Method::ClientSecret {
            warn!("{note}");
        } else {
            info!("{note}");
        }
    }
}

impl Inner {
    /// Looks at files and, where it decides, for the metadata service.
    ///
    /// # Errors
    /// Which file did not answer.
    async fn see(&self) -> Result<Found, Box<Diagnosis>> {
        let files = Files {
            cloud_config: match self.auth_type {
                AuthType::AzureCloudConfig => Some(read(&self.cloud_config).await?),
                _ => None,
            },
            cloud: match self.environment.path(AZURE_ENVIRONMENT_FILEPATH) {
                Some(path) => Some(read(&path).await?),
                None => None,
            },
            azure_cli: match (self.auth_type, self.environment.get(PATH)) {
                (AuthType::AzureCli | AuthType::EnvironmentAzidentity, Some(path)) => {
                    let path = path.to_owned();
                    let found = tokio::task::spawn_blocking(move || azure_cli::find(&path));
                    found.await.unwrap_or_default()
                }
                _ => None,
            },
        };
        let home = home(self.auth_type, &self.environment, &files);
        let choice = match choose(self.auth_type, &self.environment, &files) {
            Ok(choice) => Ok(self.settled(choice).await),
            Err(diagnosis) => Err(diagnosis),
        };
        Ok(Found { choice, home })
    }

    /// `choice`, or what comes in its place where no metadata service answers.
    async fn settled(&self, choice: Choice) -> Choice {
        match choice.otherwise() {
            Some(otherwise) if !self.answers(&choice).await => otherwise.clone(),
            _ => choice,
        }
    }

    /// Whether anything is there to ask for the managed identity's token. A refusal is an answer, too.
    async fn answers(&self, choice: &Choice) -> bool {
        if self.has_imds.load(Ordering::Relaxed) || self.environment.get(IDENTITY_ENDPOINT).is_some() {
            return true;
        }
        let request = Request::get(choice.cloud().imds_endpoint.as_str()).body(Full::new(Bytes::new()));
        let Ok(request) = request else { return false };
        let answer = tokio::time::timeout(PROBE, self.http.send(request)).await;
        let is_there = answer.is_ok_and(|answer| answer.is_ok());
        self.has_imds.store(is_there, Ordering::Relaxed);
        is_there
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// # Errors
/// The file does not answer.
async fn read(path: &Path) -> Result<FoundFile, Box<Diagnosis>> {
    let content = match file::read(path).await {
        Err(silent @ ReadError::Silent) => {
            return Err(Box::new(Diagnosis::case(
                case::CloudConfigSilent { error: &silent },
                format!("The file {} cannot be read.", path.display()),
            )));
        }
        content => content.map_err(|error| error.to_string()),
    };
    Ok(FoundFile {
        path: path.to_owned(),
        content,
    })
}

/// All files have a limit of their own; only the folders of the `PATH` have none.
fn unanswered() -> Diagnosis {
    let what = "The Azure CLI cannot be looked for: the folders of the PATH do not answer.";
    Diagnosis::of(Code::AzureCliMissing, what, &[])
}

#[cfg(test)]
mod tests;
