//! A watch of the API server that does not leave whoever follows it in the dark after a failure.
//!
//! kube's watcher goes on where it broke off, and then says nothing while nothing changes: nobody can tell a watch that works again from one
//! that does not. So after a failure, objects are listed anew.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// So long what was seen last counts while a watch fails. Labels and objects that nobody takes away for good would be no protection; but an
/// API server that is being upgraded must take nothing away from anybody.
pub const KEPT: Duration = Duration::from_mins(10);
/// So long after the last failure a watch may be silent before objects are listed anew.
const LIST_ANEW: Duration = Duration::from_secs(30);

/// Follows objects for ever, with back-off after failures.
pub struct Watching<K> {
    api: Api<K>,
    config: watcher::Config,
    events: BoxStream<'static, Result<Event<K>, watcher::Error>>,
    /// When objects are to be listed anew; `None`: the watch works.
    anew: Option<Instant>,
}

impl<K> Watching<K>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    /// Nothing is asked yet.
    pub fn new(api: Api<K>, config: watcher::Config) -> Self {
        Self {
            events: begin(&api, &config),
            api,
            config,
            anew: None,
        }
    }

    /// What happens next: the first list, changes, failures, and another list after each failure that no change followed. Nothing is lost by
    /// dropping the future.
    pub async fn next(&mut self) -> Result<Event<K>, watcher::Error> {
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => {
                        self.anew = match &event {
                            Ok(event) if is_complete(event) => None,
                            Ok(_) => self.anew.and(Some(Instant::now() + LIST_ANEW)),
                            Err(_) => Some(Instant::now() + LIST_ANEW),
                        };
                        return event;
                    }
                    None => self.list_anew(),
                },
                () = until(self.anew) => self.list_anew(),
            }
        }
    }

    fn list_anew(&mut self) {
        self.events = begin(&self.api, &self.config);
        self.anew = None;
    }
}

/// Whether whoever takes it over then knows all that the API server has.
pub fn is_complete<K>(event: &Event<K>) -> bool {
    matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_))
}

fn begin<K>(api: &Api<K>, config: &watcher::Config) -> BoxStream<'static, Result<Event<K>, watcher::Error>>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api.clone(), config.clone()).default_backoff().boxed()
}

/// Waits until then; without a time, for ever.
pub async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use k8s_openapi::api::core::v1::Namespace;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// An API server whose first watch is refused, and whose others say nothing.
    fn silent_after_a_failure(lists: Arc<AtomicUsize>) -> kube::Client {
        let watches = Arc::new(AtomicUsize::new(0));
        let answer = move |request: hyper::Request<Body>| {
            let is_watch = request.uri().query().is_some_and(|it| it.contains("watch=true"));
            let watches = if is_watch { watches.fetch_add(1, SeqCst) } else { 0 };
            lists.fetch_add(usize::from(!is_watch), SeqCst);
            async move {
                if is_watch && watches > 0 {
                    std::future::pending::<()>().await;
                }
                let (code, body) = if is_watch { (503, refusal()) } else { (200, list()) };
                let body = Body::from(body.to_string().into_bytes());
                hyper::Response::builder().status(code).body(body)
            }
        };
        kube::Client::new(tower::service_fn(answer), "default")
    }

    fn list() -> Value {
        json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})
    }

    fn refusal() -> Value {
        json!({"kind": "Status", "status": "Failure", "message": "away", "reason": "ServiceUnavailable", "code": 503})
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_that_no_change_follows_objects_are_listed_anew_once() {
        let lists = Arc::new(AtomicUsize::new(0));
        let api = Api::<Namespace>::all(silent_after_a_failure(Arc::clone(&lists)));
        let mut watching = Watching::new(api, watcher::Config::default());
        let mut seen = Vec::new();
        let hours = async {
            loop {
                seen.push(match watching.next().await {
                    Ok(Event::Init) => "list",
                    Ok(Event::InitApply(_)) => "object",
                    Ok(Event::InitDone) => "complete",
                    Ok(_) => "change",
                    Err(_) => "failure",
                });
            }
        };
        assert!(tokio::time::timeout(Duration::from_hours(2), hours).await.is_err());
        let list = ["list", "object", "complete"];
        assert_eq!(seen, [&list[..], &["failure"], &list[..]].concat());
        assert_eq!(lists.load(SeqCst), 2);
    }
}
