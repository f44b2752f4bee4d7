//! Carries a plan out: server-side apply, one field manager per AKVS.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::body::Body;
use super::failure::{ApplyError, Attempt, Retry, is_type_mismatch};
use super::meta::OutputMeta;
use super::owner::AkvsId;
use super::plan::{Action, Application, Plan, Rivals};
use super::release::{GivenUp, give_up};
use super::request::{Object, Size};
use super::store::Store;
use super::strip::stripped;
use super::{Desired, Target};

/// A resource version that no object has: etcd counts its revisions from 1, and that one is the empty store's.
const NEVER: &str = "1";

/// What a step did to an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// Data, metadata or ownership changed.
    Updated,
    /// The API server stored nothing: all was so already.
    Unchanged,
    /// Deleted and created with another type.
    Recreated,
    /// No longer wanted: deleted.
    Deleted,
    /// No longer wanted: this AKVS's part was given up.
    Released,
}

/// One output that was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// Which.
    pub target: Target,
    /// What was done.
    pub change: Change,
    /// Why, for the log line.
    pub why: String,
    /// The data keys this AKVS holds there now (none after a delete or release).
    pub keys: Vec<String>,
    /// `metadata.uid`.
    pub uid: String,
}

/// The result of a plan. Steps are independent: one that fails does not stop the others, but nothing is pruned unless every
/// desired output was written.
#[derive(Debug, Default)]
pub struct Applied {
    /// What was done.
    pub written: Vec<Written>,
    /// What failed.
    pub failed: Vec<ApplyError>,
}

/// Carries `plan` out and tells the store what it wrote, so that the next look does not depend on the watch being quick.
pub async fn apply(client: &kube::Client, store: &Store, plan: &Plan<'_>) -> Applied {
    let mut applied = Applied::default();
    let session = Session {
        client,
        store,
        akvs: plan.akvs,
        manager: plan.akvs.manager(),
    };
    for action in &plan.actions {
        let result = match action {
            Action::Create { desired } => session.create(desired).await,
            Action::Apply(application) => session.update(application).await,
            Action::Delete { .. } | Action::Release { .. } if !applied.failed.is_empty() => continue,
            Action::Delete { target, seen } => session.delete_or_release(target, seen).await,
            Action::Release { target, seen } => session.release(target, seen).await,
        };
        match result {
            Ok(written) => applied.written.push(written),
            Err(error) => {
                if error.retry == Retry::Observe {
                    store.refresh(client, &plan.akvs.namespace, &error.target).await;
                }
                applied.failed.push(error);
            }
        }
    }
    applied
}

/// What every step needs.
struct Session<'a> {
    client: &'a kube::Client,
    store: &'a Store,
    akvs: &'a AkvsId,
    manager: String,
}

