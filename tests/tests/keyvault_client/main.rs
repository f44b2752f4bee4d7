//! The Key Vault client against the emulator, over real TLS, with tokens truly checked and requests counted exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bed;
mod certificates;
mod faults;
mod hostile;
mod identities;
mod network;
mod reads;
