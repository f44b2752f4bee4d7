//! The env injector's webhook, called by a real API server over TLS, with the rights of examples/install.

mod bed;
mod callers;
mod certificates;
mod guard;
mod images;
mod injection;
mod namespaces;
mod protocol;
