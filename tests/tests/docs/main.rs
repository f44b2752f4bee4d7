//! What the pages of this repository promise about itself: where their links lead, and what their commands name.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod commands;
mod examples;
mod links;
mod named;
mod page;
mod reference;
mod subjects;
mod terraform;
mod there;
mod yaml;
