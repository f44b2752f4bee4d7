//! The Key Vault data plane, as every program here uses it.

pub mod model;
