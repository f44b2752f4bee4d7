//! The name server of a node: a zone of the tests' own, and the Services of the cluster.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client};
use tokio::net::UdpSocket;
use tokio::task::AbortHandle;

/// The domain of Services.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";
/// Seconds for which an answer may be kept: none, so that a change counts at once.
const LIFETIME: u32 = 0;
/// Longer questions are cut off, and not answered.
const LONGEST: usize = 4096;

/// Addresses by name; a name that begins with `*.` stands for all below the rest.
#[derive(Clone, Default)]
struct Zone(Arc<Mutex<HashMap<String, Ipv4Addr>>>);

impl Zone {
    fn records(&self) -> MutexGuard<'_, HashMap<String, Ipv4Addr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Option<Ipv4Addr> {
        let records = self.records();
        let parents = name.match_indices('.').map(|(dot, _)| format!("*{}", &name[dot..]));
        let mut candidates = [name.to_owned()].into_iter().chain(parents);
        candidates.find_map(|it| records.get(&it).copied())
    }
}

/// A running name server; dropping it stops it.
pub struct Dns {
    zone: Zone,
    task: AbortHandle,
}

impl Dns {
    /// Answers on port 53 of `address`, by UDP, for Services that `client` finds.
    pub async fn start(address: Ipv4Addr, client: Client) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((address, 53))
            .await
            .with_context(|| format!("cannot listen on {address}:53"))?;
        let zone = Zone::default();
        let task = tokio::spawn(serve(Arc::new(socket), zone.clone(), client)).abort_handle();
        Ok(Self { zone, task })
    }

    /// Gives `name`, or with `*.` every name below, this address.
    pub fn set(&self, name: &str, address: Ipv4Addr) {
        self.zone.records().insert(name.to_ascii_lowercase(), address);
    }

    /// Takes a name out of the zone again.
    pub fn remove(&self, name: &str) {
        self.zone.records().remove(&name.to_ascii_lowercase());
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: Arc<UdpSocket>, zone: Zone, client: Client) {
    let mut buffer = [0; LONGEST];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        // What is no question gets no answer.
        let Ok(question) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        tokio::spawn(reply(socket.clone(), from, question, zone.clone(), client.clone()));
    }
}

async fn reply(socket: Arc<UdpSocket>, to: SocketAddr, question: Message, zone: Zone, client: Client) {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.authoritative = true;
    if let Some(query) = question.queries.first() {
        let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        match find(&name, &zone, client).await {
            Some(address) if query.query_type() == RecordType::A => {
                answer.add_answer(Record::from_rdata(
                    query.name().clone(),
                    LIFETIME,
                    RData::A(address.into()),
                ));
            }
            // The name is there, but not with a record of this type.
            Some(_) => {}
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        answer.add_query(query.clone());
    }
    if let Ok(bytes) = answer.to_vec() {
        // Whoever asked may have gone.
        let _ = socket.send_to(&bytes, to).await;
    }
}

async fn find(name: &str, zone: &Zone, client: Client) -> Option<Ipv4Addr> {
    if let Some(address) = zone.find(name) {
        return Some(address);
    }
    let (service, namespace) = service(name)?;
    let found = Api::<Service>::namespaced(client, namespace).get_opt(service).await;
    let spec = found.ok()??.spec?;
    // `None` in the place of an address is that of a Service without one.
    spec.cluster_ip?.parse().ok()
}

/// Name and namespace of the Service that `NAME.NAMESPACE.svc.cluster.local` is for.
fn service(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix(".svc.")?;
    rest.split_once('.').filter(|(_, namespace)| !namespace.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_by_its_full_name_only() {
        assert_eq!(service("web.team.svc.cluster.local"), Some(("web", "team")));
        for name in [
            "web.team.svc",
            "web.svc.cluster.local",
            "a.web.team.svc.cluster.local",
            "vault.azure.net",
        ] {
            assert_eq!(service(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_of_its_own_comes_before_the_star_above_it() {
        let zone = Zone::default();
        let (all, one) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        zone.records().insert("*.vault.azure.net".to_owned(), all);
        zone.records().insert("kv1.vault.azure.net".to_owned(), one);
        assert_eq!(zone.find("kv1.vault.azure.net"), Some(one));
        assert_eq!(zone.find("kv2.vault.azure.net"), Some(all));
        assert_eq!(zone.find("vault.azure.net"), None);
    }
}
