//! Who is chosen, and when anew.

use std::os::unix::fs::FileTypeExt;

use super::*;
use crate::http::Limits;

const FIRST: &str = r#"{"cloud": "AzureChinaCloud", "tenantId": "t-1", "aadClientId": "c-1", "aadClientSecret": "s"}"#;
const MANAGED: &str = r#"{"tenantId": "t-2", "useManagedIdentityExtension": true, "userAssignedIdentityID": "u"}"#;

struct Bed {
    folder: tempfile::TempDir,
    provider: Provider,
}

impl Bed {
    fn new(auth_type: AuthType, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let http = HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap();
        let environment = variables.iter().copied().collect();
        let provider = Provider::new(environment, auth_type, folder.path().join("azure.json"), http);
        Self { folder, provider }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("azure.json")
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).unwrap();
    }

    /// In place of the file something that answers nobody who reads.
    fn hang(&self) {
        let fresh = self.folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fresh).status().unwrap();
        assert!(made.success());
        std::fs::rename(fresh, self.path()).unwrap();
        assert!(std::fs::metadata(self.path()).unwrap().file_type().is_fifo());
    }

    /// One look that is newer than the last one.
    async fn look(&self) -> Result<Identity, Box<Diagnosis>> {
        self.provider.0.state().looked = None;
        self.provider.identity().await
    }

    /// As many looks as a change needs.
    async fn looks(&self) -> Result<Identity, Box<Diagnosis>> {
        let _first = self.look().await;
        self.look().await
    }

    async fn home(&self) -> (String, Option<String>) {
        let home = self.provider.home().await.unwrap();
        (home.cloud.name, home.tenant_id)
    }
}

#[tokio::test]
async fn a_cloud_config_file_that_appears_changes_and_goes_is_followed_without_a_restart() {
    let bed = Bed::new(AuthType::AzureCloudConfig, &[]);
    let missing = bed.look().await.unwrap_err();
    assert_eq!(missing.code, Code::CloudConfigUnreadable);
    assert!(missing.to_string().contains("azure.json"), "{missing}");
    assert!(bed.provider.home().await.is_err(), "no cloud is guessed");

    bed.write(FIRST);
    let first = bed.look().await.unwrap();
    assert_eq!(
        first.info().client_id.as_deref(),
        Some("c-1"),
        "the first one counts at once"
    );
    assert_eq!(bed.home().await, ("AzureChinaCloud".to_owned(), Some("t-1".to_owned())));
    assert_eq!(bed.looks().await.unwrap(), first, "nothing changed");

    bed.write(MANAGED);
    let second = bed.looks().await.unwrap();
    assert_eq!(
        (second.info().method, second.info().client_id.as_deref()),
        (Method::ManagedIdentity, Some("u"))
    );
    assert_eq!(
        bed.home().await,
        ("AzurePublicCloud".to_owned(), Some("t-2".to_owned()))
    );

    std::fs::remove_file(bed.path()).unwrap();
    assert!(bed.looks().await.is_err());
    assert_eq!(bed.home().await.1.as_deref(), Some("t-2"), "home stays where it was");
}

#[tokio::test]
async fn a_file_that_is_being_written_does_not_replace_an_identity() {
    let bed = Bed::new(AuthType::AzureCloudConfig, &[]);
    bed.write(FIRST);
    let first = bed.look().await.unwrap();
    for half in ["", &FIRST[..40], r#"{"useManagedIdentityExtension": true}"#, "{"] {
        bed.write(half);
        assert_eq!(bed.look().await.unwrap(), first, "{half:?}");
        assert_eq!(bed.home().await.0, "AzureChinaCloud", "{half:?}");
    }
    bed.write(MANAGED);
    assert_eq!(bed.look().await.unwrap(), first);
    assert_ne!(bed.look().await.unwrap(), first, "seen twice, it counts");
}

#[tokio::test]
async fn files_are_looked_at_once_a_second_at_most() {
    let bed = Bed::new(AuthType::AzureCloudConfig, &[]);
    let began = std::time::Instant::now();
    assert!(bed.provider.identity().await.is_err());
    bed.write(r#"{"useManagedIdentityExtension": true}"#);
    let found = loop {
        let found = bed.provider.identity().await;
        if found.is_ok() {
            break found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(began.elapsed() >= FRESH, "{:?}", began.elapsed());
    assert!(found.is_ok());
}

#[tokio::test]
async fn a_file_that_hangs_leaves_the_identity_as_it_is_and_keeps_nobody_waiting() {
    let bed = Bed::new(AuthType::AzureCloudConfig, &[]);
    bed.write(FIRST);
    let first = bed.look().await.unwrap();
    bed.hang();
    for asker in 0..5 {
        let began = std::time::Instant::now();
        assert_eq!(bed.look().await.unwrap(), first);
        // The first ones wait for a moment whether something newer comes; none waits for the file.
        assert!(began.elapsed() < file::LIMIT, "asker {asker}: {:?}", began.elapsed());
    }
    while !bed.provider.0.state().is_silent {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(bed.look().await.unwrap(), first, "after the limit, too");
    assert_eq!(bed.home().await.0, "AzureChinaCloud");

    // The mount is back. A read that is still under way gets what comes first.
    let hung = bed.folder.path().join("hung");
    std::fs::rename(bed.path(), &hung).unwrap();
    bed.write(MANAGED);
    std::fs::write(&hung, "").unwrap();
    let back = async {
        while bed.look().await.unwrap() == first {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), back).await.unwrap();
    assert!(!bed.provider.0.state().is_silent);
}

#[tokio::test]
async fn without_an_identity_a_file_that_hangs_is_named_in_time() {
    for variable in [None, Some("AZURE_ENVIRONMENT_FILEPATH")] {
        let auth_type = variable.map_or(AuthType::AzureCloudConfig, |_| AuthType::ManagedIdentity);
        let bed = Bed::new(auth_type, &[]);
        bed.hang();
        let path = bed.path().display().to_string();
        let bed = match variable {
            Some(name) => Bed {
                provider: Bed::new(auth_type, &[(name, &path)]).provider,
                folder: bed.folder,
            },
            None => bed,
        };
        let error = bed.provider.identity().await.unwrap_err();
        assert_eq!(error.code, Code::CloudConfigUnreadable);
        assert!(error.what.contains(&path) && error.cause.contains("hangs"), "{error}");
        assert_eq!(bed.provider.home().await.unwrap_err(), error);
        std::fs::write(bed.path(), "").unwrap();
    }
}
