//! What this process is called.

use std::hash::{BuildHasher, Hasher};

/// A name no other process has: the pod's name (its host name) and a random part.
pub(crate) fn name() -> String {
    let host = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let host = host.trim();
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{}_{random:016x}", if host.is_empty() { "controller" } else { host })
}
