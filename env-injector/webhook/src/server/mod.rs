//! Requests: their ports are of [`akv2k8s_program::server`], and their bodies are read within limits.

mod bodies;

pub use akv2k8s_program::server::{Door, Limits, Peer, Phase, Phases};
pub use bodies::{Bodies, BodyLimits, NoBody, Whole};
