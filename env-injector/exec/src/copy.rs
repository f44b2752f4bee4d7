//! `--copy`: the wrapper puts itself into a volume, for images without `cp` and `sh`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use akv2k8s_shared::injection::names;

/// Readable and executable by everybody: whoever the container runs as.
const MODE: u32 = 0o555;

/// Copies `program` to `directory/azure-keyvault-env`. Whoever looks sees the old file or the whole new one, never a part.
pub(crate) fn copy(program: &Path, directory: &Path) -> io::Result<()> {
    let target = directory.join(names::PROGRAM);
    let partial = directory.join(format!(".{}.{}", names::PROGRAM, std::process::id()));
    let written = write(program, &partial).and_then(|()| fs::rename(&partial, target));
    if written.is_err() {
        // What is left of it helps nobody.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write(program: &Path, partial: &Path) -> io::Result<()> {
    let mut from = File::open(program)?;
    // One that a process of the same number left behind.
    let _ = fs::remove_file(partial);
    let mut to = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(partial)?;
    io::copy(&mut from, &mut to)?;
    // Whatever the umask took away.
    to.set_permissions(fs::Permissions::from_mode(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_whole_executable_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("from");
        fs::write(&program, b"first").unwrap();
        let target = folder.path().join("to");
        fs::create_dir(&target).unwrap();
        for content in [b"first".as_slice(), b"second"] {
            fs::write(&program, content).unwrap();
            copy(&program, &target).unwrap();
            let copied = target.join("azure-keyvault-env");
            assert_eq!(fs::read(&copied).unwrap(), content);
            assert_eq!(copied.metadata().unwrap().permissions().mode() & 0o7777, 0o555);
            assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_copy_that_fails_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(copy(Path::new("/nowhere"), folder.path()).is_err());
        // The target cannot be replaced: it is a folder.
        fs::create_dir(folder.path().join("azure-keyvault-env")).unwrap();
        let program = folder.path().join("from");
        fs::write(&program, b"x").unwrap();
        assert!(copy(&program, folder.path()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
