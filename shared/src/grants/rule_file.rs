//! A rule file in force, followed while it changes.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::{Grants, Namespace};
use crate::diagnosis::{Code, Diagnosis};
use crate::file;
use crate::follow::Follower;
use crate::reference::ObjectRef;

/// How often the file is read. A change counts once two reads in a row show the same.
const LOOK: Duration = Duration::from_secs(1);

type Text = Result<String, String>;

/// What is in force.
enum Rules {
    /// No file was named: everything is allowed.
    Unrestricted,
    /// The file's.
    Grants(Grants),
    /// The file could not be used from the start: nothing is allowed.
    Unusable(String),
}

/// The rules of a file. While they cannot be used, those read before stay in force; from the start nothing is allowed then.
pub struct RuleFile {
    path: Option<PathBuf>,
    rules: Mutex<Arc<Rules>>,
}

impl RuleFile {
    /// Without a `path` everything is allowed. Nothing is read yet: until [`Self::load`], a file allows nothing.
    pub fn new(path: Option<PathBuf>) -> Self {
        let rules = match &path {
            None => Rules::Unrestricted,
            Some(_) => Rules::Unusable("it is not read yet".to_owned()),
        };
        Self {
            path,
            rules: Mutex::new(Arc::new(rules)),
        }
    }

    /// Whether `namespace` may read `object`.
    ///
    /// # Errors
    /// [`Code::VaultNotGranted`]: no rule allows it, or the rules cannot be used.
    pub fn check(&self, namespace: &Namespace<'_>, object: &ObjectRef) -> Result<(), Box<Diagnosis>> {
        match &*self.rules() {
            Rules::Unrestricted => Ok(()),
            Rules::Grants(grants) => {
                let verdict = grants.allows(namespace, object);
                verdict.map_err(|denied| Box::new(denied.explain(&self.name())))
            }
            Rules::Unusable(error) => Err(Box::new(Diagnosis::new(
                Code::VaultNotGranted,
                format!("Namespace '{}' may not use {object}.", namespace.name),
                format!(
                    "The rules in {} cannot be used, and until they can nothing is allowed: {error}.",
                    self.name()
                ),
                "Ask whoever runs akv2k8s to correct that file; it is read again by itself.",
            ))),
        }
    }

    /// Reads the file as it is now, and puts it in force.
    ///
    /// # Errors
    /// [`Code::VaultGrantsUnreadable`]: nothing is allowed until it was corrected.
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
    async fn read(&self) -> Option<Text> {
        let read = file::read(self.path.as_deref()?).await;
        let bytes = read.map_err(|error| format!("the file cannot be read: {error}"));
        let text = bytes.and_then(|bytes| {
            bytes
                .expose_str()
                .map(str::to_owned)
                .ok_or("the file is not UTF-8 text".to_owned())
        });
        Some(text)
    }

    fn adopt(&self, text: &Text) -> Result<(), Box<Diagnosis>> {
        let parsed = text
            .clone()
            .and_then(|text| Grants::parse(&text).map_err(|error| error.to_string()));
        let error = match parsed {
            Ok(grants) => {
                info!(file = self.name(), rules = grants.len(), "vault grants are in force");
                self.set(Rules::Grants(grants));
                return Ok(());
            }
            Err(error) => error,
        };
        let kept = if matches!(&*self.rules(), Rules::Unusable(_)) {
            self.set(Rules::Unusable(error.clone()));
            "Nothing is allowed until it can be."
        } else {
            "The rules read before stay in force."
        };
        Err(Box::new(Diagnosis::new(
            Code::VaultGrantsUnreadable,
            format!("The vault grants in {} cannot be used. {kept}", self.name()),
            format!("{error}."),
            "Correct the file; it is read again by itself.",
        )))
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
