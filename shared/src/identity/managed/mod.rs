//! The managed identity of a node or an application, from the platform's own token endpoint.
//!
//! Wire format and error handling:
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>.

mod answer;
mod source;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, StatusCode};
use sha2::Digest;
use source::{Form, Source};
use tokio::time::Instant;
use url::Url;

use super::Cloud;
use super::token::{Token, TokenError};
use crate::diagnosis::{Code, Diagnosis, ImdsRefusal, Retry, case};
use crate::environment::Environment;
use crate::http::{self, Failure, FailureKind, HttpClient, Response};

/// Off Azure nothing answers at the address, not even with a refusal: do not wait long for it.
const PROBE: Duration = Duration::from_secs(2);

/// A platform that was told of an identity a moment ago knows it within a minute (scale sets) or two (aad-pod-identity):
/// for so long "no such identity" is expected to pass.
const ASSIGNMENT: Duration = Duration::from_mins(2);

/// What the endpoint asks for after a failure of its own: at least a second.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest `Retry-After` that is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Which of the platform's identities is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) enum UserAssigned {
    /// The system-assigned one, or the only one.
    #[default]
    None,
    /// The one with this client (application) id.
    ClientId(String),
    /// The one with this object (principal) id.
    ObjectId(String),
    /// The one with this Azure resource id: `/subscriptions/…/userAssignedIdentities/NAME`.
    ResourceId(String),
}

impl UserAssigned {
    fn id(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::ClientId(id) | Self::ObjectId(id) | Self::ResourceId(id) => Some(id),
        }
    }
}

/// A managed identity, and the endpoint that gives tokens for it.
pub(super) struct ManagedIdentity {
    source: Source,
    selector: UserAssigned,
    /// Whether the endpoint ever answered.
    seen: AtomicBool,
    /// Since when it says that there is no such identity.
    missing: Mutex<Option<Instant>>,
}

impl ManagedIdentity {
    /// The identity that `selector` names, at the endpoint that the platform's variables name: `IDENTITY_ENDPOINT` and
    /// `IDENTITY_HEADER` (App Service), `MSI_ENDPOINT` and `MSI_SECRET` (App Service before 2019), else the instance
    /// metadata service of `cloud`.
    ///
    /// Fails when half a set is there, and where the platform's form is not supported: Azure Arc, Service Fabric, Cloud
    /// Shell. Nothing is sent yet.
    pub(super) fn from_environment(
        environment: &Environment,
        cloud: &Cloud,
        selector: UserAssigned,
    ) -> Result<Self, Box<Diagnosis>> {
        let source = Source::from_environment(environment, cloud)?;
        if source.form == Form::OldAppService
            && matches!(selector, UserAssigned::ObjectId(_) | UserAssigned::ResourceId(_))
        {
            let what = "This platform's token endpoint knows identities by client id only.";
            return Err(Box::new(Diagnosis::case(case::ClientIdOnly, what)));
        }
        Ok(Self::new(source, selector))
    }

    fn new(source: Source, selector: UserAssigned) -> Self {
        Self {
            source,
            selector,
            seen: AtomicBool::new(false),
            missing: Mutex::default(),
        }
    }

    /// Adds what tells it from other managed identities: where it is asked for, and by which name.
    pub(super) fn mark(&self, digest: &mut sha2::Sha256) {
        digest.update(format!(
            "{:?} {} {:?}",
            self.source.form, self.source.endpoint, self.selector
        ));
    }

    /// One token request; the error says when the next one makes sense.
    pub(super) async fn token(&self, http: &HttpClient, audience: &str) -> Result<Token, TokenError> {
        self.probe(http).await?;
        let answer = http
            .send(self.request(audience)?)
            .await
            .map_err(|failure| self.silent(&failure))?;
        self.seen.store(true, Ordering::Relaxed);
        if answer.status != StatusCode::OK {
            return Err(self.refused(&answer));
        }
        self.forget_missing();
        answer::parse(&answer.body, jiff::Timestamp::now()).ok_or_else(|| self.intercepted())
    }

