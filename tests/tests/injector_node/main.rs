//! The env injector on a real node: two replicas behind a Service, pods of every kind, and programs that start with their values.
//!
//! All tests share one node and one installation; see `bed`.

mod bed;
mod containers;
mod direct;
mod examples;
mod images;
mod process;
mod rollout;
mod secrecy;
mod workloads;
