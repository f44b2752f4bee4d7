//! The test bed.
pub mod emulator;
