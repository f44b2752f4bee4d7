//! A watch of the API server that does not leave whoever follows it in the dark after a failure.
//!
//! kube's watcher goes on where it broke off, and then says nothing while nothing changes: nobody can tell a watch that works again from one
//! that does not. So after a failure, objects are listed anew.

use std::fmt::Debug;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// So long what was seen last counts while a watch fails. Labels and objects that nobody takes away for good would be no protection; but an
/// API server that is being upgraded must take nothing away from anybody.
pub const KEPT: Duration = Duration::from_mins(10);
/// Longest pause after a failure, without the random part that is as long at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// So long after the last attempt a watch may be silent before objects are listed anew.
const LIST_ANEW: Duration = Duration::from_secs(30);

/// Follows objects for ever, with back-off after failures.
///
/// The back-off is our own: kube's begins anew with each attempt to list, and would with each watcher that is made.
pub struct Watching<K> {
    api: Api<K>,
    config: watcher::Config,
    events: BoxStream<'static, Result<Event<K>, watcher::Error>>,
    /// The pauses after failures in a row.
    pauses: ExponentialBackoff,
    /// Nothing is asked before then.
    paused: Option<Instant>,
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
            pauses: pauses(),
            paused: None,
            anew: None,
        }
    }

    /// What happens next: the first list, changes, failures, and another list after each failure that no change followed. Nothing is lost by
    /// dropping the future.
    pub async fn next(&mut self) -> Result<Event<K>, watcher::Error> {
        loop {
            if let Some(end) = self.paused {
                tokio::time::sleep_until(end).await;
                self.paused = None;
            }
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => {
                        self.take(&event);
                        return event;
                    }
                    None => self.list_anew(),
                },
                () = until(self.anew) => self.list_anew(),
            }
        }
    }

    fn take(&mut self, said: &Result<Event<K>, watcher::Error>) {
        let now = Instant::now();
        match said {
            Ok(event) if is_complete(event) => {
                self.pauses = pauses();
                self.anew = None;
            }
            Ok(_) => self.anew = self.anew.and(Some(now + LIST_ANEW)),
            Err(_) => {
                let next = now + self.pauses.next().unwrap_or(LONGEST_PAUSE);
                self.paused = Some(next);
                self.anew = Some(next + LIST_ANEW);
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

/// Whether the API server says that a right is missing.
pub fn is_forbidden(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}

fn begin<K>(api: &Api<K>, config: &watcher::Config) -> BoxStream<'static, Result<Event<K>, watcher::Error>>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher(api.clone(), config.clone()).boxed()
}

/// As client-go's reflector makes them.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(800))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
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

    /// What an API server does with one request, by what is asked for and how often that was asked before.
    #[derive(Clone, Copy)]
    enum Answer {
        Objects,
        Refusal,
        Silence,
    }

    /// How often was listed, and how often watched.
    #[derive(Default)]
    struct Asked {
        lists: AtomicUsize,
        watches: AtomicUsize,
    }

    /// An API server that answers lists and watches so.
    fn server(asked: Arc<Asked>, lists: fn(usize) -> Answer, watches: fn(usize) -> Answer) -> kube::Client {
        let answer = move |request: hyper::Request<Body>| {
            let is_watch = request.uri().query().is_some_and(|it| it.contains("watch=true"));
            let answer = if is_watch {
                watches(asked.watches.fetch_add(1, SeqCst))
            } else {
                lists(asked.lists.fetch_add(1, SeqCst))
            };
            async move {
                let (code, body) = match answer {
                    Answer::Objects => (200, list()),
                    Answer::Refusal => (503, refusal()),
                    Answer::Silence => std::future::pending().await,
                };
                let body = Body::from(body.to_string().into_bytes());
                hyper::Response::builder().status(code).body(body)
            }
        };
        kube::Client::new(tower::service_fn(answer), "default")
    }

    /// What is seen within a time.
    async fn follow(client: kube::Client, time: Duration) -> Vec<&'static str> {
        let mut watching = Watching::new(Api::<Namespace>::all(client), watcher::Config::default());
        let mut seen = Vec::new();
        let follow = async {
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
        assert!(tokio::time::timeout(time, follow).await.is_err());
        seen
    }

    fn list() -> Value {
        json!({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "a"}}]})
    }

    fn refusal() -> Value {
        json!({"kind": "Status", "status": "Failure", "message": "away", "reason": "ServiceUnavailable", "code": 503})
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_that_no_change_follows_objects_are_listed_anew_once() {
        let asked = Arc::<Asked>::default();
        let first_is_refused = |before| if before == 0 { Answer::Refusal } else { Answer::Silence };
        let client = server(Arc::clone(&asked), |_| Answer::Objects, first_is_refused);
        let seen = follow(client, Duration::from_hours(2)).await;
        let list = ["list", "object", "complete"];
        assert_eq!(seen, [&list[..], &["failure"], &list[..]].concat());
        assert_eq!(asked.lists.load(SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_goes_on_failing_is_asked_ever_less_often() {
        let hour = Duration::from_hours(1);
        // The random part doubles a pause at most; the first ones are shorter.
        let pauses = usize::try_from(hour.as_secs() / LONGEST_PAUSE.as_secs()).unwrap();
        for lists in [|_| Answer::Refusal, |_| Answer::Objects] {
            let asked = Arc::<Asked>::default();
            let seen = follow(server(Arc::clone(&asked), lists, |_| Answer::Refusal), hour).await;
            let failures = seen.iter().filter(|it| **it == "failure").count();
            assert!((pauses / 2..pauses + 10).contains(&failures), "{failures} failures");
            let requests = asked.lists.load(SeqCst) + asked.watches.load(SeqCst);
            assert!(requests <= failures + 2, "{requests} requests, {failures} failures");
        }
    }
}
