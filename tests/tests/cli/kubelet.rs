//! A kubelet that knows one log, for the API server to ask.

use std::sync::Arc;

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::stack::own_address;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// The node.
pub(crate) const NODE: &str = "node-0";

/// The kubelet; dropping it ends it.
pub(crate) struct Kubelet(AbortHandle);

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Kubelet {
    /// Registers the node; its kubelet answers every request with `log`.
    pub(crate) async fn start(cluster: &ControlPlane, log: &str) -> anyhow::Result<Self> {
        let address = own_address()?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([address.clone()])?.self_signed(&key)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind(format!("{address}:0")).await?;
        let port = listener.local_addr()?.port();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        cluster.kubectl_apply(&node.to_string()).await?;
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }});
        let status = status.to_string();
        let patch = ["patch", "node", NODE, "--subresource=status", "--patch", &status];
        cluster.kubectl(&patch).await?.success()?;
        let log = log.to_owned();
        let serve = async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, log) = (acceptor.clone(), log.clone());
                // A connection that fails is the asker's to notice.
                tokio::spawn(async move { answer(&acceptor, connection, &log).await.ok() });
            }
        };
        Ok(Self(tokio::spawn(serve).abort_handle()))
    }
}

async fn answer(acceptor: &TlsAcceptor, connection: TcpStream, log: &str) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(connection).await?);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        log.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(log.as_bytes()).await?;
    stream.shutdown().await
}
