//! Becoming somebody: each method against the emulator, over real TLS, with tokens truly checked and requests counted.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bed;
mod binding;
mod clouds;
mod managed;
mod tokens;
