//! Tar archives as POSIX.1-1988 has them ("ustar"): all that a layer of a few files needs.

/// Length of a header, and of the blocks that content is padded to.
const BLOCK: usize = 512;
/// How long a path may be without its first slash.
const LONGEST: usize = 100;

/// A file of an image.
#[derive(Debug, Clone)]
pub struct File {
    path: String,
    mode: u32,
    owner: u32,
    content: Vec<u8>,
}

impl File {
    /// A program of root's that everybody may run.
    pub fn program(path: &str, content: Vec<u8>) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o755,
            owner: 0,
            content,
        }
    }

    /// A file of root's that everybody may read.
    pub fn data(path: &str, content: Vec<u8>) -> Self {
        Self {
            mode: 0o644,
            ..Self::program(path, content)
        }
    }

    /// The same with other permissions.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same as the file of another user and group of this number.
    #[must_use]
    pub fn owner(mut self, id: u32) -> Self {
        self.owner = id;
        self
    }
}

/// A path that the format has no room for.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is too long for an archive of the test bed: at most {LONGEST} bytes")]
pub struct TooLong(String);

/// An archive of `files`. Their folders are not in it: whoever unpacks it makes them, with root as owner and mode 0755.
pub(super) fn archive(files: &[File]) -> Result<Vec<u8>, TooLong> {
    let mut archive = Vec::new();
    for file in files {
        archive.extend(header(file)?);
        archive.extend(&file.content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    Ok(archive)
}

/// Fields are octal numbers in ASCII, ended by NUL; see "ustar Interchange Format" in pax of POSIX.
fn header(file: &File) -> Result<[u8; BLOCK], TooLong> {
    let path = file.path.trim_start_matches('/');
    if path.len() > LONGEST {
        return Err(TooLong(file.path.clone()));
    }
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, format!("{:07o}", file.mode).as_bytes());
    put(108, format!("{:07o}", file.owner).as_bytes());
    put(116, format!("{:07o}", file.owner).as_bytes());
    put(124, format!("{:011o}", file.content.len()).as_bytes());
    put(136, b"00000000000");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert!(archive(&[File::data(&"a".repeat(100), Vec::new())]).is_ok());
        let error = archive(&[File::data(&"a".repeat(101), Vec::new())]).expect_err("too long");
        assert!(error.to_string().contains("at most 100 bytes"), "{error}");
    }

    #[test]
    fn content_is_padded_and_the_end_is_two_empty_blocks() {
        let archive = archive(&[File::data("a", vec![1; 513])]).expect("short");
        assert_eq!(archive.len(), BLOCK + 2 * BLOCK + 2 * BLOCK);
        assert_eq!(&archive[BLOCK..BLOCK + 513], &[1; 513]);
        assert!(archive[BLOCK + 513..].iter().all(|byte| *byte == 0));
    }
}
