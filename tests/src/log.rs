//! What a test's own process logs, kept to be looked at.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::subscriber::{DefaultGuard, NoSubscriber, Subscriber, set_default};
use tracing_subscriber::fmt::MakeWriter;

/// What this thread logs goes to `subscriber` until the guard is dropped.
pub fn listen(subscriber: impl Subscriber + Send + Sync) -> Listening {
    // Of one subscriber alone, `tracing` asks whatever thread reaches a line first, and that may be another test's, to which nobody
    // listens: then the line is lost for all threads. So there are two.
    let company = tracing::Dispatch::new(NoSubscriber::new());
    Listening {
        _guard: set_default(subscriber),
        _company: company,
    }
}

/// See [`listen`].
pub struct Listening {
    _guard: DefaultGuard,
    _company: tracing::Dispatch,
}

/// A writer for a `tracing_subscriber`; clones share what was written.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Everything until now.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
