//! The test bed: emulator, control plane, end-to-end tests.

pub mod emulator;
