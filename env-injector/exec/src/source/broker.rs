//! The broker: one request for all values, with the pod's own token. Protocol: [`wire`].

use std::collections::BTreeMap;
use std::time::Duration;

use akv2k8s_shared::diagnosis::{Code, Diagnosis, case};
use akv2k8s_shared::http::{Failure as HttpFailure, FailureKind, HttpClient, Limits, Response};
use akv2k8s_shared::injection::reference::Reference;
use akv2k8s_shared::injection::{names, wire};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, StatusCode};
use zeroize::Zeroizing;

use super::Values;
use crate::failure::Failure;
use crate::settings::{Broker, misconfigured};

/// More than any environment the kernel takes, in base64.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;
/// Longest `Retry-After` that is believed.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The broker.
pub(crate) struct BrokerSource {
    settings: Broker,
    http: HttpClient,
}

impl BrokerSource {
    /// Nothing is sent yet. Proxies are not used, whatever the environment says: the broker is in the cluster.
    pub(crate) fn new(settings: Broker) -> Result<Self, Failure> {
        let limits = Limits {
            body: LARGEST_ANSWER,
            ..Limits::default()
        };
        let http = HttpClient::inside_the_cluster(settings.authorities.as_bytes(), limits)
            .map_err(|_| misconfigured(format!("{} holds no certificate.", names::AUTH_SERVICE_CA)))?;
        Ok(Self { settings, http })
    }

    /// All values, or why not.
    pub(crate) async fn values(&self, references: &BTreeMap<&str, &Reference>) -> Result<Values, Failure> {
        if let Some((text, _)) = references.iter().find(|(_, it)| matches!(it, Reference::Direct { .. })) {
            return Err(direct_reference(text));
        }
        let answer = self
            .http
            .send(self.request(references)?)
            .await
            .map_err(|failure| self.no_answer(&failure))?;
        if answer.status != StatusCode::OK {
            return Err(refusal(&answer));
        }
        let wire::Values(values) = wire::Values::from_json(&answer.body).map_err(unreadable)?;
        match references.keys().find(|asked| !values.contains_key(**asked)) {
            Some(missing) => Err(unreadable("a value is missing").about(missing)),
            None => Ok(values),
        }
    }

    fn request(&self, references: &BTreeMap<&str, &Reference>) -> Result<Request<Full<Bytes>>, Failure> {
        let ask = wire::Ask {
            references: references.keys().map(|&text| text.to_owned()).collect(),
        };
        let body = serde_json::to_vec(&ask).expect("a list of texts has a JSON form");
        if ask.references.len() > wire::MAX_REFERENCES || body.len() > wire::MAX_REQUEST {
            let what = format!(
                "The broker takes {} references at most, and {} bytes.",
                wire::MAX_REFERENCES,
                wire::MAX_REQUEST
            );
            return Err(Failure::of(Diagnosis::case(case::MoreThanBrokerTakes, what)));
        }
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}{}", self.settings.address, wire::PATH))
            .header(CONTENT_TYPE, "application/json")
            .header(AUTHORIZATION, self.authorization()?)
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| misconfigured(format!("{} is not an address.", names::AUTH_SERVICE)))
    }

    /// Read anew each time: the kubelet renews the file.
    fn authorization(&self) -> Result<HeaderValue, Failure> {
        let path = self.settings.token_file.display();
        let token = std::fs::read(&self.settings.token_file)
            .map(Zeroizing::new)
            .map_err(|error| misconfigured(format!("The token for the broker, {path}, cannot be read: {error}.")))?;
        let bearer = Zeroizing::new([b"Bearer ", token.trim_ascii()].concat());
        let mut value = HeaderValue::from_bytes(&bearer)
            .map_err(|_| misconfigured(format!("The token for the broker, {path}, is not one line of text.")))?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn no_answer(&self, failure: &HttpFailure) -> Failure {
        let address = &self.settings.address;
        if failure.kind == FailureKind::Tls {
            let what = format!("The certificate of {address} is not trusted: {}.", failure.detail);
            return Failure::of(Diagnosis::of(Code::BrokerNotTrusted, what, &[]));
        }
        unavailable(format!("{address} does not answer: {}.", failure.detail))
    }
}

fn refusal(answer: &Response) -> Failure {
    let pause = answer
        .headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let pause = pause.map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE));
    match serde_json::from_slice(&answer.body) {
        Ok(refusal) => Failure::refused(refusal, pause),
        // Something in between: a mesh's sidecar that is not ready, a load balancer.
        Err(_) => unavailable(format!(
            "Something answers in the broker's place, with status {}.",
            answer.status.as_u16()
        )),
    }
}

fn unreadable(what: &str) -> Failure {
    unavailable(format!("The broker's answer cannot be used: {what}."))
}

fn unavailable(what: String) -> Failure {
    Failure::passing(Diagnosis::of(Code::BrokerUnavailable, what, &[]))
}

fn direct_reference(text: &str) -> Failure {
    let diagnosis = Diagnosis::case(case::DirectFromBroker, "A reference to a vault cannot be used here.");
    Failure::of(diagnosis).about(text)
}
