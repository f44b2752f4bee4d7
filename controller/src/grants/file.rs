//! The rule file: read whole, and noticed when it changes.
//!
//! By content, not by time: a mounted `ConfigMap` changes by the swap of a symbolic link two folders up, which moves no time of the
//! path that is read.

use std::path::Path;

/// The file's text, or why there is none.
pub(super) type Read = Result<String, String>;

/// Reads the file at `path`.
pub(super) async fn read(path: &Path) -> Read {
    let bytes = tokio::fs::read(path)
        .await
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
}

/// Notices changes. A text counts once two looks in a row showed it: an editor that is still writing shows half a file, and half a
/// rule may allow more than the whole.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    taken: Option<Read>,
    last: Option<Read>,
}

impl Follower {
    /// `read` is in force.
    pub(super) fn took(&mut self, read: Read) {
        self.taken = Some(read);
    }

    /// One look; gives what is to be put in force.
    pub(super) fn look(&mut self, read: Read) -> Option<Read> {
        let settled = self.last.as_ref() == Some(&read);
        self.last = Some(read);
        if !settled || self.taken == self.last {
            return None;
        }
        self.taken.clone_from(&self.last);
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_counts_once_it_was_seen_twice_in_a_row_and_only_once() {
        let text = |it: &str| Ok(it.to_owned());
        let mut follower = Follower::default();
        follower.took(text("a"));
        for (seen, taken) in [
            ("a", None),
            ("a", None),
            ("half of b", None),
            ("b", None),
            ("b", Some("b")),
            ("b", None),
            ("a", None),
            ("b", None),
            ("b", None),
            ("a", None),
            ("a", Some("a")),
        ] {
            assert_eq!(follower.look(text(seen)), taken.map(text), "{seen}");
        }
    }

    #[test]
    fn a_file_that_went_is_a_change_too() {
        let mut follower = Follower::default();
        follower.took(Ok("a".to_owned()));
        let gone = || Err("no such file".to_owned());
        assert_eq!(follower.look(gone()), None);
        assert_eq!(follower.look(gone()), Some(gone()));
        assert_eq!(follower.look(gone()), None);
    }
}
