//! For how long this replica may write: a process that was suspended must not wake up and end a write it began as the leader
//! beside its successor.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::http::{Method, Request};
use kube::client::Body;
use tower::BoxError;

/// The time until which nobody else can hold the lease, by our own clock. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Term(Arc<Mutex<Option<Instant>>>);

/// A write that came too late.
#[derive(Debug, thiserror::Error)]
#[error("the lease has run out: this replica does not write any more")]
struct Over;

impl Term {
    /// Moves the end to `until`.
    pub(crate) fn extend(&self, until: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Ends it now.
    pub(crate) fn end(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// A client that refuses to write outside of the term; reads pass.
    pub(crate) fn guard(&self, client: kube::Client) -> kube::Client {
        let namespace = client.default_namespace().to_owned();
        let term = self.clone();
        let send = tower::service_fn(move |request: Request<Body>| {
            let (client, term) = (client.clone(), term.clone());
            async move {
                if term.admits(request.method()) {
                    client.send(request).await.map_err(BoxError::from)
                } else {
                    Err(Over.into())
                }
            }
        });
        kube::Client::new(send, namespace)
    }

    fn admits(&self, method: &Method) -> bool {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *method == Method::GET || until.is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn writes_pass_within_the_term_only_and_reads_always() {
        let term = Term::default();
        assert!(!term.admits(&Method::PATCH), "before the lease was won");
        term.extend(Instant::now() + Duration::from_mins(1));
        for method in [Method::PATCH, Method::POST, Method::DELETE] {
            assert!(term.admits(&method));
        }
        term.extend(Instant::now());
        assert!(!term.admits(&Method::DELETE), "after its end");
        term.extend(Instant::now() + Duration::from_mins(1));
        term.end();
        assert!(!term.admits(&Method::PATCH), "it was ended");
        assert!(term.admits(&Method::GET));
    }
}
