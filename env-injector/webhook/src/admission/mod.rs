//! What becomes of a pod at admission.

mod lookup;

pub use lookup::{ImageConfig, ImageLookup, ImageQuery, LookupError};
