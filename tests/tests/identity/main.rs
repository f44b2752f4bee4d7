//! Becoming somebody: each method against the emulator, over real TLS, with tokens truly checked and requests counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod azure_cli;
mod bed;
mod binding;
mod cloud_config;
mod clouds;
mod managed;
mod methods;
mod openssl;
mod tokens;
