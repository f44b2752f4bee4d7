//! Following what others write: a change counts once it was seen twice in a row.

/// Notices changes of what is looked at again and again. What is seen counts once two looks in a row showed it: somebody who is
/// still writing shows half a file, and half a file may say something else than the whole.
#[derive(Debug)]
pub struct Follower<T> {
    taken: Option<T>,
    last: Option<T>,
}

impl<T> Default for Follower<T> {
    fn default() -> Self {
        Self {
            taken: None,
            last: None,
        }
    }
}

impl<T: Clone + PartialEq> Follower<T> {
    /// `seen` is in force, however often it was seen.
    pub fn took(&mut self, seen: T) {
        self.taken = Some(seen);
    }

    /// One look; gives what is to be put in force.
    pub fn look(&mut self, seen: T) -> Option<T> {
        let settled = self.last.as_ref() == Some(&seen);
        self.last = Some(seen);
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
        let mut follower = Follower::default();
        follower.took("a");
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
            assert_eq!(follower.look(seen), taken, "{seen}");
        }
    }

    #[test]
    fn a_file_that_went_is_a_change_too() {
        let mut follower = Follower::default();
        follower.took(Ok("a"));
        let gone = Err("no such file");
        assert_eq!(follower.look(gone), None);
        assert_eq!(follower.look(gone), Some(gone));
        assert_eq!(follower.look(gone), None);
    }
}
