//! The exec wrapper as a program: what it asks for, what it starts, and what it says when it cannot.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod api_server;
mod bed;
mod broker;
mod direct;
mod identities;
mod logging;
mod process;
mod secrecy;
mod stub;
mod vault;
