//! Counters of the client, for metrics.

use std::time::{Duration, SystemTime};

/// A moment's view of the client.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Requests so far, by vault, operation and status class.
    pub requests: Vec<RequestCount>,
    /// Each vault used so far.
    pub vaults: Vec<VaultState>,
}

/// How many requests of one kind were sent; retries and challenges each count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCount {
    /// The vault's host.
    pub vault: String,
    /// `getSecret`, `getCertificate`, `getKey`, `listSecrets`, `listCertificates`, `listKeys`.
    pub operation: &'static str,
    /// `2xx`, `401`, `403`, `404`, `429`, `4xx`, `5xx`, or `failed` when there was no answer.
    pub status: &'static str,
    /// How many.
    pub count: u64,
}

/// How much one vault may still be asked, and when it last answered.
#[derive(Debug, Clone, PartialEq)]
pub struct VaultState {
    /// The vault's host.
    pub vault: String,
    /// The rate now, in requests per 10 s; lower than configured after a 429.
    pub per_10s: f64,
    /// Requests that may be sent at once.
    pub available: f64,
    /// Requests that wait for the budget.
    pub waiting: usize,
    /// How long the vault is left alone after a 429.
    pub paused: Duration,
    /// 429 answers so far.
    pub throttled: u64,
    /// When it last gave what it was asked for; `None`: never since it was first named.
    pub last_success: Option<SystemTime>,
}
