//! Faults on demand: per service and operation, for the next N requests or until lifted.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::operation::{Operation, Service};
use crate::random::SplitMix64;

/// A fault and what it strikes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// The service it strikes; `None`: every service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The operations it strikes; empty: every operation.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// Which requests to a vault it strikes; means nothing elsewhere.
    #[serde(default)]
    pub requests: Requests,
    /// What happens.
    pub kind: FaultKind,
    /// For how many requests; `None`: until lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The share of matching requests that is struck, 0 to 1; drawn from the emulator's seed.
    #[serde(default = "always")]
    pub probability: f64,
}

fn always() -> f64 {
    1.0
}

impl Fault {
    /// `kind` for every authorised request to the vault `name`, until lifted.
    pub fn vault(name: &str, kind: FaultKind) -> Self {
        Self::new(Some(Service::Vault(name.to_ascii_lowercase())), kind)
    }

    /// `kind` for every request to Entra, until lifted.
    pub fn entra(kind: FaultKind) -> Self {
        Self {
            requests: Requests::Any,
            ..Self::new(Some(Service::Entra), kind)
        }
    }

    /// `kind` for every request to the managed identity endpoints, until lifted.
    pub fn imds(kind: FaultKind) -> Self {
        Self {
            requests: Requests::Any,
            ..Self::new(Some(Service::Imds), kind)
        }
    }

    fn new(service: Option<Service>, kind: FaultKind) -> Self {
        Self {
            service,
            operations: Vec::new(),
            requests: Requests::default(),
            kind,
            times: None,
            probability: 1.0,
        }
    }

    /// Strikes only these operations.
    #[must_use]
    pub fn on(mut self, operations: &[Operation]) -> Self {
        self.operations = operations.to_vec();
        self
    }

    /// Strikes the next `n` matching requests, then no more.
    #[must_use]
    pub fn times(mut self, n: u32) -> Self {
        self.times = Some(n);
        self
    }

    /// Strikes this share of the matching requests.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = share;
        self
    }

    /// Strikes these requests, in place of the authorised ones only.
    #[must_use]
    pub fn requests(mut self, requests: Requests) -> Self {
        self.requests = requests;
        self
    }
}

/// Which requests a fault strikes: a client's first, unauthenticated request must not use up a fault meant for the second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Requests {
    /// Those that carry a token.
    #[default]
    Authorized,
    /// Those that carry none: a vault's challenges.
    Unauthorized,
    /// All.
    Any,
}

/// What goes wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FaultKind {
    /// The answer comes this much later; other faults may strike the same request.
    Latency {
        /// Milliseconds.
        milliseconds: u64,
    },
    /// This answer in place of the real one; nothing is changed in the service.
    Respond {
        /// HTTP status.
        status: u16,
        /// Headers besides `Date` and `Content-Length`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body as it is sent.
        #[serde(default)]
        body: String,
    },
    /// 429 in the service's form.
    Throttle {
        /// Seconds for `Retry-After`; `None`: no such header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// The connection is reset (TCP RST) in place of an answer.
    Reset,
    /// The real answer's headers and the first half of its body, then the connection closes.
    TruncatedBody,
    /// The real answer's headers and the first half of its body, then nothing while the client keeps waiting.
    StalledBody,
    /// Status 200 with a body that is cut in the middle of a JSON token, of the length it claims.
    MalformedJson,
}

impl FaultKind {
    /// A Key Vault error body with this status.
    pub fn status(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({ "error": { "code": code, "message": message } });
        Self::Respond {
            status,
            headers: BTreeMap::from([("content-type".into(), "application/json; charset=utf-8".into())]),
            body: body.to_string(),
        }
    }

    fn is_latency(&self) -> bool {
        matches!(self, Self::Latency { .. })
    }
}

/// Names a fault for lifting it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// The faults in force.
pub struct Faults(Mutex<Inner>);

