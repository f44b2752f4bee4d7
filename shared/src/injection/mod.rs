//! What webhook, broker and exec wrapper agree on.
//!
//! ```text
//!  webhook ──names──▶ pod spec ──names──▶ exec wrapper ──wire──▶ broker
//! ```

pub mod authorities;
pub mod names;
pub mod reference;
pub mod source;
pub mod value;
pub mod wire;
