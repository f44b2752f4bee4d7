//! The ports: TLS or plain, with limits, and an end that loses no request.
//!
//! ```text
//!  SIGTERM ─▶ Draining: not ready, still serving, connections end with their next answer
//!                └── after a while ─▶ Stopping: nothing new, what is in flight is finished
//! ```

mod descriptors;
mod door;
mod patience;
mod phase;
pub mod places;

pub use descriptors::raise_limit;
pub use door::{Door, Limits, Peer};
pub use phase::{Phase, Phases};
