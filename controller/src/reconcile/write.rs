//! From the vault into the outputs.

use std::sync::Arc;
use std::time::Instant;

use akv2k8s_shared::api::{self, AzureKeyVaultSecret, Request, StatusOutput};
use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::identity::{Identity, IdentityInfo};
use akv2k8s_shared::keyvault::{Fetched, Priority, Retry};
use akv2k8s_shared::readers::Reader;
use akv2k8s_shared::reference::ObjectRef;
use akv2k8s_shared::span;
use tracing::info;

use super::Context;
use super::decide::{must_write, status_of};
use super::desired::{desired, held};
use crate::objects::id;
use crate::output::{self, AkvsId, Applied, ApplyError, Change, Claimant, Target};
use crate::queue::Again;

/// Attempts when an output changes between looking and writing.
const ATTEMPTS: usize = 3;

/// How the vault is read.
pub(super) struct Read {
    /// Who goes first.
    pub(super) priority: Priority,
    /// A value read before this is not good enough.
    pub(super) since: Instant,
}

/// A sync that reached its end.
pub(super) enum Done {
    /// Every output holds the vault's object.
    Synced(Sync),
    /// No output is wanted, and none is held.
    Withdrawn,
}

/// What is in place now.
pub(super) struct Sync {
    pub(super) request: Box<Request>,
    pub(super) fetched: Arc<Fetched>,
    /// Who read it.
    pub(super) identity: IdentityInfo,
    /// The outputs held now.
    pub(super) outputs: Vec<StatusOutput>,
    /// Those that changed.
    pub(super) changes: Vec<(Target, Change)>,
}

/// What was done to outputs.
pub(super) struct Written {
    /// The outputs held now.
    outputs: Vec<StatusOutput>,
    /// Those that changed.
    changes: Vec<(Target, Change)>,
}

/// Why a sync did not reach its end.
pub(super) struct Failure {
    pub(super) diagnosis: Box<Diagnosis>,
    pub(super) again: Again,
    /// The outputs held now, when they changed before the failure.
    pub(super) outputs: Option<Vec<StatusOutput>>,
}

impl Context {
    /// Reads the vault and, when there is something to write, writes it.
    pub(super) async fn fetch_and_write(
        &self,
        akvs: &AzureKeyVaultSecret,
        why: &str,
        read: Read,
        reapply: bool,
    ) -> Result<Done, Failure> {
        let request = api::parse(akvs)
            .map(Box::new)
            .map_err(|diagnosis| Failure::by_user(diagnosis, Again::Done))?;
        let namespace = akvs.metadata.namespace.as_deref().unwrap_or_default();
        let reader = Reader::new(namespace, request.service_account.as_deref());
        let fetched = tokio::select! {
            // The grant may end while a token or a turn at the vault is waited for: then nothing is sent for it any more.
            biased;
            denied = self.grants.until(|| self.denied(akvs)) => return Err(Failure::by_user(denied, Again::Done)),
            fetched = self.fetch(namespace, &reader, &request.object, read) => fetched?,
        };
        let (identity, fetched) = fetched;
        let status = status_of(akvs);
        let version = fetched.object.version().as_str().to_owned();
        if !must_write(&status, &version, reapply) {
            return Ok(Done::Synced(Sync {
                request,
                fetched,
                identity: identity.info().clone(),
                outputs: status.outputs,
                changes: Vec::new(),
            }));
        }
        let desired = desired(&request, &fetched.object, &output::copied(&akvs.metadata))
            .map_err(|diagnosis| Failure::by_user(diagnosis, Again::Slowly))?;
        let Written { outputs, changes } = self.write(akvs, &desired).await?;
        let AkvsId { namespace, name, .. } = id(&akvs.metadata);
        for (target, change) in &changes {
            info!(
                namespace, akvs = name,
                object = %request.object, version, output = %target, change = ?change, why, "output written",
            );
        }
        Ok(Done::Synced(Sync {
            request,
            fetched,
            identity: identity.info().clone(),
            outputs,
            changes,
        }))
    }

    /// Reads `object` as `reader` for `namespace`.
    async fn fetch(
        &self,
        namespace: &str,
        reader: &Reader,
        object: &ObjectRef,
        read: Read,
    ) -> Result<(Identity, Arc<Fetched>), Failure> {
        let identity = self.readers.identity(reader).await;
        let identity = identity.map_err(|error| Failure::of_vault(error.diagnosis, error.retry))?;
        let fetched = self
            .vault
            .get_since(&identity, object, read.priority, read.since.into())
            .await;
        match fetched {
            Ok(fetched) => Ok((identity, fetched)),
            Err(error) => {
                let granted = |object: &ObjectRef| self.grants.check(namespace, object).is_ok();
                let diagnosis = self.names.advise(reader, object, error.diagnosis, granted);
                Err(Failure::of_vault(diagnosis, error.retry))
            }
        }
    }

