//! Names → addresses, without the C library: the same in a static binary and in an empty image.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hyper_util::client::legacy::connect::dns::Name;
use thiserror::Error;
use tower::Service;

use super::reach::{NotOutward, Reach};

/// DNS answered that there is no such name.
#[derive(Debug, Error)]
#[error("no such host: {0}")]
pub(super) struct NoSuchHost(String);

/// Resolves names by `/etc/hosts` and the name servers of `/etc/resolv.conf`.
#[derive(Clone)]
pub(super) struct Resolver {
    dns: Option<Arc<TokioResolver>>,
    reach: Reach,
}

impl Resolver {
    /// Reads the system's files; without a usable `resolv.conf` only `/etc/hosts` and loopback names resolve.
    pub(super) fn from_system() -> Self {
        let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no usable resolver configuration: only names of the hosts file resolve");
            TokioResolver::builder_with_config(ResolverConfig::default(), TokioRuntimeProvider::default())
        });
        let mut builder = builder;
        builder.options_mut().use_hosts_file = ResolveHosts::Always;
        // A vault that was created a moment ago must not stay unknown for as long as its zone says.
        builder.options_mut().negative_max_ttl = Some(std::time::Duration::from_secs(30));
        let dns = builder
            .build()
            .inspect_err(|error| tracing::warn!(%error, "no resolver"))
            .ok()
            .map(Arc::new);
        Self {
            dns,
            reach: Reach::Anywhere,
        }
    }

    /// The same, for a client that goes so far.
    pub(super) fn reaching(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// The addresses of a name that may be connected to: at least one.
    async fn resolve(self, name: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        let reach = self.reach;
        let (allowed, forbidden): (Vec<_>, Vec<_>) = self.lookup(name).await?.partition(|it| reach.allows(it.ip()));
        match forbidden.first() {
            Some(forbidden) if allowed.is_empty() => Err(io::Error::other(NotOutward(forbidden.ip()))),
            _ => Ok(allowed.into_iter()),
        }
    }

    async fn lookup(self, name: String) -> io::Result<std::vec::IntoIter<SocketAddr>> {
        if is_loopback(&name) {
            return Ok(sockets([
                IpAddr::from(Ipv4Addr::LOCALHOST),
                IpAddr::from(Ipv6Addr::LOCALHOST),
            ]));
        }
        let dns = self
            .dns
            .ok_or_else(|| io::Error::other("there is no DNS resolver: check /etc/resolv.conf"))?;
        let absolute = format!("{}.", name.trim_end_matches('.'));
        // Dotted names are meant as they are: asking for the absolute name first saves the search list's queries
        // (eight of ten with Kubernetes' `ndots:5`). The search list still serves names such as `proxy.tools`.
        let mut candidates = vec![name.as_str()];
        if name.contains('.') {
            candidates.insert(0, &absolute);
        }
        let mut last = None;
        for candidate in candidates {
            match dns.lookup_ip(candidate).await {
                Ok(found) => return Ok(sockets(found.iter())),
                Err(error) if error.is_nx_domain() || error.is_no_records_found() => {
                    last = Some(io::Error::other(NoSuchHost(name.clone())));
                }
                Err(error) => return Err(io::Error::other(format!("DNS lookup of {name} failed: {error}"))),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::other(NoSuchHost(name))))
    }
}

