//! The program that runs in the pods of tests, and the image that holds nothing else.

use std::fs;

use anyhow::Context;

use crate::image::{File, Image};
use crate::statics;

/// The name of its image on every node.
pub const IMAGE: &str = "localhost/guest:1";
/// Where it is in that image.
pub const PATH: &str = "/guest";

/// An image with the program and nothing besides, which starts it as an ordinary user.
///
/// # Errors
/// The program cannot be built or read.
pub fn image() -> anyhow::Result<Image> {
    let program = statics::guest()?;
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(Image::scratch([File::program(PATH, bytes)])
        .entrypoint([PATH])
        .user("65532:65532"))
}
