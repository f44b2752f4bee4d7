//! A rule file in force, followed while it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::Namespace;
use super::rules::{self, Read, Rules};
use crate::diagnosis::Diagnosis;
use crate::follow::Follower;
use crate::reference::ObjectRef;

/// How often the file is read. A change counts once two reads in a row show the same.
const LOOK: Duration = Duration::from_secs(1);

/// The rules of a file. While they cannot be used, those read before stay in force; from the start nothing is allowed then.
pub struct RuleFile {
    path: Option<PathBuf>,
    rules: Mutex<Arc<Rules>>,
}

impl RuleFile {
    /// Without a `path` everything is allowed. Nothing is read yet: until [`Self::load`], a file allows nothing.
    pub fn new(path: Option<PathBuf>) -> Self {
        let rules = Rules::unread(path.as_deref());
        Self {
            path,
            rules: Mutex::new(Arc::new(rules)),
        }
    }

    /// Whether `namespace` may read `object`.
    ///
    /// # Errors
    /// [`VaultNotGranted`](crate::diagnosis::Code::VaultNotGranted): no rule allows it, or the rules cannot be used.
    pub fn check(&self, namespace: &Namespace<'_>, object: &ObjectRef) -> Result<(), Box<Diagnosis>> {
        self.rules().check(&self.name(), namespace, object)
    }

    /// Reads the file as it is now, and puts it in force.
    ///
    /// # Errors
    /// [`VaultGrantsUnreadable`](crate::diagnosis::Code::VaultGrantsUnreadable): nothing is allowed until it was corrected.
    pub async fn load(&self) -> Result<(), Box<Diagnosis>> {
        match self.read().await {
            Some(text) => self.adopt(&text),
            None => Ok(()),
        }
    }

    /// Follows the file until dropped.
    pub async fn follow(&self) {
        let (mut follower, mut ticks) = (Follower::default(), tokio::time::interval(LOOK));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(text) = self.read().await else {
                return std::future::pending().await;
            };
            let Some(text) = follower.look(text) else { continue };
            if let Err(problem) = self.adopt(&text) {
                warn!(code = problem.code.as_str(), error = %problem, "vault grants cannot be used");
            }
        }
    }

    /// `None`: there is no file to read.
    async fn read(&self) -> Option<Read> {
        Some(rules::read(self.path.as_deref()?).await)
    }

    fn adopt(&self, read: &Read) -> Result<(), Box<Diagnosis>> {
        match self.rules().after(&self.name(), read) {
            Ok(grants) => {
                info!(file = self.name(), rules = grants.len(), "vault grants are in force");
                self.set(Rules::Grants(grants));
                Ok(())
            }
            Err((problem, instead)) => {
                if let Some(rules) = instead {
                    self.set(rules);
                }
                Err(problem)
            }
        }
    }

    fn name(&self) -> String {
        let path = self.path.as_ref();
        path.map(|path| path.display().to_string()).unwrap_or_default()
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set(&self, rules: Rules) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::diagnosis::Code;
    use crate::reference::{ObjectKind, ObjectName, VaultName};

    fn check(rules: &RuleFile) -> Result<(), Code> {
        let labels = BTreeMap::new();
        let namespace = Namespace {
            name: "shop",
            labels: Ok(&labels),
        };
        let object = ObjectRef {
            vault: VaultName::parse("my-vault").unwrap(),
            kind: ObjectKind::Secret,
            name: ObjectName::parse("db").unwrap(),
            version: None,
        };
        rules.check(&namespace, &object).map_err(|diagnosis| diagnosis.code)
    }

    #[tokio::test]
    async fn a_broken_file_allows_nothing_at_first_and_changes_nothing_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.yaml");
        let rules = RuleFile::new(Some(path.clone()));
        assert_eq!(check(&rules), Err(Code::VaultNotGranted), "it is not read yet");
        let missing = rules.load().await.unwrap_err();
        assert_eq!(missing.code, Code::VaultGrantsUnreadable);
        assert_eq!(check(&rules), Err(Code::VaultNotGranted));
        std::fs::write(&path, "grants: [{namespaces: [shop], vaults: [my-vault]}]").unwrap();
        rules.load().await.unwrap();
        assert_eq!(check(&rules), Ok(()));
        std::fs::write(&path, "grants: [").unwrap();
        let kept = rules.load().await.unwrap_err();
        assert!(kept.what.contains("stay in force"), "{kept}");
        assert_eq!(check(&rules), Ok(()));
    }

    #[tokio::test]
    async fn without_a_file_everything_is_allowed() {
        let rules = RuleFile::new(None);
        rules.load().await.unwrap();
        assert_eq!(check(&rules), Ok(()));
    }
}
