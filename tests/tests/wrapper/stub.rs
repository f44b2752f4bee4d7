//! A broker that says what a test tells it to, over real TLS.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use akv2k8s_shared::injection::{names, wire};
use akv2k8s_shared::secret::SecretBytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// What the broker says.
pub(crate) enum Says {
    /// These values, reference → value.
    Values(Vec<(&'static str, Vec<u8>)>),
    /// A status, with a body and `Retry-After`.
    Status(u16, String, Option<u32>),
    /// A status with a body, and the end of the connection.
    LastStatus(u16, String),
    /// Nothing, for ever.
    Nothing,
}

/// What it was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) authorization: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

#[derive(Default)]
struct State {
    says: Mutex<VecDeque<Says>>,
    asked: Mutex<Vec<Asked>>,
}

/// A broker; dropping it ends it.
pub(crate) struct Stub {
    state: Arc<State>,
    address: String,
    authority: String,
    folder: TempDir,
    task: AbortHandle,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stub {
    /// Says these one after the other, the last one again and again.
    pub(crate) async fn start(says: impl IntoIterator<Item = Says>) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned(), "0.0.0.0".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let state = Arc::new(State {
            says: Mutex::new(says.into_iter().collect()),
            ..State::default()
        });
        let task = tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), state.clone())).abort_handle();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("token"), "the-token\n").unwrap();
        Self {
            state,
            address,
            authority: certificate.pem(),
            folder,
            task,
        }
    }

    /// What the webhook would put into a container's environment, and `more`.
    pub(crate) fn variables(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let token = self.folder.path().join("token");
        let own = [
            (names::AUTH_SERVICE, self.address.as_str()),
            (names::AUTH_SERVICE_CA, &self.authority),
            (names::USE_AUTH_SERVICE, "true"),
            (names::AUTH_SERVICE_TOKEN_FILE, token.to_str().unwrap()),
            ("PATH", "/usr/bin:/bin"),
        ];
        let all = own.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// `https://localhost:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        // As servers do: else the kernel keeps the end of an answer back for 40 ms.
        let _ = stream.set_nodelay(true);
        let (tls, state) = (tls.clone(), state.clone());
        tokio::spawn(async move {
            // A client that does not trust the certificate goes away here.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(|request| answer(request, &state));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>, state: &State) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let header = head.headers.get("authorization").and_then(|it| it.to_str().ok());
    let asked = Asked {
        authorization: header.unwrap_or_default().to_owned(),
        path: format!("{} {}", head.method, head.uri.path()),
        body: String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned(),
    };
    state.asked.lock().unwrap().push(asked);
    let (status, body, retry_after, is_last) = {
        let mut says = state.says.lock().unwrap();
        let next = if says.len() > 1 { says.pop_front() } else { None };
        match next.as_ref().or(says.front()) {
            Some(Says::Values(values)) => (200, values_json(values), None, false),
            Some(Says::Status(status, body, retry)) => (*status, Bytes::from(body.clone()), *retry, false),
            Some(Says::LastStatus(status, body)) => (*status, Bytes::from(body.clone()), None, true),
            Some(Says::Nothing) | None => (0, Bytes::new(), None, false),
        }
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    if is_last {
        response
            .headers_mut()
            .insert("connection", HeaderValue::from_static("close"));
    }
    Ok(response)
}

fn values_json(values: &[(&'static str, Vec<u8>)]) -> Bytes {
    let pairs = values
        .iter()
        .map(|(reference, value)| ((*reference).to_owned(), SecretBytes::new(value.clone())));
    Bytes::copy_from_slice(wire::Values(pairs.collect()).to_json().expose())
}

/// A refusal as the broker writes it.
pub(crate) fn refusal(status: u16, code: &str, reference: Option<&str>, retry: bool) -> Says {
    let refusal = wire::Refusal {
        code: code.to_owned(),
        reference: reference.map(str::to_owned),
        message: "It is so.".to_owned(),
        fix: "Do this.".to_owned(),
        retry,
    };
    Says::Status(status, serde_json::to_string(&refusal).unwrap(), None)
}

/// Borrowed, as commands take them.
pub(crate) fn borrowed(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}