struct Inner {
    active: BTreeMap<FaultId, Fault>,
    next: u64,
    random: SplitMix64,
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(Inner {
            active: BTreeMap::new(),
            next: 1,
            random: SplitMix64::new(seed),
        }))
    }

    /// Puts a fault in force.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut inner = self.lock();
        let id = FaultId(inner.next);
        inner.next += 1;
        inner.active.insert(id, fault);
        id
    }

    /// Lifts a fault; whether it was still in force.
    pub fn lift(&self, id: FaultId) -> bool {
        self.lock().active.remove(&id).is_some()
    }

    /// Lifts every fault.
    pub fn lift_all(&self) {
        self.lock().active.clear();
    }

    /// The faults in force.
    pub fn active(&self) -> BTreeMap<FaultId, Fault> {
        self.lock().active.clone()
    }

    /// The faults that strike this request, in the order they were added: delays, and at most one of any other kind.
    pub(crate) fn strike(&self, service: &Service, operation: Operation, authorized: bool) -> Vec<FaultKind> {
        let mut inner = self.lock();
        let Inner { active, random, .. } = &mut *inner;
        let mut struck = Vec::new();
        let mut decided = false;
        for fault in active.values_mut() {
            let candidate = fault.kind.is_latency() || !decided;
            if candidate && fault.matches(service, operation, authorized) && random.unit() < fault.probability {
                decided |= !fault.kind.is_latency();
                fault.times = fault.times.map(|left| left - 1);
                struck.push(fault.kind.clone());
            }
        }
        active.retain(|_, fault| fault.times != Some(0));
        struck
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fault {
    fn matches(&self, service: &Service, operation: Operation, authorized: bool) -> bool {
        let wanted = match self.requests {
            Requests::Authorized => authorized,
            Requests::Unauthorized => !authorized,
            Requests::Any => true,
        } || !matches!(service, Service::Vault(_));
        wanted
            && self.service.as_ref().is_none_or(|s| s == service)
            && (self.operations.is_empty() || self.operations.contains(&operation))
            && self.times != Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> Service {
        Service::Vault("v".into())
    }

    #[test]
    fn a_fault_for_n_requests_strikes_n_matching_requests() {
        let faults = Faults::new(1);
        faults.add(
            Fault::vault("v", FaultKind::Reset)
                .on(&[Operation::SECRET_GET])
                .times(2),
        );
        let strikes = |operation, authorized| faults.strike(&vault(), operation, authorized).len();
        assert_eq!(strikes(Operation::SECRET_LIST, true), 0, "another operation");
        assert_eq!(strikes(Operation::SECRET_GET, false), 0, "a challenge");
        assert_eq!(
            faults
                .strike(&Service::Vault("w".into()), Operation::SECRET_GET, true)
                .len(),
            0,
            "another vault"
        );
        assert_eq!(
            (0..5).map(|_| strikes(Operation::SECRET_GET, true)).collect::<Vec<_>>(),
            [1, 1, 0, 0, 0]
        );
        assert!(faults.active().is_empty());
    }

    #[test]
    fn requests_for_tokens_carry_none_and_are_struck_all_the_same() {
        let faults = Faults::new(1);
        faults.add(Fault::entra(FaultKind::Reset));
        assert_eq!(faults.strike(&Service::Entra, Operation::Token, false).len(), 1);
        assert_eq!(faults.strike(&Service::Imds, Operation::Token, false).len(), 0);
    }

    #[test]
    fn delays_add_up_and_other_faults_wait_their_turn() {
        let faults = Faults::new(1);
        faults.add(Fault::vault("v", FaultKind::Latency { milliseconds: 5 }));
        faults.add(Fault::vault("v", FaultKind::Reset).times(1));
        let later = faults.add(Fault::vault("v", FaultKind::MalformedJson).times(1));
        assert_eq!(faults.strike(&vault(), Operation::SECRET_GET, true).len(), 2);
        assert_eq!(faults.active().len(), 2);
        assert!(faults.lift(later) && !faults.lift(later));
    }

    #[test]
    fn a_share_of_requests_is_struck_and_the_seed_repeats_it() {
        let run = |seed| {
            let faults = Faults::new(seed);
            faults.add(Fault::vault("v", FaultKind::Reset).probability(0.1));
            (0..2000)
                .map(|_| faults.strike(&vault(), Operation::SECRET_GET, true).len())
                .collect::<Vec<_>>()
        };
        let first = run(7);
        assert_eq!(first, run(7));
        assert_ne!(first, run(8));
        let struck: usize = first.iter().sum();
        assert!((150..250).contains(&struck), "{struck}");
    }
}
