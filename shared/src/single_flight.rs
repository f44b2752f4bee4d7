//! One task for many askers.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tracing::Instrument;

/// The shared outcome of one task. `None`: the task panicked.
pub type Flight<T> = Shared<BoxFuture<'static, Option<T>>>;

/// Starts `work` as a task of its own, so that no asker's cancellation takes it from the others.
pub fn launch<T>(work: impl Future<Output = T> + Send + 'static) -> Flight<T>
where
    T: Clone + Send + Sync + 'static,
{
    // Traces have it below the first who asked.
    let task = tokio::spawn(work.in_current_span());
    async move { task.await.ok() }.boxed().shared()
}

/// A map whose lock survives a panic of some holder: every change to it is a single step.
pub struct SharedMap<K, V>(Arc<Mutex<HashMap<K, V>>>);

impl<K, V> Clone for SharedMap<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Eq + Hash, V> SharedMap<K, V> {
    /// An empty map.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(HashMap::new())))
    }

    /// Runs `step` on the map, exclusively. It must not block.
    pub fn with<R>(&self, step: impl FnOnce(&mut HashMap<K, V>) -> R) -> R {
        step(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
