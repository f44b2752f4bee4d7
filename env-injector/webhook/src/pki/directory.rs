//! Certificates that somebody else makes (cert-manager, a company's authority), as files, followed while they change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::secret::SecretBytes;
use rustls::ServerConfig;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use super::clause;
use super::hot::{Hot, server_config};
use super::serving::Serving;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(10);

/// A folder with `tls.crt` (chain, the server's certificate first) and `tls.key`, both PEM.
pub struct Directory {
    folder: PathBuf,
    hot: Arc<Hot>,
    /// The chain that is served, PEM.
    served: Mutex<String>,
}

impl Directory {
    /// Reads the files as they are now.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub async fn open(folder: PathBuf) -> Result<Self, Box<Diagnosis>> {
        let directory = Self {
            folder,
            hot: Arc::default(),
            served: Mutex::default(),
        };
        directory.look().await?;
        Ok(directory)
    }

    /// How to serve: always with the certificate of the moment.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        server_config(Arc::clone(&self.hot))
    }

    /// Until when that certificate is valid, in Unix seconds; `None`: there is none.
    pub fn valid_until(&self) -> Option<i64> {
        self.hot.valid_until()
    }

    /// Follows the files until dropped. While they cannot be used, what was read before is served further.
    pub async fn follow(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = None;
        loop {
            ticks.tick().await;
            let problem = self.look().await.err();
            if let Some(problem) = problem.as_ref().filter(|_| problem != told) {
                warn!(code = problem.code.as_str(), error = %problem, "the former certificate stays");
            }
            told = problem;
        }
    }

    /// One look: serves what is there now.
    ///
    /// # Errors
    /// The files cannot be read, or do not belong together.
    pub async fn look(&self) -> Result<(), Box<Diagnosis>> {
        let serving = read(&self.folder).await.map_err(|error| {
            let error = &clause(error);
            let what = format!("The certificate in {} cannot be used.", self.folder.display());
            Diagnosis::case(case::FilesUnusable { error }, what)
        })?;
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if *served != serving.chain {
            let valid_until = serving.span.until;
            info!(folder = %self.folder.display(), %valid_until, "serving with this certificate from now on");
            self.hot.set(serving.certified());
            *served = serving.chain;
        }
        Ok(())
    }
}

async fn read(folder: &Path) -> Result<Serving, String> {
    let file = async |name: &str| {
        let read = tokio::fs::read(folder.join(name)).await;
        read.map(SecretBytes::new).map_err(|error| format!("{name}: {error}"))
    };
    let chain = file("tls.crt").await?;
    let chain = chain.expose_str().ok_or("tls.crt is not PEM")?;
    Serving::read(chain, file("tls.key").await?)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use rustls::sign::CertifiedKey;

    use super::*;
    use crate::pki::authority::Authority;

    fn issue() -> Serving {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let authority = Authority::make(now, now + SignedDuration::from_hours(1000)).unwrap();
        authority.issue(&["injector.svc".to_owned()], now).unwrap()
    }

    fn write(folder: &Path, chain: &Serving, key: &Serving) {
        std::fs::write(folder.join("tls.crt"), &chain.chain).unwrap();
        std::fs::write(folder.join("tls.key"), key.key.expose()).unwrap();
    }

    fn served(directory: &Directory) -> Arc<CertifiedKey> {
        directory.hot.now().unwrap()
    }

    #[tokio::test]
    async fn files_that_change_are_served_and_half_a_change_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (issue(), issue());
        assert!(Directory::open(folder.path().to_owned()).await.is_err());
        write(folder.path(), &old, &old);
        let directory = Directory::open(folder.path().to_owned()).await.unwrap();
        assert_eq!(served(&directory).cert, old.certified().cert);

        write(folder.path(), &new, &old);
        let problem = directory.look().await.unwrap_err();
        assert!(problem.to_string().contains("cannot be used"), "{problem}");
        assert_eq!(served(&directory).cert, old.certified().cert);

        write(folder.path(), &new, &new);
        directory.look().await.unwrap();
        assert_eq!(served(&directory).cert, new.certified().cert);
    }

    #[tokio::test(start_paused = true)]
    async fn new_files_are_seen_within_ten_seconds() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (issue(), issue());
        write(folder.path(), &old, &old);
        let directory = Arc::new(Directory::open(folder.path().to_owned()).await.unwrap());
        let follower = Arc::clone(&directory);
        let follower = tokio::spawn(async move { follower.follow().await });
        // Its first look is at once.
        tokio::time::sleep(Duration::from_secs(1)).await;
        write(folder.path(), &new, &new);
        assert_eq!(served(&directory).cert, old.certified().cert);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(served(&directory).cert, new.certified().cert);
        follower.abort();
    }
}
