//! The rule file, read whole.
//!
//! Changes are noticed by content, not by time: a mounted `ConfigMap` changes by the swap of a symbolic link two folders up, which
//! moves no time of the path that is read.

use std::path::Path;

use akv2k8s_shared::file;

/// The file's text, or why there is none.
pub(super) type Read = Result<String, String>;

/// Reads the file at `path`.
pub(super) async fn read(path: &Path) -> Read {
    let bytes = file::read(path)
        .await
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    let text = bytes.expose_str().ok_or("the file is not UTF-8 text")?;
    Ok(text.to_owned())
}
