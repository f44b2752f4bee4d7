//! Follows the identity of the process: says how it stands, and what is to be done again when it is another one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::identity::Identity;
use akv2k8s_shared::readers::Reader;
use tracing::{error, info};

use crate::phase::slot;
use crate::queue::{Lane, Reasons};
use crate::reconcile::{Context, is_ready, status_of};
use crate::sight::Sight;

/// How often it is asked for; files are looked at no more often.
const TICK: Duration = Duration::from_secs(1);

/// The subject under which `/readyz` and the metric name it.
const SUBJECT: &str = "identity";

/// Looks for ever.
pub(crate) async fn follow(context: Arc<Context>) {
    let mut ticks = tokio::time::interval(TICK);
    let mut before: Option<Result<Identity, Box<Diagnosis>>> = None;
    loop {
        ticks.tick().await;
        let now = context.readers.program().identity().await;
        if before.as_ref() == Some(&now) {
            continue;
        }
        match &now {
            Ok(identity) => {
                if context.health.report(SUBJECT, None) {
                    info!(identity = ?identity.info(), "there is an identity again");
                }
                if before.is_some() {
                    start_anew(&context);
                }
            }
            Err(diagnosis) => {
                error!(code = diagnosis.code.as_str(), error = %diagnosis, "there is no identity to read vaults with");
                context.health.report(SUBJECT, Some((**diagnosis).clone()));
            }
        }
        before = Some(now);
    }
}

/// Another identity may read other things: what failed is tried at once, all else is looked at within one period.
fn start_anew(context: &Context) {
    let look = Reasons {
        look: true,
        reapply: false,
    };
    let now = Instant::now();
    let own = |sight: &Sight| sight.reader == Reader::Program;
    for sight in context.objects.sights().into_iter().filter(own) {
        let vault = &sight.vault;
        for (key, akvs) in context.objects.in_sight(&sight) {
            if is_ready(&status_of(&akvs)) {
                let at = now + slot(&key.to_string(), context.period);
                context.queue.add_at(key, vault, look, at);
            } else {
                context.queue.add(key, vault, Lane::New, look);
            }
        }
    }
}
