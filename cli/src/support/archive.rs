//! The archive: a tar that only its owner may read.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;

/// Writes `files` (name, text) to `path`, which must not exist; gives the archive's length.
///
/// # Errors
/// It exists, or cannot be written.
pub(super) fn write(path: &Path, files: &[(String, String)]) -> anyhow::Result<usize> {
    let what = || format!("cannot write {}", path.display());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(what)?;
    let bytes = pack(files).with_context(what)?;
    file.write_all(&bytes).with_context(what)?;
    Ok(bytes.len())
}

fn pack(files: &[(String, String)]) -> std::io::Result<Vec<u8>> {
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("akv2k8s-support/{name}"), text.as_bytes())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        let files = [("pod/log.txt".to_owned(), "text".to_owned())];
        let length = write(&path, &files).unwrap();
        let before = std::fs::read(&path).unwrap();
        assert_eq!(before.len(), length);
        assert!(write(&path, &[]).unwrap_err().to_string().contains("a.tar"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
