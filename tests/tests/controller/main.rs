//! The controller, end to end: a real API server, a vault that checks tokens, and what a user sees.

mod claims;
mod daily;
mod definition;
mod drift;
mod failures;
mod kinds;
mod leader;
mod namespaces;
mod readiness;
mod restart;
mod rights;
mod scope;
mod shared_object;
mod sync;
