//! The examples of identity and tenancy, as users apply them: the chart by real Helm with the values of each, the pod that the API server
//! admits, the real controller with just what that pod has, real kubectl for the manifests. Those of synchronisation, with what each has to
//! write. And which test uses which of all examples.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod bed;
mod identity;
#[path = "../identity/openssl.rs"]
#[allow(dead_code, reason = "the tests of identity use all of it")]
mod openssl;
mod pod_identity;
mod sync;
mod tenancy;
#[path = "../docs/there.rs"]
mod there;
mod used;
