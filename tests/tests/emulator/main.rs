//! The emulator as its clients see it: over real TLS, with a plain HTTP client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod admin;
mod certificates;
mod client;
mod entra;
mod faults;
mod imds;
mod real_issuer;
mod secrets;
