//! The test bed: a real control plane, and an emulator of Key Vault, Entra and IMDS, for tests, the demo and benches.

pub mod capability;
pub mod cargo;
pub mod conformance;
pub mod container;
pub mod controlplane;
pub mod crd;
pub mod demo;
pub mod docs;
pub mod emulator;
pub mod fuzz;
pub mod gate;
pub mod image;
pub mod installation;
pub mod load;
pub mod log;
pub mod measure;
pub mod node;
pub mod provision;
pub mod proxy;
pub mod random;
pub mod registry;
pub mod stack;
pub mod stage;
pub mod statics;
pub mod verify;
pub mod wait;
