//! The broker against a real API server and an emulated vault: who gets values, and everybody who does not.

#![allow(clippy::unwrap_used)]

mod attacks;
mod bed;
mod grants;
mod identities;
mod load;
mod outage;
mod values;
