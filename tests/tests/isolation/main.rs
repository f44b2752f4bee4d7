//! Vaults read as a ServiceAccount: namespaces that share a controller and nothing else. A real API server issues the tokens,
//! the emulator's Entra verifies them, and the controller has the rights of `examples/` and no others.

mod bed;
mod farewell;
mod home;
mod off;
mod policy;
mod setup;
mod tenants;
