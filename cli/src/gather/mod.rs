//! Reads facts from the API server, one module per subject. No decision is made here.

mod akvs;
mod component;
mod controller;
mod identity;
mod installation;
mod owner;
mod pod;
mod prepared;
mod way;

pub(crate) use akvs::{Akvs, akvs};
pub(crate) use component::Component;
pub(crate) use controller::{Controller, LeaseState, deployments, find};
pub(crate) use identity::{Identity, identity};
pub(crate) use installation::{Answer, Installation, ask_pod, controller_pods, installation, pods};
pub(crate) use pod::{Pod, pod};
pub(crate) use prepared::Prepared;
pub(crate) use way::{POLICY, Rules, Way, rules, way};
