//! The files of `testdata/`, for tests.

use std::path::PathBuf;

/// A file's bytes; `path` is relative to the folder.
pub(crate) fn bytes(path: &str) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/object/testdata")
        .join(path);
    std::fs::read(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; make it with make-vectors.sh there", file.display()))
}

/// A file's text.
pub(crate) fn text(path: &str) -> String {
    String::from_utf8(bytes(path)).expect("a text file")
}

/// The bytes in a file of one PEM block.
pub(crate) fn der(path: &str) -> Vec<u8> {
    let text = text(path);
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    crate::encoding::decode_base64(body.as_bytes())
        .expect("one PEM block")
        .expose()
        .to_vec()
}
