//! How outputs are written, owned, watched and released, on a real API server.

mod bed;
mod drift;
mod forged;
mod ownership;
mod release;
mod store;
mod takeover;
mod writing;
