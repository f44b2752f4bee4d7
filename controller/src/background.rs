//! Tasks that never end by themselves. When one does, it is a bug, and only a new process helps: somebody is told.

use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The tasks; they are stopped when it is dropped.
pub(crate) struct Background {
    tasks: JoinSet<()>,
    ended: mpsc::UnboundedSender<&'static str>,
}

/// Who learns that a task ended.
pub(crate) struct Ended(mpsc::UnboundedReceiver<&'static str>);

/// Tells, however its task ends: by returning or by a panic.
struct Tell(&'static str, mpsc::UnboundedSender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        // Nobody listens any more when the process stops.
        let _ = self.1.send(self.0);
    }
}

impl Background {
    /// No task yet.
    pub(crate) fn new() -> (Self, Ended) {
        let (ended, listener) = mpsc::unbounded_channel();
        let tasks = JoinSet::new();
        (Self { tasks, ended }, Ended(listener))
    }

    /// Starts a task that is to run as long as this lives; `name` is for the message when it does not.
    pub(crate) fn keep(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tell = Tell(name, self.ended.clone());
        self.tasks.spawn(async move {
            let _tell = tell;
            task.await;
        });
    }

    /// Ends all tasks, and waits until they have.
    pub(crate) async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Ended {
    /// Waits for the end of a task that should have none.
    pub(crate) async fn next(&mut self) -> anyhow::Error {
        match self.0.recv().await {
            Some(name) => anyhow::anyhow!("the task '{name}' ended, which is a bug; the process has to start anew"),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn when_they_are_ended_none_runs_any_more() {
        let (mut background, _ended) = Background::new();
        let (alive, mut gone) = mpsc::channel::<()>(1);
        background.keep("poller", async move {
            let _alive = alive;
            std::future::pending::<()>().await;
        });
        background.end().await;
        assert_eq!(gone.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }

    #[tokio::test]
    async fn the_end_of_a_task_is_told_whether_it_returned_or_panicked() {
        let (mut background, mut ended) = Background::new();
        background.keep("poller", async { panic!("a bug") });
        assert!(ended.next().await.to_string().contains("'poller'"));
        background.keep("watch", async {});
        assert!(ended.next().await.to_string().contains("'watch'"));
    }
}
