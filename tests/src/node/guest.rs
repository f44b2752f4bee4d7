//! The program that runs in the pods of tests, and the image that holds nothing else.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::Context;

use crate::image::{File, Image};
use crate::stack::build_program;

/// The name of its image on every node.
pub const IMAGE: &str = "localhost/guest:1";
/// Where it is in that image.
pub const PATH: &str = "/guest";

/// The path of the static program, built by cargo from this work tree when it is not up to date. See `tests/guest` for what it can do.
///
/// # Errors
/// Cargo cannot build it.
pub fn program() -> anyhow::Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build_program(&["static"], ("akv2k8s-guest", "guest")));
    built.clone().map_err(anyhow::Error::msg)
}

/// An image with the program and nothing besides, which starts it as an ordinary user.
///
/// # Errors
/// The program cannot be built or read.
pub fn image() -> anyhow::Result<Image> {
    let program = program()?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(Image::scratch([File::program(PATH, bytes)])
        .entrypoint([PATH])
        .user("65532:65532"))
}