/// `localhost` and everything under it (RFC 6761 §6.3).
fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn sockets(addresses: impl IntoIterator<Item = IpAddr>) -> std::vec::IntoIter<SocketAddr> {
    let sockets: Vec<_> = addresses
        .into_iter()
        .map(|address| SocketAddr::new(address, 0))
        .collect();
    sockets.into_iter()
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name.as_str().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use hickory_resolver::config::NameServerConfig;
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::A;
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use tokio::net::UdpSocket;

    use super::*;

    #[tokio::test]
    async fn names_under_localhost_are_this_machine_whatever_dns_says() {
        for name in ["localhost", "kv1.vault.localhost", "LOGIN.LOCALHOST", "localhost."] {
            let found: Vec<_> = Resolver {
                dns: None,
                reach: Reach::Anywhere,
            }
            .lookup(name.to_owned())
            .await
            .unwrap()
            .collect();
            assert!(found.iter().all(|socket| socket.ip().is_loopback()), "{name}");
            assert_eq!(found.len(), 2, "{name}");
        }
    }

    /// A name server that knows `kv.example.test.` and notes every question.
    async fn name_server() -> (Resolver, Arc<Mutex<Vec<String>>>) {
        name_server_that(Arc::new(AtomicBool::new(true))).await
    }

    /// The same, as long as it `knows`.
    async fn name_server_that(knows: Arc<AtomicBool>) -> (Resolver, Arc<Mutex<Vec<String>>>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                noted.lock().unwrap().push(question.name().to_string());
                let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
                answer.add_query(question.clone());
                if question.name().to_string() != "kv.example.test." || !knows.load(Ordering::SeqCst) {
                    answer.metadata.response_code = ResponseCode::NXDomain;
                } else if question.query_type() == RecordType::A {
                    let address = RData::A(A::new(192, 0, 2, 7));
                    answer.add_answer(Record::from_rdata(question.name().clone(), 60, address));
                }
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        });
        let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
        server.connections[0].port = port;
        let search = vec!["ns.svc.cluster.local.".parse().unwrap()];
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().ndots = 5;
        let dns = Some(Arc::new(builder.build().unwrap()));
        (
            Resolver {
                dns,
                reach: Reach::Anywhere,
            },
            asked,
        )
    }

    #[tokio::test]
    async fn a_dotted_name_is_asked_for_as_it_is_before_the_search_list() {
        let (resolver, asked) = name_server().await;
        let found: Vec<_> = resolver.lookup("kv.example.test".to_owned()).await.unwrap().collect();
        assert_eq!(found, ["192.0.2.7:0".parse().unwrap()]);
        let asked = asked.lock().unwrap();
        assert!(asked.iter().all(|name| name == "kv.example.test."), "{asked:?}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_told_from_a_server_that_does_not_answer() {
        let (resolver, asked) = name_server().await;
        let error = resolver.lookup("none.example.test".to_owned()).await.unwrap_err();
        assert!(crate::http::find::<NoSuchHost>(&error).is_some(), "{error}");
        let searched = "none.example.test.ns.svc.cluster.local.".to_owned();
        assert!(
            asked.lock().unwrap().contains(&searched),
            "the search list has its turn"
        );
        let error = Resolver {
            dns: None,
            reach: Reach::Anywhere,
        }
        .lookup("kv.example.test".to_owned())
        .await
        .unwrap_err();
        assert!(crate::http::find::<NoSuchHost>(&error).is_none(), "{error}");
    }

    #[tokio::test]
    async fn a_name_that_comes_to_be_known_is_found_without_a_restart() {
        let knows = Arc::new(AtomicBool::new(false));
        let (resolver, _) = name_server_that(Arc::clone(&knows)).await;
        let lookup = || resolver.clone().lookup("kv.example.test".to_owned());
        let error = lookup().await.unwrap_err();
        assert!(crate::http::find::<NoSuchHost>(&error).is_some(), "{error}");
        knows.store(true, Ordering::SeqCst);
        let found: Vec<_> = lookup().await.unwrap().collect();
        assert_eq!(found, ["192.0.2.7:0".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_for_this_machine_is_no_way_around_the_addresses() {
        let (resolver, _) = name_server().await;
        let outward = resolver.reaching(Reach::Outward);
        let error = outward
            .clone()
            .resolve("registry.localhost".to_owned())
            .await
            .unwrap_err();
        assert!(crate::http::find::<NotOutward>(&error).is_some(), "{error}");
        assert_eq!(outward.resolve("kv.example.test".to_owned()).await.unwrap().count(), 1);
    }

    #[test]
    fn a_name_that_only_ends_alike_is_not_loopback() {
        assert!(!is_loopback("evillocalhost"));
        assert!(!is_loopback("localhost.example.com"));
    }
}
