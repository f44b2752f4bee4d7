//! Where the program is: the search of a shell, and why something that was found does not start.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// Where container runtimes look when the environment has no `PATH`.
const USUAL_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Exit code of shells for what is not there.
pub(crate) const NOT_FOUND: u8 = 127;
/// Exit code of shells for what is there and cannot be started.
pub(crate) const NOT_EXECUTABLE: u8 = 126;

/// Why the program does not start.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CannotStart {
    /// [`NOT_FOUND`] or [`NOT_EXECUTABLE`].
    pub(crate) code: u8,
    /// One line.
    pub(crate) why: String,
}

/// The file of `program`: itself when there is a slash in it, else the first executable file of that name in the folders of `path`.
pub(crate) fn find(program: &OsStr, path: Option<&[u8]>) -> Result<PathBuf, CannotStart> {
    if program.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(program));
    }
    let folders = path.unwrap_or(USUAL_PATH).split(|byte| *byte == b':');
    // An empty entry is the working directory (POSIX, 8.3).
    let files = folders
        .map(|folder| if folder.is_empty() { b".".as_slice() } else { folder })
        .map(|folder| Path::new(OsStr::from_bytes(folder)).join(program));
    let mut not_executable = None;
    for file in files.filter(|_| !program.is_empty()) {
        if !file.metadata().is_ok_and(|it| it.is_file()) {
            continue;
        }
        if access(&file, AccessFlags::X_OK).is_ok() {
            return Ok(file);
        }
        not_executable.get_or_insert(file);
    }
    match not_executable {
        Some(file) => Err(explain_denial(&file)),
        None => Err(CannotStart {
            code: NOT_FOUND,
            why: format!("{}: not found in PATH", program.display()),
        }),
    }
}

/// Why `execve` of `file` said that there is no such file.
pub(crate) fn explain_absence(file: &Path) -> CannotStart {
    let shown = file.display();
    if !file.exists() {
        let (code, why) = (NOT_FOUND, format!("{shown}: no such file"));
        return CannotStart { code, why };
    }
    let why = match interpreter(&head(file)) {
        Some(interpreter) => format!("{shown}: its interpreter {interpreter} is not there"),
        None => format!("{shown}: its interpreter or dynamic loader is not in this image"),
    };
    CannotStart {
        code: NOT_EXECUTABLE,
        why,
    }
}

/// Why `execve` of `file` was not permitted.
pub(crate) fn explain_denial(file: &Path) -> CannotStart {
    use std::os::unix::fs::PermissionsExt;
    let shown = file.display();
    let is_executable = |it: &Metadata| it.permissions().mode() & 0o111 != 0;
    let why = match file.metadata() {
        Ok(it) if it.is_dir() => format!("{shown}: it is a directory"),
        Ok(it) if !is_executable(&it) => format!("{shown}: it is not executable (chmod +x)"),
        Ok(_) if is_mounted_noexec(file) => format!("{shown}: its file system is mounted noexec"),
        _ => format!("{shown}: permission denied, for it, for a folder above it, or for its interpreter"),
    };
    CannotStart {
        code: NOT_EXECUTABLE,
        why,
    }
}

#[cfg(target_os = "linux")]
fn is_mounted_noexec(file: &Path) -> bool {
    use nix::sys::statvfs::{FsFlags, statvfs};
    statvfs(file).is_ok_and(|it| it.flags().contains(FsFlags::ST_NOEXEC))
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
fn is_mounted_noexec(_: &Path) -> bool {
    false
}

/// Why the kernel does not know the format of `file`.
pub(crate) fn explain_format(file: &Path) -> CannotStart {
    let (shown, ours) = (file.display(), std::env::consts::ARCH);
    let why = match machine(&head(file)) {
        Some(theirs) if theirs != ours => format!("{shown}: it is a program for {theirs}, and this is {ours}"),
        Some(_) => format!("{shown}: it is a damaged program"),
        None => format!("{shown}: it is neither a program nor a script that begins with #!"),
    };
    CannotStart {
        code: NOT_EXECUTABLE,
        why,
    }
}

/// The first bytes of a file.
fn head(file: &Path) -> Vec<u8> {
    const ENOUGH: u64 = 256;
    let mut head = Vec::new();
    // What cannot be read explains nothing.
    let _ = File::open(file).and_then(|file| file.take(ENOUGH).read_to_end(&mut head));
    head
}

/// The program in the first line of a script.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    // A carriage return, which nobody sees, is part of the name.
    words.next().map(|name| format!("{name:?}"))
}

/// The architecture in an ELF header, in Rust's words (`e_machine`, elf(5)).
fn machine(head: &[u8]) -> Option<String> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let bytes = [*head.get(18)?, *head.get(19)?];
    let is_big_endian = head.get(5) == Some(&2);
    let number = if is_big_endian {
        u16::from_be_bytes(bytes)
    } else {
        u16::from_le_bytes(bytes)
    };
    Some(match number {
        3 => "x86".to_owned(),
        21 => "powerpc64".to_owned(),
        22 => "s390x".to_owned(),
        40 => "arm".to_owned(),
        62 => "x86_64".to_owned(),
        183 => "aarch64".to_owned(),
        243 => "riscv64".to_owned(),
        other => format!("another architecture (ELF machine {other})"),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(folder: &Path, name: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_first_executable_file_on_the_path_is_taken() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(first.path().join("app")).unwrap();
        let expected = file(second.path(), "app", b"", 0o755);
        let path = format!("/nowhere:{}:{}", first.path().display(), second.path().display());
        let found = |name: &str| find(name.as_ref(), Some(path.as_bytes()));
        assert_eq!(found("app"), Ok(expected));
        assert_eq!(found("./app"), Ok(PathBuf::from("./app")), "a slash means no search");
        for name in ["none", ""] {
            assert_eq!(found(name).unwrap_err().code, NOT_FOUND, "{name:?}");
        }
        assert!(find("sh".as_ref(), None).is_ok(), "without PATH the usual folders");
    }

    #[test]
    fn a_file_without_the_right_to_execute_is_126_and_another_one_later_is_better() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        file(first.path(), "app", b"", 0o644);
        let path = first.path().to_str().unwrap().to_owned();
        let denied = find("app".as_ref(), Some(path.as_bytes())).unwrap_err();
        assert_eq!(denied.code, NOT_EXECUTABLE);
        assert!(denied.why.contains("chmod +x"), "{}", denied.why);
        let better = file(second.path(), "app", b"", 0o755);
        let path = format!("{path}:{}", second.path().display());
        assert_eq!(find("app".as_ref(), Some(path.as_bytes())), Ok(better));
    }

    #[test]
    fn the_reason_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut elf = [0_u8; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = 183;
        let foreign = if cfg!(target_arch = "aarch64") {
            elf[18] = 62;
            "x86_64"
        } else {
            "aarch64"
        };
        let script = file(folder.path(), "script", b"#!/nowhere/python3 -u\n", 0o755);
        let elf = file(folder.path(), "elf", &elf, 0o755);
        let text = file(folder.path(), "text", b"echo", 0o755);
        for (found, named) in [
            (explain_absence(&script), "/nowhere/python3"),
            (explain_absence(&elf), "dynamic loader"),
            (explain_absence(&folder.path().join("none")), "no such file"),
            (explain_format(&elf), foreign),
            (explain_format(&text), "#!"),
            (explain_denial(folder.path()), "directory"),
        ] {
            assert!(found.why.contains(named), "{found:?}");
        }
    }
}
