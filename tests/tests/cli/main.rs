//! `kubectl-akv2k8s` but for `doctor`: the real program, a real API server, the emulated vault, and the real controller beside it.

mod bed;
mod completion;
mod convert;
mod get;
mod kubelet;
mod migration;
mod plan;
mod proxy;
mod read_only;
mod render;
mod run;
mod steps;
mod support;
mod terminal;
mod top;
