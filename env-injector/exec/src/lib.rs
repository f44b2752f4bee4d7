//! `azure-keyvault-env`: resolves the references in its environment, and becomes the program that its arguments name.
//!
//! ```text
//!  environment ──plan──▶ references ──source──▶ values ──▶ environment ──exec──▶ the program (same process)
//!                                     │ broker   (the default: asks for values with the pod's own token)
//!                                     └ direct   (asks the vault itself, as whoever the AZURE_* variables say)
//! ```
//!
//! It is one static file that needs nothing of the image it runs in, and leaves nothing of itself behind: no process, no thread, no
//! descriptor, no variable of its own.

pub mod arguments;
mod check;
mod copy;
mod deadline;
pub mod elsewhere;
mod environment;
mod exec;
mod failure;
#[cfg(fuzzing)]
pub mod fuzzing;
mod lookup;
mod memory;
mod plan;
mod run;
mod settings;
mod signals;
mod source;
pub mod variables;
mod voice;

pub use run::run;
