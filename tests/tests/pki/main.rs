//! The injector's own certificates on a real API server: made, shared by replicas, rotated, trusted by those who should.

#![allow(clippy::unwrap_used)]

mod bed;
mod chains;
mod replicas;
mod rotation;
mod webhook_configuration;