    /// Observes, plans and applies; again at once when an output changed in between.
    async fn write(&self, akvs: &AzureKeyVaultSecret, desired: &[output::Desired]) -> Result<Written, Failure> {
        let work = self.observe_and_apply(akvs, desired);
        span::within(span!("apply"), |failure: &Failure| failure.diagnosis.code, work).await
    }

    async fn observe_and_apply(
        &self,
        akvs: &AzureKeyVaultSecret,
        desired: &[output::Desired],
    ) -> Result<Written, Failure> {
        let akvs_id = id(&akvs.metadata);
        let recorded = status_of(akvs).outputs;
        let targets: Vec<_> = desired.iter().map(|it| it.target.clone()).collect();
        let _permit = self.writes.acquire().await;
        let mut attempt = 1;
        loop {
            let observed = output::observe(&self.client, &self.store, &akvs_id, &targets, &recorded)
                .await
                .map_err(Failure::of_output)?;
            let claimant = Claimant {
                id: &akvs_id,
                adopt: adopts(akvs),
            };
            let plan = output::plan(&claimant, desired, &observed, &self.siblings(&akvs_id, &targets));
            let applied = output::apply(&self.client, &self.store, &plan).await;
            let recurs = |error: &ApplyError| error.retry == output::Retry::Observe;
            if attempt < ATTEMPTS && !applied.failed.is_empty() && applied.failed.iter().all(recurs) {
                attempt += 1;
                continue;
            }
            // When all went well, the writes tell everything: what status recorded besides is gone, perhaps by the hand of a
            // predecessor that was killed before it could say so.
            let complete = plan.refused.is_empty() && applied.failed.is_empty();
            let outputs = held(if complete { &[] } else { &recorded }, &applied);
            let refused = plan.refused.into_iter().next().map(|(_, diagnosis)| diagnosis);
            return finish(outputs, applied, refused);
        }
    }

    fn siblings(&self, akvs_id: &AkvsId, targets: &[Target]) -> Vec<AkvsId> {
        let mut siblings: Vec<_> = targets
            .iter()
            .flat_map(|it| self.objects.siblings(it, akvs_id))
            .collect();
        siblings.sort_by(|a, b| a.uid.cmp(&b.uid));
        siblings.dedup();
        siblings
    }

    /// Gives back everything that is held.
    pub(super) async fn withdraw(&self, akvs: &AzureKeyVaultSecret) -> Result<Done, Failure> {
        self.write(akvs, &[]).await.map(|_| Done::Withdrawn)
    }
}

fn finish(outputs: Vec<StatusOutput>, applied: Applied, refused: Option<Box<Diagnosis>>) -> Result<Written, Failure> {
    if let Some(diagnosis) = refused {
        return Err(Failure {
            diagnosis,
            again: Again::Slowly,
            outputs: Some(outputs),
        });
    }
    if let Some(error) = applied.failed.into_iter().next() {
        return Err(Failure {
            outputs: Some(outputs),
            ..Failure::of_output(error)
        });
    }
    let changes = applied.written.into_iter().filter(|it| it.change != Change::Unchanged);
    let changes = changes.map(|it| (it.target, it.change)).collect();
    Ok(Written { outputs, changes })
}

impl Failure {
    pub(super) fn by_user(diagnosis: Box<Diagnosis>, again: Again) -> Self {
        Self {
            diagnosis,
            again,
            outputs: None,
        }
    }

    fn of_vault(diagnosis: Diagnosis, retry: Retry) -> Self {
        let again = match retry {
            Retry::After(wait) => Again::After(wait),
            Retry::Soon => Again::Soon,
            Retry::Slowly => Again::Slowly,
        };
        Self {
            diagnosis: Box::new(diagnosis),
            again,
            outputs: None,
        }
    }

    fn of_output(error: ApplyError) -> Self {
        let again = match error.retry {
            output::Retry::Observe | output::Retry::BackOff => Again::Soon,
            output::Retry::Changed => Again::Slowly,
        };
        Self {
            diagnosis: error.diagnosis,
            again,
            outputs: None,
        }
    }
}

fn adopts(akvs: &AzureKeyVaultSecret) -> bool {
    akvs.metadata
        .annotations
        .as_ref()
        .and_then(|it| it.get(api::ADOPT))
        .is_some_and(|value| value == "true")
}
