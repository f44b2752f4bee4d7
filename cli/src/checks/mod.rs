//! Facts → checks: pure, one module per subject.

mod akvs;
mod controller;
mod identity;
mod injector;
mod installation;
mod pod_security;
mod prepared;
mod told;
mod way;

pub(crate) use akvs::akvs;
pub(crate) use identity::{identity, pod};
pub(crate) use installation::installation;
pub(crate) use way::way;
