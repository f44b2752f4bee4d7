//! What a failed vault call tells its caller.

use std::time::Duration;

use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use thiserror::Error;
use url::Url;

pub use crate::diagnosis::Retry;
use crate::diagnosis::{Code, Diagnosis, Explanation, Trace, VaultRefusal, case, throttled, tidy};
use crate::http::{self, Failure, FailureKind, find};
use crate::identity::TokenError;

const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const DATE: HeaderName = HeaderName::from_static("date");

/// A vault call that failed, after the client's own retries.
#[derive(Debug, Clone, Error)]
#[error("{diagnosis}")]
pub struct VaultError {
    /// What happened, why, and how to fix it.
    pub diagnosis: Diagnosis,
    /// When to ask again.
    pub retry: Retry,
}

impl From<TokenError> for VaultError {
    fn from(error: TokenError) -> Self {
        Self {
            diagnosis: error.diagnosis,
            retry: error.retry,
        }
    }
}

/// Whether this client itself tries again, and after how long at least.
pub(super) fn worth_another_try(error: &VaultError) -> Option<Duration> {
    match (error.diagnosis.code, error.retry) {
        (Code::VaultUnavailable, Retry::Soon) => Some(Duration::ZERO),
        (Code::VaultUnavailable | Code::Throttled, Retry::After(pause)) => Some(pause),
        _ => None,
    }
}

/// Whether the vault refused the token itself.
pub(super) fn is_rejected_token(error: &VaultError) -> bool {
    matches!(
        error.diagnosis.code,
        Code::WrongTenant | Code::WrongAudience | Code::TokenRequestFailed
    )
}

/// The `Retry-After` of an answer, at most `cap`.
pub(super) fn retry_after(headers: &Headers, cap: Duration) -> Option<Duration> {
    http::retry_after(headers.get_optional_str(&RETRY_AFTER)?, cap)
}

/// By what Azure's support finds the request that was answered so.
pub(super) fn trace(headers: &Headers) -> Trace {
    let text = |name: &HeaderName| headers.get_optional_str(name).map(tidy);
    Trace {
        request_id: text(&REQUEST_ID),
        correlation_id: None,
        timestamp: text(&DATE),
    }
}

pub(super) fn of_refusal(refusal: &VaultRefusal<'_>, pause: Option<Duration>, trace: Trace) -> VaultError {
    let diagnosis = refusal.recognise().traced(trace);
    let retry = match (diagnosis.code, pause) {
        (_, Some(pause)) => Retry::After(pause),
        (Code::VaultUnavailable | Code::VaultResponseInvalid | Code::Throttled, None) => Retry::Soon,
        _ => Retry::Slowly,
    };
    VaultError { diagnosis, retry }
}

pub(super) fn of_transport(error: &azure_core::Error, object: &str, origin: &Url) -> VaultError {
    let host = origin.host_str().unwrap_or_default();
    let Some(failure) = find::<Failure>(error) else {
        return unavailable(object, case::RequestFails { error });
    };
    let detail = &failure.detail;
    match failure.kind {
        FailureKind::NoSuchHost => VaultError {
            diagnosis: Diagnosis::of(
                Code::VaultNotFound,
                format!("Reading {object} failed: DNS knows no host {host}."),
                &[("vault", host.split('.').next().unwrap_or_default())],
            ),
            retry: Retry::Slowly,
        },
        FailureKind::Tls => VaultError {
            diagnosis: Diagnosis::case(
                case::VaultNotTrusted { error: detail },
                format!("Reading {object} failed: no trusted connection to {host}."),
            ),
            retry: Retry::Slowly,
        },
        FailureKind::TooLarge | FailureKind::Invalid | FailureKind::NotEncrypted | FailureKind::NotOutward => {
            invalid(object, detail)
        }
        FailureKind::Connect | FailureKind::Timeout | FailureKind::Broken => unavailable(
            object,
            case::VaultNotReached {
                host: &host,
                error: detail,
            },
        ),
    }
}

pub(super) fn too_slow(object: &str, deadline: Duration) -> VaultError {
    let deadline = &format_args!("{deadline:?}");
    unavailable(object, case::VaultTooSlow { deadline })
}

/// Nobody waits for the answer any more; nobody but a latecomer gets to see this.
pub(super) fn unwanted(object: &str) -> VaultError {
    unavailable(object, case::NobodyWaits)
}

fn unavailable(object: &str, why: impl Into<Explanation>) -> VaultError {
    VaultError {
        diagnosis: Diagnosis::case(why, format!("Reading {object} failed: the vault does not answer.")),
        retry: Retry::Soon,
    }
}

/// The answer is no answer of Key Vault; `part` says what is wrong with it.
pub(super) fn invalid(object: &str, part: &str) -> VaultError {
    VaultError {
        diagnosis: Diagnosis::case(
            case::AnswerMalformed { flaw: &part },
            format!("Reading {object} failed: the answer is not one of a vault."),
        ),
        retry: Retry::Soon,
    }
}

pub(super) fn not_a_vault(object: &str) -> VaultError {
    invalid(object, "it did not ask for a token")
}

/// The vault is left alone after a 429.
pub(super) fn left_alone(object: &str, pause: Duration) -> VaultError {
    VaultError {
        diagnosis: throttled(object),
        retry: Retry::After(pause),
    }
}

/// A page of a LIST names a next page somewhere else.
pub(super) fn foreign_host(object: &str, url: &Url) -> VaultError {
    let host = url.host_str().unwrap_or_default();
    VaultError {
        diagnosis: Diagnosis::case(
            case::NextPageElsewhere { host: &host },
            format!("Reading {object} failed: the answer points to another host, and no token was sent there."),
        ),
        retry: Retry::Slowly,
    }
}

/// The certificate's policy keeps its key in the vault.
pub(super) fn not_exportable(object: &str) -> VaultError {
    VaultError {
        diagnosis: Diagnosis::case(
            Code::NotExportable,
            format!("The private key of {object} cannot be read."),
        ),
        retry: Retry::Slowly,
    }
}

/// What Microsoft's client reported, in our terms. Messages about JSON are left out: they may quote the value.
pub(super) fn of_client(error: &azure_core::Error, object: &str) -> VaultError {
    match (find::<VaultError>(error), error.kind()) {
        (Some(known), _) => known.clone(),
        (None, ErrorKind::Other) => invalid(object, &tidy(&error.to_string())),
        (None, _) => invalid(object, "its JSON cannot be read"),
    }
}

pub(super) fn broken(object: &str) -> VaultError {
    unavailable(object, case::ReadLost)
}
