//! Every answer but the values.

use std::time::Duration;

use akv2k8s_shared::diagnosis::{Code, Diagnosis, Explanation, Retry, case};
use akv2k8s_shared::injection::wire::{self, Refusal};
use axum::body::Body;
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};

/// How long to wait before asking again, where nothing better is known.
const SOON: Duration = Duration::from_secs(2);

/// A request that gets no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) code: Code,
    pub(super) refusal: Box<Refusal>,
    retry_after: Option<Duration>,
}

impl Refused {
    /// Asking again is in vain until somebody does something.
    pub(super) fn new(status: u16, diagnosis: Diagnosis) -> Self {
        Self {
            status,
            code: diagnosis.code,
            refusal: Box::new(Refusal {
                code: diagnosis.code.to_string(),
                reference: None,
                message: format!("{} {}", diagnosis.what, diagnosis.cause),
                fix: diagnosis.fix.into(),
                retry: false,
            }),
            retry_after: None,
        }
    }

    /// Asking again may help after `wait`.
    pub(super) fn again(mut self, wait: Duration) -> Self {
        self.refusal.retry = true;
        self.retry_after = Some(wait);
        self
    }

    /// It is about `reference`, not about the whole request.
    pub(super) fn about(mut self, reference: &str) -> Self {
        self.refusal.reference = Some(reference.to_owned());
        self
    }

    /// What came of asking Entra and the vault.
    pub(super) fn of_vault(diagnosis: &Diagnosis, retry: Retry) -> Self {
        let diagnosis = diagnosis.clone();
        match retry {
            Retry::After(wait) => Self::new(503, diagnosis).again(wait),
            Retry::Soon => Self::new(503, diagnosis).again(SOON),
            Retry::Slowly => Self::new(409, diagnosis),
        }
    }

    /// The request is none.
    pub(super) fn malformed(status: u16, why: impl Into<Explanation>) -> Self {
        let what = "The broker does not understand the request.";
        Self::new(status, Diagnosis::case(why, what))
    }

    /// Too many are asking at a time.
    pub(super) fn busy() -> Self {
        let what = "The broker has too much to do.";
        Self::new(503, Diagnosis::of(Code::BrokerBusy, what, &[])).again(SOON)
    }

    /// The values together are more than anybody can use.
    pub(super) fn too_much() -> Self {
        let what = format!(
            "The values that are asked for have more than {} bytes together.",
            wire::MAX_ANSWER
        );
        Self::new(409, Diagnosis::of(Code::EnvironmentTooLarge, what, &[]))
    }

    /// What the broker knows of namespaces and AKVS is missing or too old.
    pub(super) fn of_watches() -> Self {
        let what = "The broker does not know yet, or not any more, which AzureKeyVaultSecrets and labels there are.";
        Self::new(503, Diagnosis::of(Code::ApiServerUnavailable, what, &[])).again(SOON)
    }

    /// The injector was told to serve other namespaces.
    pub(super) fn not_served(namespace: &str) -> Self {
        let what = format!("Pods of namespace '{namespace}' may not have values from the broker.");
        let why = case::NamespaceNotServed { namespace: &namespace };
        Self::new(403, Diagnosis::case(why, what))
    }

    /// As HTTP: the refusal as JSON, `Retry-After` in whole seconds.
    pub(super) fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.refusal).expect("texts and booleans become JSON");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = hyper::StatusCode::from_u16(self.status).expect("it is one of ours");
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, whole_seconds(wait).into());
        }
        response
    }
}

/// Never less than `wait`: who asks too early is told to wait once more.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// The answer to wrappers of akv2k8s 1.x, which ask for tokens below `/auth/`: on the broker's port and on the plain one.
pub fn gone() -> Response<Body> {
    let diagnosis = Diagnosis::of(Code::WrapperOutdated, "The broker gives no tokens to pods.", &[]);
    Refused::new(410, diagnosis).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_told_to_come_back_too_early() {
        for (milliseconds, seconds) in [(0, 1), (400, 1), (1000, 1), (9001, 10), (60_000, 60)] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds);
        }
    }
}
