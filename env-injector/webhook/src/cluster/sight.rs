//! How a watch stands.

use akv2k8s_shared::watching::KEPT;
use tokio::time::Instant;

/// How a watch stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The first list is on its way.
    #[default]
    Pending,
    /// The API server refuses the first list. It is tried again.
    Refused,
    /// All is as the API server has it.
    Current,
    /// It fails since then.
    Broken(Instant),
}

impl Sight {
    /// Whether what it showed is served.
    pub(super) fn counts(self, now: Instant) -> bool {
        match self {
            Self::Pending | Self::Refused => false,
            Self::Current => true,
            Self::Broken(since) => now < since + KEPT,
        }
    }

    /// How it stands once it failed.
    pub(super) fn after_failure(self, is_forbidden: bool, now: Instant) -> Self {
        match self {
            Self::Current => Self::Broken(now),
            Self::Pending if is_forbidden => Self::Refused,
            other => other,
        }
    }

    /// Whether there was a whole list.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Self::Current | Self::Broken(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_counts_for_ten_minutes_after_the_watch_broke() {
        let start = Instant::now();
        assert!(!Sight::Pending.counts(start), "half a list says nothing");
        assert_eq!(Sight::Pending.after_failure(false, start), Sight::Pending);
        let broken = Sight::Current.after_failure(true, start);
        assert!(broken.counts(start + KEPT / 2));
        let later = broken.after_failure(false, start + KEPT / 2);
        assert_eq!(later, broken, "it counts from the first failure");
        assert!(!later.counts(start + KEPT));
    }
}
