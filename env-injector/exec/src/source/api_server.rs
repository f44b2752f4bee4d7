//! AKVS from the API server, with the pod's own ServiceAccount: only for containers that no webhook prepared.

use std::path::Path;

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, Retry, case};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{HttpClient, Limits, Response};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::direct::{Spec, not_found};
use crate::failure::Failure;
use crate::settings::misconfigured;
use crate::variables::{KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT};

/// The API server, as a pod finds it.
pub(super) struct ApiServer {
    address: Option<String>,
    folder: String,
    namespace: Option<String>,
    http: OnceCell<HttpClient>,
}

#[derive(Deserialize)]
struct Akvs {
    spec: Spec,
}

impl ApiServer {
    /// `folder` holds token, authority and namespace. Nothing is read yet: with direct references alone no API server is needed.
    pub(super) fn new(environment: &Environment, folder: &str, namespace: Option<String>) -> Self {
        let (host, port) = (
            environment.get(KUBERNETES_SERVICE_HOST),
            environment.get(KUBERNETES_SERVICE_PORT),
        );
        let address = host.map(|host| {
            let host = if host.contains(':') {
                format!("[{host}]")
            } else {
                host.to_owned()
            };
            format!("https://{host}:{}", port.unwrap_or("443"))
        });
        Self {
            address,
            folder: folder.to_owned(),
            namespace,
            http: OnceCell::new(),
        }
    }

    /// The `spec` of an AKVS in the pod's namespace.
    pub(super) async fn spec(&self, name: &str) -> Result<Spec, Failure> {
        let http = self.http.get_or_try_init(async || self.client()).await?;
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => String::from_utf8_lossy(&self.file("namespace")?).trim().to_owned(),
        };
        let address = self.address.as_deref().unwrap_or_default();
        let path = format!("{address}/apis/spv.no/v2beta1/namespaces/{namespace}/azurekeyvaultsecrets/{name}");
        let bearer = Zeroizing::new([b"Bearer ", self.file("token")?.trim_ascii()].concat());
        let mut token = HeaderValue::from_bytes(&bearer)
            .map_err(|_| misconfigured("The ServiceAccount's token is not one line of text."))?;
        token.set_sensitive(true);
        let request = Request::get(path)
            .header(AUTHORIZATION, token)
            .body(Full::new(Bytes::new()))
            .map_err(|_| {
                misconfigured("The namespace or KUBERNETES_SERVICE_HOST has characters that cannot be in an address.")
            })?;
        let answer = http
            .send(request)
            .await
            .map_err(|failure| unavailable(case::ApiServerHidden { error: &failure.detail }))?;
        read(&answer, name, &namespace)
    }

    fn client(&self) -> Result<HttpClient, Failure> {
        if self.address.is_none() {
            return Err(misconfigured(
                "KUBERNETES_SERVICE_HOST is not set: this is not a pod, and AzureKeyVaultSecrets cannot be read.",
            ));
        }
        HttpClient::inside_the_cluster(&self.file("ca.crt")?, Limits::default())
            .map_err(|_| misconfigured(format!("{}/ca.crt holds no certificate.", self.folder)))
    }

    fn file(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let path = Path::new(&self.folder).join(name);
        std::fs::read(&path).map(Zeroizing::new).map_err(|error| {
            let what = format!("{} cannot be read: {error}.", path.display());
            Failure::of(Diagnosis::case(case::OwnTokenNotMounted, what))
        })
    }
}

fn read(answer: &Response, name: &str, namespace: &str) -> Result<Spec, Failure> {
    match answer.status {
        StatusCode::OK => serde_json::from_slice::<Akvs>(&answer.body)
            .map(|akvs| akvs.spec)
            .map_err(|error| {
                // The spec holds nothing secret.
                let what = format!("The AzureKeyVaultSecret '{name}' cannot be read.");
                Failure::of(Diagnosis::case(case::SpecUnreadable { error: &error }, what))
            }),
        StatusCode::NOT_FOUND => Err(not_found(name, case::AkvsNotKnown)),
        StatusCode::UNAUTHORIZED => Err(forbidden(name, namespace)),
        // The Role may come a moment after the pod, as the AKVS may.
        StatusCode::FORBIDDEN => Err(forbidden(name, namespace).with(Retry::Soon)),
        status => Err(unavailable(case::ApiServerStatus {
            status: &status.as_u16(),
        })),
    }
}

fn forbidden(name: &str, namespace: &str) -> Failure {
    Failure::of(Diagnosis::case(
        case::PodMayNotReadAkvs { namespace: &namespace },
        format!("The pod's ServiceAccount may not read the AzureKeyVaultSecret '{name}'."),
    ))
}

fn unavailable(why: impl Into<Explanation>) -> Failure {
    Failure::passing(Diagnosis::case(
        why,
        "AzureKeyVaultSecrets cannot be read from the API server.",
    ))
}
