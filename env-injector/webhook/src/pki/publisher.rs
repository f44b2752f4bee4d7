//! Keeps our `MutatingWebhookConfiguration` up to date, and knows by which paths it lets the API server call.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{Patch, PatchParams};
use tokio::time::Instant;
use tracing::info;

use super::configuration::{Seen, Wanted, patch};
use super::secret::of_api;

/// By which others see who wrote these fields.
const MANAGER: &str = "akv2k8s-envinjector";
/// Least time between two looks.
const PACE: Duration = Duration::from_secs(1);
/// How often it is tried again at once when somebody else writes at the same time.
const RACES: usize = 3;

/// One configuration, by name. One that does not exist is left so: it may be installed later.
pub(super) struct Publisher {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
    seen: Mutex<Seen>,
    turn: tokio::sync::Mutex<Turn>,
}

/// The last look.
#[derive(Default)]
struct Turn {
    /// When one began, even if nobody waited for its end.
    tried: Option<Instant>,
    /// When one began that came to an end, and what came of it.
    ended: Option<(Instant, Result<(), Box<Diagnosis>>)>,
}

impl Publisher {
    pub(super) fn new(client: kube::Client, name: &str) -> Self {
        Self {
            api: Api::all(client),
            name: name.to_owned(),
            seen: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the API server may call by `path`, as far as was seen last.
    pub(super) fn allows(&self, path: &str, now: Timestamp) -> bool {
        self.seen().allows(path, now)
    }

    /// Looks at the configuration as it is after this call, and writes what it lacks. All who ask at the same time share one look, and
    /// there is one in a second.
    pub(super) async fn look(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), Box<Diagnosis>> {
        let asked = Instant::now();
        let mut turn = self.turn.lock().await;
        if let Some((_, outcome)) = turn.ended.as_ref().filter(|(began, _)| *began >= asked) {
            return outcome.clone();
        }
        if let Some(tried) = turn.tried {
            tokio::time::sleep_until(tried + PACE).await;
        }
        let began = Instant::now();
        turn.tried = Some(began);
        let outcome = self.publish(wanted, now).await;
        turn.ended = Some((began, outcome.clone()));
        outcome
    }

    async fn publish(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<(), Box<Diagnosis>> {
        for _ in 0..RACES {
            let found = self.api.get_opt(&self.name).await;
            let found = found.map_err(|error| self.failed("get", &error))?.unwrap_or_default();
            self.saw(&found, now);
            let Some(patch) = patch(&found, wanted, now) else {
                return Ok(());
            };
            let parameters = PatchParams {
                field_manager: Some(MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patched = self.api.patch(&self.name, &parameters, &Patch::Strategic(patch)).await;
            match patched {
                Ok(patched) => {
                    self.saw(&patched, now);
                    info!(
                        configuration = self.name,
                        "the API server's way to this webhook is up to date"
                    );
                    return Ok(());
                }
                // It changed since it was read, or went.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(error) => return Err(self.failed("patch", &error).into()),
            }
        }
        // Whoever writes all the time writes again: the next look sees it as it is.
        Ok(())
    }

    fn failed(&self, verb: &str, error: &kube::Error) -> Diagnosis {
        let name = &self.name;
        let what = format!("The caBundle and path of MutatingWebhookConfiguration '{name}' cannot be kept up to date.");
        match error {
            kube::Error::Api(status) if status.code == 422 => {
                let message = status.message.trim_end_matches('.');
                Diagnosis::case(
                    case::WebhookChangeRefused {
                        name,
                        message: &message,
                    },
                    what,
                )
            }
            _ => of_api(what, &format!("{verb} mutatingwebhookconfigurations"), error),
        }
    }

    fn saw(&self, found: &MutatingWebhookConfiguration, now: Timestamp) {
        *self.seen() = Seen::of(found, now);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