    /// Finds out, once, whether anything is there. A request without the header `Metadata` is refused at once wherever the
    /// service is; a token may take it many seconds.
    async fn probe(&self, http: &HttpClient) -> Result<(), TokenError> {
        if self.source.form != Form::Imds || self.seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request = Request::get(self.source.endpoint.as_str())
            .body(Full::new(Bytes::new()))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        match tokio::time::timeout(PROBE, http.send(request)).await {
            Ok(Ok(_)) => {
                self.seen.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(Err(failure)) => Err(self.unreachable(&failure.detail)),
            Err(_) => Err(self.unreachable(&format!("no answer within {PROBE:?}"))),
        }
    }

    fn request(&self, audience: &str) -> Result<Request<Full<Bytes>>, TokenError> {
        let mut request = Request::get(self.url(audience).as_str())
            .body(Full::new(Bytes::new()))
            .map_err(|error| self.unreachable(&error.to_string()))?;
        let headers = request.headers_mut();
        match (self.source.form, &self.source.proof) {
            (Form::Imds, _) | (_, None) => {
                headers.insert("metadata", HeaderValue::from_static("true"));
            }
            (form, Some(proof)) => {
                let mut value = HeaderValue::from_bytes(proof.expose())
                    .map_err(|_| self.unreachable("the proof of locality is no header value"))?;
                value.set_sensitive(true);
                let name = if form == Form::AppService {
                    "x-identity-header"
                } else {
                    "secret"
                };
                headers.insert(name, value);
            }
        }
        Ok(request)
    }

    fn url(&self, audience: &str) -> Url {
        let mut url = self.source.endpoint.clone();
        let (version, client, object, resource) = match self.source.form {
            Form::Imds => ("2018-02-01", "client_id", "object_id", "msi_res_id"),
            Form::AppService => ("2019-08-01", "client_id", "principal_id", "mi_res_id"),
            Form::OldAppService => ("2017-09-01", "clientid", "principal_id", "mi_res_id"),
        };
        let mut query = url.query_pairs_mut();
        query
            .append_pair("api-version", version)
            .append_pair("resource", audience);
        match &self.selector {
            UserAssigned::None => &mut query,
            UserAssigned::ClientId(id) => query.append_pair(client, id),
            UserAssigned::ObjectId(id) => query.append_pair(object, id),
            UserAssigned::ResourceId(id) => query.append_pair(resource, id),
        };
        drop(query);
        url
    }

    fn refused(&self, answer: &Response) -> TokenError {
        let status = answer.status.as_u16();
        let refusal = ImdsRefusal {
            status,
            body: &answer.body,
            client_id: self.selector.id(),
        };
        let diagnosis = refusal.recognise();
        let retry = match diagnosis.code {
            Code::ImdsIdentityNotAssigned | Code::PodIdentityNotReady => self.missing(),
            _ if retried(status) => Retry::After(retry_after(&answer.headers).unwrap_or(PAUSE)),
            _ => Retry::Slowly,
        };
        TokenError { diagnosis, retry }
    }

    /// An identity that is not there yet may be on its way: for a while that is asked again soon.
    fn missing(&self) -> Retry {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *missing.get_or_insert_with(Instant::now);
        if since.elapsed() < ASSIGNMENT {
            Retry::After(PAUSE)
        } else {
            Retry::Slowly
        }
    }

    fn forget_missing(&self) {
        *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// No answer to this request; where there is not even a connection, nothing is there.
    fn silent(&self, failure: &Failure) -> TokenError {
        if matches!(failure.kind, FailureKind::Connect | FailureKind::NoSuchHost) {
            return self.unreachable(&failure.detail);
        }
        TokenError {
            diagnosis: Diagnosis::case(
                case::ImdsTooSlow { error: &failure.detail },
                format!(
                    "The managed identity endpoint at {} did not answer.",
                    self.source.endpoint
                ),
            ),
            retry: Retry::After(PAUSE),
        }
    }

    fn unreachable(&self, detail: &str) -> TokenError {
        TokenError {
            diagnosis: Diagnosis::case(
                case::ImdsNotConnected { error: &detail },
                format!(
                    "No instance metadata service answers at {}.",
                    self.source.endpoint.origin().ascii_serialization()
                ),
            ),
            retry: Retry::Soon,
        }
    }

    fn intercepted(&self) -> TokenError {
        TokenError {
            diagnosis: Diagnosis::case(
                case::ImdsIntercepted {
                    host: &self.source.endpoint.host_str().unwrap_or_default(),
                },
                "What answers as the managed identity endpoint is not it.",
            ),
            retry: Retry::Soon,
        }
    }
}

/// Answers that pass by themselves: the service is being updated, has too much to do, or fails.
fn retried(status: u16) -> bool {
    matches!(status, 404 | 408 | 410 | 429 | 500..=599)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    http::retry_after(value, LONGEST_PAUSE).map(|wait| wait.max(PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDPOINT: (&str, &str) = ("IDENTITY_ENDPOINT", "http://127.0.0.1:41/msi/token");
    const HEADER: (&str, &str) = ("IDENTITY_HEADER", "proof");
    const OLD_ENDPOINT: (&str, &str) = ("MSI_ENDPOINT", "http://127.0.0.1:42/MSI/token/");
    const OLD_SECRET: (&str, &str) = ("MSI_SECRET", "proof");

    fn identity(variables: &[(&str, &str)], selector: UserAssigned) -> ManagedIdentity {
        let cloud = Cloud::named("AzurePublicCloud").unwrap();
        let environment = variables.iter().copied().collect();
        ManagedIdentity::from_environment(&environment, &cloud, selector)
            .ok()
            .unwrap()
    }

    #[test]
    fn each_form_names_the_identity_in_its_own_words() {
        let client = || UserAssigned::ClientId("c-1".to_owned());
        let object = || UserAssigned::ObjectId("o-1".to_owned());
        let resource = || UserAssigned::ResourceId("/r/1".to_owned());
        let imds =
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fv";
        let app = "http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fv";
        let old = "http://127.0.0.1:42/MSI/token/?api-version=2017-09-01&resource=https%3A%2F%2Fv";
        for (variables, selector, expected) in [
            (&[][..], UserAssigned::None, imds.to_owned()),
            (&[], client(), format!("{imds}&client_id=c-1")),
            (&[], object(), format!("{imds}&object_id=o-1")),
            (&[], resource(), format!("{imds}&msi_res_id=%2Fr%2F1")),
            (&[ENDPOINT, HEADER], UserAssigned::None, app.to_owned()),
            (&[ENDPOINT, HEADER], client(), format!("{app}&client_id=c-1")),
            (&[ENDPOINT, HEADER], object(), format!("{app}&principal_id=o-1")),
            (&[ENDPOINT, HEADER], resource(), format!("{app}&mi_res_id=%2Fr%2F1")),
            (&[OLD_ENDPOINT, OLD_SECRET], client(), format!("{old}&clientid=c-1")),
        ] {
            assert_eq!(identity(variables, selector).url("https://v").as_str(), expected);
        }
    }

    #[test]
    fn each_form_proves_locality_in_its_own_way() {
        for (variables, name, value) in [
            (&[][..], "metadata", "true"),
            (&[ENDPOINT, HEADER], "x-identity-header", "proof"),
            (&[OLD_ENDPOINT, OLD_SECRET], "secret", "proof"),
        ] {
            let request = identity(variables, UserAssigned::None).request("https://v").unwrap();
            assert_eq!(request.headers()[name], value);
            assert!(!format!("{:?}", request.headers()).contains("proof"));
        }
    }

    #[test]
    fn the_old_form_knows_client_ids_only() {
        let cloud = Cloud::named("AzurePublicCloud").unwrap();
        let environment = [OLD_ENDPOINT, OLD_SECRET].into_iter().collect();
        for selector in [
            UserAssigned::ObjectId("o".to_owned()),
            UserAssigned::ResourceId("r".to_owned()),
        ] {
            assert!(ManagedIdentity::from_environment(&environment, &cloud, selector).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_identity_on_its_way_is_asked_for_again_soon_for_two_minutes() {
        let identity = identity(&[], UserAssigned::None);
        assert_eq!(identity.missing(), Retry::After(PAUSE));
        tokio::time::advance(Duration::from_secs(119)).await;
        assert_eq!(identity.missing(), Retry::After(PAUSE));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(identity.missing(), Retry::Slowly);
        identity.forget_missing();
        assert_eq!(identity.missing(), Retry::After(PAUSE));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_within_reason() {
        let wait = |value: &'static str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]);
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("0"), Some(PAUSE));
        assert_eq!(wait("86400"), Some(LONGEST_PAUSE));
        assert_eq!(wait("soon"), None);
    }
}
