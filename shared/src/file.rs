//! Reading the small files that others write, bounded in size and in time.
//!
//! A mount that hangs (NFS, FUSE) hangs whoever reads from it, and nothing can interrupt that. So each file is read on a thread of its
//! own, and whoever asked gives up after [`LIMIT`]. Who asks while a read is under way joins it: a file that hangs costs one
//! thread, however often it is asked for, and neither a worker nor the end of the process waits for it.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::oneshot;

use crate::secret::SecretBytes;
use crate::single_flight::{Flight, SharedMap};

/// Longest wait for one file.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Largest file that is read: 10 MiB.
pub const MAX_SIZE: u64 = 10 * 1024 * 1024;

/// Why a file could not be read; written into a sentence without its full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// What the system says.
    Failed(String),
    /// It is larger than [`MAX_SIZE`].
    TooLarge,
    /// Nothing came within [`LIMIT`].
    Silent,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => f.write_str(error),
            Self::TooLarge => f.write_str("it is larger than 10 MiB"),
            Self::Silent => write!(
                f,
                "its file system gave no answer within {} s (a mount that hangs?)",
                LIMIT.as_secs()
            ),
        }
    }
}

impl std::error::Error for ReadError {}

type Outcome = Result<SecretBytes, ReadError>;

/// The reads under way.
static READS: LazyLock<SharedMap<PathBuf, Flight<Outcome>>> = LazyLock::new(SharedMap::new);

/// The whole content of the file at `path`.
///
/// # Errors
/// It cannot be read, is larger than [`MAX_SIZE`], or does not answer within [`LIMIT`].
pub async fn read(path: &Path) -> Result<SecretBytes, ReadError> {
    let interrupted = || ReadError::Failed("reading it was interrupted".to_owned());
    let flight = READS.with(|reads| {
        let new = || start(path.to_owned());
        reads.entry(path.to_owned()).or_insert_with(new).clone()
    });
    match tokio::time::timeout(LIMIT, flight).await {
        Ok(outcome) => outcome.unwrap_or_else(|| Err(interrupted())),
        Err(_) => Err(ReadError::Silent),
    }
}

fn start(path: PathBuf) -> Flight<Outcome> {
    let (tell, told) = oneshot::channel();
    let work = move || {
        let outcome = read_now(&path);
        READS.with(|reads| reads.remove(&path));
        // Whoever asked may have given up.
        let _ = tell.send(outcome);
    };
    // Without a thread the sender is dropped, which the askers see.
    let started = std::thread::Builder::new().name("file".to_owned()).spawn(work);
    let failed = started.err().map(|error| ReadError::Failed(error.to_string()));
    async move {
        match failed {
            Some(error) => Some(Err(error)),
            None => told.await.ok(),
        }
    }
    .boxed()
    .shared()
}

fn read_now(path: &Path) -> Outcome {
    let failed = |error: std::io::Error| ReadError::Failed(error.to_string());
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len().min(MAX_SIZE);
    // Room for all of it: a buffer that grows would leave copies behind.
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    let read = file.take(MAX_SIZE + 1).read_to_end(&mut content).map_err(failed);
    let content = SecretBytes::new(content);
    match read? {
        size if size as u64 > MAX_SIZE => Err(ReadError::TooLarge),
        _ => Ok(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_whole_and_what_cannot_be_read_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(matches!(read(&path).await, Err(ReadError::Failed(why)) if why.contains("No such file")));
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).await.ok().unwrap().expose(), b"text");
        let large = std::fs::File::create(&path).unwrap();
        large.set_len(MAX_SIZE + 1).unwrap();
        assert!(matches!(read(&path).await, Err(ReadError::TooLarge)));
        large.set_len(MAX_SIZE).unwrap();
        assert_eq!(read(&path).await.ok().unwrap().len() as u64, MAX_SIZE);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_hangs_is_given_up_costs_one_thread_and_heals() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let threads = || READS.with(|reads| reads.keys().filter(|it| **it == path).count());
        let both = tokio::join!(read(&path), read(&path));
        assert!(matches!(both, (Err(ReadError::Silent), Err(ReadError::Silent))));
        assert_eq!(threads(), 1, "the second one joined the first");
        // Whoever writes at last lets the read end, which is then nobody's.
        std::fs::write(&path, "late").unwrap();
        while threads() > 0 {
            tokio::task::yield_now().await;
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(&path).await.ok().unwrap().expose(), b"text");
    }
}
