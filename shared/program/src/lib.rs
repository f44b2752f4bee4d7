//! What programs that run in a cluster have in common, and what is no library's business: command line, logs, metrics, traces, ports, signals, and
//! how the API server is found.

pub mod api_server;
pub mod command_line;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod server;
mod stop;
pub mod traces;

pub use stop::stop_signal;
