//! Has an object changed since it was last read? Pure decisions over what LIST told.

use std::str::FromStr;
use std::time::Duration;

use super::model::Fingerprint;
use super::{Collection, Listing};
use crate::reference::{ObjectKind, ObjectName};

/// `--change-detection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChangeDetection {
    /// LIST where it is cheaper and allowed, else GET.
    #[default]
    Auto,
    /// GET every object in every period.
    Get,
    /// LIST even where GET would be cheaper; GET only where LIST is forbidden.
    List,
}

impl FromStr for ChangeDetection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "get" => Ok(Self::Get),
            "list" => Ok(Self::List),
            other => Err(format!(
                "{other:?} is not a way to detect changes: write auto, get or list"
            )),
        }
    }
}

/// How to look at one (vault, identity, collection) in this period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// One LIST of the collection.
    List,
    /// One GET for each referenced object.
    Get,
}

/// How long LIST is not tried again after a 403, and how long the number of its pages is believed.
pub const LIST_AGAIN_AFTER: Duration = Duration::from_hours(1);

/// Chooses how to look: `referenced` distinct unpinned objects of one collection, `pages` of its last LIST
/// (`None`: never listed), `forbidden_for` the time since LIST was last answered 403.
pub fn choose(mode: ChangeDetection, referenced: usize, pages: Option<u32>, forbidden_for: Option<Duration>) -> Look {
    let forbidden = forbidden_for.is_some_and(|ago| ago < LIST_AGAIN_AFTER);
    let dearer = pages.is_some_and(|pages| referenced < pages as usize);
    match mode {
        ChangeDetection::Get => Look::Get,
        _ if forbidden || referenced == 0 => Look::Get,
        ChangeDetection::Auto if dearer => Look::Get,
        ChangeDetection::Auto | ChangeDetection::List => Look::List,
    }
}

/// The collections whose lists tell of an object of this kind: a certificate with its key watches two.
pub fn watched(kind: ObjectKind) -> &'static [Collection] {
    match kind {
        ObjectKind::Secret => &[Collection::Secrets],
        ObjectKind::Certificate => &[Collection::Certificates],
        ObjectKind::CertificateWithKey => &[Collection::Certificates, Collection::Secrets],
        ObjectKind::Key => &[Collection::Keys],
    }
}

/// The last LIST of each collection of one vault, as far as there is one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Listings<'a> {
    /// Of `/secrets`.
    pub secrets: Option<&'a Listing>,
    /// Of `/certificates`.
    pub certificates: Option<&'a Listing>,
    /// Of `/keys`.
    pub keys: Option<&'a Listing>,
}

impl<'a> Listings<'a> {
    fn of(self, collection: Collection) -> Option<&'a Listing> {
        match collection {
            Collection::Secrets => self.secrets,
            Collection::Certificates => self.certificates,
            Collection::Keys => self.keys,
        }
    }
}

/// What the lists say of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// As it was: no GET.
    Unchanged,
    /// Different from what was last read, or never read: GET it.
    Changed,
    /// The lists do not tell yet (a change within the last 2 s may hide behind equal times, or a list is missing): look
    /// again in the next period.
    Unsettled,
    /// Not in the list: one GET tells why.
    Missing,
}

/// Compares what was last read and settled (`last`) with the lists. Only for references without a pinned version.
pub fn compare(kind: ObjectKind, name: &ObjectName, last: Option<&Fingerprint>, listings: Listings<'_>) -> Change {
    let mut marks = Vec::with_capacity(2);
    let mut settled = true;
    for collection in watched(kind) {
        let Some(listing) = listings.of(*collection) else {
            return Change::Unsettled;
        };
        let Some(listed) = listing.items.get(name) else {
            return Change::Missing;
        };
        settled &= listed.settled;
        marks.push(&listed.fingerprint);
    }
    match last {
        Some(last) if *last != Fingerprint::combine(&marks) => Change::Changed,
        None => Change::Changed,
        Some(_) if settled => Change::Unchanged,
        Some(_) => Change::Unsettled,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Listed;
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn list_is_used_where_it_is_cheaper_and_allowed() {
        use ChangeDetection::{Auto, Get, List};
        for (mode, referenced, pages, forbidden_for, look) in [
            (Auto, 40, Some(40), None, Look::List),
            (Auto, 39, Some(40), None, Look::Get),
            (Auto, 1, None, None, Look::List),
            (Auto, 1000, Some(40), Some(MINUTE), Look::Get),
            (Auto, 1000, Some(40), Some(60 * MINUTE), Look::List),
            (List, 1, Some(40), None, Look::List),
            (List, 1, Some(40), Some(MINUTE), Look::Get),
            (List, 0, None, None, Look::Get),
            (Get, 1000, Some(1), None, Look::Get),
        ] {
            let chosen = choose(mode, referenced, pages, forbidden_for);
            assert_eq!(chosen, look, "{mode:?} {referenced} {pages:?} {forbidden_for:?}");
        }
    }

    fn mark(text: &str) -> Fingerprint {
        Fingerprint(text.to_owned())
    }

    fn listing(fingerprint: &str, settled: bool) -> Listing {
        let listed = Listed {
            fingerprint: mark(fingerprint),
            settled,
            enabled: true,
        };
        Listing {
            items: [(ObjectName::parse("a").unwrap(), listed)].into(),
            pages: 1,
        }
    }

    #[test]
    fn marks_are_compared_by_inequality_and_only_settled_ones_prove_rest() {
        let name = ObjectName::parse("A").unwrap();
        let other = ObjectName::parse("b").unwrap();
        for (name, last, listed, change) in [
            (&name, Some("x"), Some(("x", true)), Change::Unchanged),
            (&name, Some("x"), Some(("y", true)), Change::Changed),
            (&name, Some("x"), Some(("y", false)), Change::Changed),
            (&name, Some("x"), Some(("x", false)), Change::Unsettled),
            (&name, None, Some(("x", true)), Change::Changed),
            (&other, Some("x"), Some(("x", true)), Change::Missing),
            (&name, Some("x"), None, Change::Unsettled),
        ] {
            let secrets = listed.map(|(fingerprint, settled)| listing(fingerprint, settled));
            let listings = Listings {
                secrets: secrets.as_ref(),
                ..Listings::default()
            };
            let last = last.map(mark);
            assert_eq!(
                compare(ObjectKind::Secret, name, last.as_ref(), listings),
                change,
                "{listed:?}"
            );
        }
    }

    #[test]
    fn a_certificate_with_its_key_changes_with_either_list() {
        let name = ObjectName::parse("a").unwrap();
        let last = Fingerprint::combine(&[&mark("c"), &mark("s")]);
        for (certificate, secret, change) in [
            (("c", true), ("s", true), Change::Unchanged),
            (("d", true), ("s", true), Change::Changed),
            (("c", true), ("t", true), Change::Changed),
            (("c", true), ("s", false), Change::Unsettled),
            (("s", true), ("c", true), Change::Changed),
        ] {
            let certificates = listing(certificate.0, certificate.1);
            let secrets = listing(secret.0, secret.1);
            let listings = Listings {
                secrets: Some(&secrets),
                certificates: Some(&certificates),
                keys: None,
            };
            assert_eq!(
                compare(ObjectKind::CertificateWithKey, &name, Some(&last), listings),
                change
            );
        }
    }
}
