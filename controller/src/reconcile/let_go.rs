//! An AKVS that was deleted: what it held is released. No vault is needed.

use tracing::{info, warn};

use super::Context;
use crate::metrics::Cause;
use crate::objects::{Gone, Key};
use crate::output::{self, Target};
use crate::watch::enqueue;

impl Context {
    /// An AKVS left the watch. True when it is dealt with.
    pub(super) async fn let_go(&self, key: &Key, gone: &Gone) -> bool {
        match output::is_gone(&self.client, &gone.id).await {
            Ok(true) => {}
            // Its label left, not the object: nothing is to be released. Or it was created again, and prunes what is left.
            Ok(false) => return true,
            Err(error) => {
                warn!(akvs = %key, %error, "cannot tell whether a deleted object is gone; trying again");
                return false;
            }
        }
        let (released, failed) = output::release(&self.client, &self.store, &gone.id, &gone.outputs).await;
        for released in &released {
            info!(akvs = %key, output = ?released, "output released: its object was deleted");
        }
        for error in &failed {
            warn!(akvs = %key, output = %error.target, error = %error.diagnosis, "output could not be released");
        }
        self.metrics.synced(
            Cause::DELETE,
            0.0,
            failed.first().map(|error| error.diagnosis.code.as_str()),
        );
        // Those who had to give way may have their turn now.
        for output in &gone.outputs {
            for sibling in self.objects.claimants(&gone.id.namespace, &Target::from(output)) {
                enqueue(&self.objects, &self.queue, &sibling);
            }
        }
        failed.is_empty()
    }
}
