//! AKS identity binding: tokens by way of a proxy in the cluster.
//!
//! What is known of the real one: its address, name and authority come by variables, it is asked as Entra would be, and its
//! ServiceAccount tokens have an audience of their own. The one here checks that, and vouches for the caller to Entra.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::http::HttpClient;
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_testbed::emulator::Role;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use url::form_urlencoded;

use crate::bed::{Bed, assert_code};

const SERVER_NAME: &str = "sni.ests.aks";

/// One request at the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    server_name: Option<String>,
    path: String,
    assertion: String,
}

struct Proxy {
    url: String,
    ca_pem: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the proxy needs to vouch for whoever asks.
struct Backend {
    http: HttpClient,
    entra: String,
    secret: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    async fn exchange(&self, server_name: Option<String>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let mut form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        let assertion = form
            .iter()
            .find(|(name, _)| name == "client_assertion")
            .unwrap()
            .1
            .clone();
        self.seen.lock().unwrap().push(Seen {
            server_name,
            path: path.clone(),
            assertion,
        });
        form.retain(|(name, _)| !name.starts_with("client_assertion"));
        form.push(("client_secret".to_owned(), self.secret.clone()));
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        // `/base` is the proxy's own.
        let url = format!(
            "{}{}",
            self.entra.trim_end_matches('/'),
            path.strip_prefix("/base").unwrap()
        );
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        let answer = self.http.send(request).await.unwrap();
        Response::builder()
            .status(answer.status)
            .body(Full::new(answer.body))
            .unwrap()
    }
}

async fn proxy(bed: &Bed, secret: &str) -> Proxy {
    let (ca_pem, tls) = certificate();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/base", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let backend = Arc::new(Backend {
        http: bed.http.clone(),
        entra: bed.emulator.authority_host(),
        secret: secret.to_owned(),
        seen: seen.clone(),
    });
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let task = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, backend) = (acceptor.clone(), backend.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                let service = service_fn(move |request| {
                    let (backend, name) = (backend.clone(), name.clone());
                    async move { Ok::<_, Infallible>(backend.exchange(name, request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Proxy {
        url,
        ca_pem,
        seen,
        task: task.abort_handle(),
    }
}

/// An authority, and a server with a certificate of it for [`SERVER_NAME`].
fn certificate() -> (String, ServerConfig) {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_key = KeyPair::generate().unwrap();
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![SERVER_NAME.to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .unwrap();
    (ca_pem, config)
}

/// A ServiceAccount token as the webhook projects it for identity binding; only the proxy could verify it.
fn service_account_token(bed: &Bed) -> String {
    let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
    let now = bed.emulator.clock().now();
    let claims = format!(
        r#"{{"iss":"https://oidc.example/c","sub":"system:serviceaccount:ns:sa","aud":["api://AKSIdentityBinding"],"iat":{now},"exp":{}}}"#,
        now + 3600
    );
    format!(
        "{}.{}.{}",
        part(r#"{"alg":"RS256","kid":"k"}"#),
        part(&claims),
        part("signature")
    )
}

#[tokio::test]
async fn a_service_account_token_is_exchanged_at_the_proxy_by_its_own_name_and_authority() {
    let bed = Bed::start().await;
    let app = bed.emulator.entra().register_app();
    bed.vault.grant(app.principal(), Role::SecretsUser);
    let (tenant, assertion) = (bed.emulator.entra().tenant_id().to_owned(), service_account_token(&bed));
    let (token_file, ca_file) = (bed.path("token"), bed.path("proxy-ca.pem"));
    std::fs::write(&token_file, &assertion).unwrap();
    let proxy = proxy(&bed, &app.add_secret()).await;
    let own = [
        ("AZURE_CLIENT_ID", app.client_id()),
        ("AZURE_TENANT_ID", &tenant),
        ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
        ("AZURE_KUBERNETES_TOKEN_PROXY", &proxy.url),
        ("AZURE_KUBERNETES_SNI_NAME", SERVER_NAME),
    ];
    let by_file = [("AZURE_KUBERNETES_CA_FILE", ca_file.as_str())];
    let by_data = [("AZURE_KUBERNETES_CA_DATA", proxy.ca_pem.as_str())];

    // Its authority is not there yet: named, and it heals when the file appears.
    let waiting = bed.identity(&[&own[..], &by_file].concat()).await;
    let error = bed.failure(&waiting).await;
    assert!(error.diagnosis.cause.contains(&ca_file), "{error}");
    std::fs::write(&ca_file, &proxy.ca_pem).unwrap();
    bed.heals(&waiting).await;

    // Another HTTP client shares no token: the other way to name the authority is really used.
    let other = crate::bed::client(&[("SSL_CERT_FILE", &bed.path("ca.pem"))]);
    let cloud = bed.path("cloud.json");
    let described = [("AZURE_ENVIRONMENT_FILEPATH", cloud.as_str())];
    let environment = [&own[..], &by_data, &described].concat().into_iter().collect();
    let provider = Provider::new(
        environment,
        AuthType::WorkloadIdentity,
        bed.path("azure.json").into(),
        other,
    );
    let identity = provider.identity().await.unwrap();
    assert_eq!(bed.read(&identity).await.ok().as_deref(), Some("v"));

    let expected = Seen {
        server_name: Some(SERVER_NAME.to_owned()),
        path: format!("/base/{tenant}/oauth2/v2.0/token"),
        assertion,
    };
    assert_eq!(*proxy.seen.lock().unwrap(), [expected.clone(), expected]);
}

#[tokio::test]
async fn a_proxy_of_another_authority_gets_nothing() {
    let bed = Bed::start().await;
    let app = bed.emulator.entra().register_app();
    let (tenant, token_file) = (bed.emulator.entra().tenant_id().to_owned(), bed.path("token"));
    std::fs::write(&token_file, service_account_token(&bed)).unwrap();
    let proxy = proxy(&bed, "unused").await;
    let (other_ca, _) = certificate();
    let identity = bed
        .identity(&[
            ("AZURE_CLIENT_ID", app.client_id()),
            ("AZURE_TENANT_ID", &tenant),
            ("AZURE_FEDERATED_TOKEN_FILE", &token_file),
            ("AZURE_KUBERNETES_TOKEN_PROXY", &proxy.url),
            ("AZURE_KUBERNETES_SNI_NAME", SERVER_NAME),
            ("AZURE_KUBERNETES_CA_DATA", &other_ca),
        ])
        .await;
    let error = bed.failure(&identity).await;
    assert_code(&error, Code::TokenRequestFailed);
    assert!(
        error.diagnosis.what.contains("127.0.0.1"),
        "it names the proxy: {error}"
    );
    assert!(proxy.seen.lock().unwrap().is_empty());
}
