//! How outputs are written, owned, watched and released, on a real API server.

mod bed;
mod drift;
mod ownership;
mod release;
mod store;
mod takeover;
mod writing;