impl Session<'_> {
    fn object<'t>(&'t self, target: &'t Target) -> Object<'t> {
        Object::new(self.client, &self.akvs.namespace, target)
    }

    fn attempt<'t>(&'t self, target: &'t Target, verb: &'static str, desired: Option<&'t Desired>) -> Attempt<'t> {
        Attempt {
            namespace: &self.akvs.namespace,
            target,
            verb,
            desired,
        }
    }

    /// Creates an object that was not there. Should one have appeared in the same moment, it is left as it was: the body demands a
    /// version that none has, and the API server compares versions only with what exists.
    async fn create(&self, desired: &Desired) -> Result<Written, ApplyError> {
        let attempt = self.attempt(&desired.target, "patch", Some(desired));
        let body = Body::of(desired, self.akvs.owner_reference()).with_resource_version(NEVER);
        let created = self.object(&desired.target).apply(&self.manager, false, &body).await;
        let meta = created.map_err(|error| attempt.failed(&error))?;
        Ok(self.written(desired, &OutputMeta::of(&meta), Change::Created, "it did not exist"))
    }

    async fn update(&self, application: &Application<'_>) -> Result<Written, ApplyError> {
        let Application { desired, seen, .. } = application;
        let attempt = self.attempt(&desired.target, "patch", Some(desired));
        let mut body = Body::of(desired, self.akvs.owner_reference())
            .with_uid(&seen.uid)
            .without(&application.yield_labels, &application.yield_annotations);
        if application.force {
            body = body.with_resource_version(&seen.resource_version);
        }
        let object = self.object(&desired.target);
        let meta = match object.apply(&self.manager, application.force, &body).await {
            Ok(meta) => meta,
            Err(error) if is_type(&error) && application.recreate_on_type_change => {
                if !self.holds_no_more(&desired.target, seen).await? {
                    return Err(attempt.failed(&error));
                }
                self.delete(&desired.target, seen).await?;
                let created = self.create(desired).await?;
                return Ok(Written {
                    change: Change::Recreated,
                    why: "its type changed".to_owned(),
                    ..created
                });
            }
            Err(error) => return Err(attempt.failed(&error)),
        };
        let meta = self
            .strip(&object, meta, &application.rivals)
            .await
            .map_err(|error| attempt.failed(&error))?;
        let now = OutputMeta::of(&meta);
        let change = if now.resource_version == seen.resource_version {
            Change::Unchanged
        } else {
            Change::Updated
        };
        Ok(self.written(desired, &now, change, &application.why))
    }

    /// Ends claims of others to what was just applied.
    async fn strip(&self, object: &Object<'_>, meta: ObjectMeta, rivals: &Rivals) -> Result<ObjectMeta, kube::Error> {
        match stripped(&meta, &self.manager, rivals) {
            Some(managed_fields) => object.replace_ownership(&meta, managed_fields, None).await,
            None => Ok(meta),
        }
    }

    async fn delete_or_release(&self, target: &Target, seen: &OutputMeta) -> Result<Written, ApplyError> {
        if self.holds_no_more(target, seen).await? {
            self.delete(target, seen).await
        } else {
            self.release(target, seen).await
        }
    }

    /// Whether it is known to hold no keys that no manager owns: metadata does not show them, and they are nobody's but their
    /// writer's. What is written after this look has another resource version, and is not deleted.
    async fn holds_no_more(&self, target: &Target, seen: &OutputMeta) -> Result<bool, ApplyError> {
        let size = self.object(target).size().await;
        let size = size.map_err(|error| self.attempt(target, "get", None).failed(&error))?;
        Ok(match size {
            Size::Keys(keys) => keys <= seen.managed_keys(),
            Size::Absent => true,
            Size::NotTold => false,
        })
    }

    async fn delete(&self, target: &Target, seen: &OutputMeta) -> Result<Written, ApplyError> {
        let deleted = self.object(target).delete(seen).await;
        match deleted.map_err(|error| self.attempt(target, "delete", None).failed(&error))? {
            Some(kept) => self.store.record(&self.akvs.namespace, target, OutputMeta::of(&kept)),
            None => drop(self.store.forget(&self.akvs.namespace, target, &seen.uid)),
        }
        Ok(Written {
            target: target.clone(),
            change: Change::Deleted,
            why: "no longer wanted".to_owned(),
            keys: Vec::new(),
            uid: seen.uid.to_string(),
        })
    }

    async fn release(&self, target: &Target, seen: &OutputMeta) -> Result<Written, ApplyError> {
        let failed = |error| self.attempt(target, "patch", None).failed(&error);
        let given_up = give_up(&self.object(target), &self.manager, seen.clone()).await;
        match given_up.map_err(failed)? {
            GivenUp::Keys(meta) | GivenUp::Ownership(meta) => {
                self.store.record(&self.akvs.namespace, target, OutputMeta::of(&meta));
            }
            GivenUp::Vanished => {}
            GivenUp::Alone(refusal) => return Err(failed(refusal)),
        }
        Ok(Written {
            target: target.clone(),
            change: Change::Released,
            why: "no longer wanted, and others have or may have a part in it".to_owned(),
            keys: Vec::new(),
            uid: seen.uid.to_string(),
        })
    }

    fn written(&self, desired: &Desired, now: &OutputMeta, change: Change, why: &str) -> Written {
        self.store.record(&self.akvs.namespace, &desired.target, now.clone());
        Written {
            target: desired.target.clone(),
            change,
            why: why.to_owned(),
            keys: desired.keys().map(str::to_owned).collect(),
            uid: now.uid.to_string(),
        }
    }
}

fn is_type(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if is_type_mismatch(status))
}
