//! A real node: pods of our own images run, reach each other and us, and leave nothing behind.
//!
//! All tests share one node, which takes about a quarter of a minute to start; see `bed`.

mod bed;
mod ending;
mod network;
mod pods;
