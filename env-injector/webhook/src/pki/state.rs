//! What there is: authorities, a serving certificate and the key of secret paths; and the steps that change it.

use akv2k8s_shared::secret::SecretBytes;
use jiff::Timestamp;

use super::authority::{Authority, TERM};
use super::path;
use super::plan::{Outline, Step};
use super::serving::Serving;

/// Everything that is kept.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) current: Option<Authority>,
    pub(super) next: Option<Authority>,
    /// Certificate of the authority before the current one, PEM: another replica may still serve what it signed.
    pub(super) previous: Option<String>,
    pub(super) serving: Option<Serving>,
    /// Key of the paths by which the API server calls.
    pub(super) path_key: Option<SecretBytes>,
}

impl State {
    /// What the plan needs to know.
    pub(super) fn outline(&self, names: &[String]) -> Outline {
        let current = self.current.as_ref();
        let fits = |it: &&Serving| current.is_some_and(|current| current.signed(&it.chain)) && it.is_for(names);
        Outline {
            current: current.map(|it| it.span),
            next: self.next.as_ref().map(|it| it.span),
            serving: self.serving.as_ref().filter(fits).map(|it| it.span),
            path_key: self.path_key.is_some(),
        }
    }

    /// Takes the steps of a plan.
    pub(super) fn apply(&mut self, steps: &[Step], names: &[String], now: Timestamp) -> Result<(), String> {
        let error = |error: rcgen::Error| format!("a certificate authority cannot be made: {error}");
        for step in steps {
            match step {
                Step::MakeCurrent => self.current = Some(Authority::make(now, now + TERM).map_err(error)?),
                Step::Promote => {
                    self.previous = self.current.take().map(|it| it.certificate);
                    self.current = self.next.take();
                }
                Step::MakeNext => {
                    // It signs when the current one has ended, and then for a whole term.
                    let current_ends = self.current.as_ref().map_or(now, |it| it.span.until);
                    self.next = Some(Authority::make(now, current_ends + TERM).map_err(error)?);
                }
                Step::Issue => {
                    let current = self.current.as_ref().ok_or("there is no authority to sign")?;
                    self.serving = Some(current.issue(names, now)?);
                }
                Step::MakePathKey => self.path_key = Some(path::make_key()?),
            }
        }
        Ok(())
    }

    /// Whether there is an authority that pods may trust.
    pub(super) fn has_authority(&self) -> bool {
        self.current.is_some() || self.next.is_some()
    }

    /// What pods trust: the current authority and the next, PEM.
    pub(super) fn bundle(&self) -> String {
        [&self.current, &self.next]
            .into_iter()
            .flatten()
            .map(|it| it.certificate.as_str())
            .collect()
    }

    /// What the API server trusts: also the previous authority, since replicas do not promote at the same moment.
    pub(super) fn ca_bundle(&self) -> String {
        self.bundle() + self.previous.as_deref().unwrap_or_default()
    }

    /// Whether `other` serves and publishes the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.parts().eq(&other.parts())
    }

    /// Name → content, as it is kept.
    pub(super) fn parts(&self) -> Vec<(&'static str, SecretBytes)> {
        let mut parts = Vec::new();
        for ((certificate, key), authority) in [(CURRENT, &self.current), (NEXT, &self.next)] {
            if let Some(authority) = authority {
                parts.push((certificate, authority.certificate.as_str().into()));
                parts.push((key, authority.key.clone()));
            }
        }
        if let Some(previous) = &self.previous {
            parts.push((PREVIOUS, previous.as_str().into()));
        }
        if let Some(serving) = &self.serving {
            parts.push((SERVING.0, serving.chain.as_str().into()));
            parts.push((SERVING.1, serving.key.clone()));
        }
        if let Some(key) = &self.path_key {
            parts.push((PATH, key.clone()));
        }
        parts
    }

    /// Reads what [`Self::parts`] gave. `Err`: the part, and what is wrong with it.
    pub(super) fn read(part: impl Fn(&str) -> Option<SecretBytes>) -> Result<Self, String> {
        let text = |name: &str| -> Result<Option<String>, String> {
            let Some(bytes) = part(name) else { return Ok(None) };
            let text = bytes.expose_str().ok_or_else(|| format!("{name} is not PEM"))?;
            Ok(Some(text.to_owned()))
        };
        let pair = |(certificate, key): (&str, &str)| -> Result<Option<(String, SecretBytes)>, String> {
            match (text(certificate)?, part(key)) {
                (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
                (None, None) => Ok(None),
                (Some(_), None) => Err(format!("{key} is missing")),
                (None, Some(_)) => Err(format!("{certificate} is missing")),
            }
        };
        let authority = |names: (&str, &str)| -> Result<Option<Authority>, String> {
            let read = |(certificate, key): (String, _)| {
                Authority::read(&certificate, key).map_err(|error| format!("{}: {error}", names.0))
            };
            pair(names)?.map(read).transpose()
        };
        let serving = pair(SERVING)?
            .map(|(chain, key)| Serving::read(&chain, key).map_err(|error| format!("{}: {error}", SERVING.0)));
        let path_key = part(PATH);
        if !path_key.as_ref().is_none_or(path::is_key) {
            return Err(format!("{PATH} has the wrong length"));
        }
        Ok(Self {
            path_key,
            current: authority(CURRENT)?,
            next: authority(NEXT)?,
            previous: text(PREVIOUS)?,
            serving: serving.transpose()?,
        })
    }
}

/// Names of certificate and key.
const CURRENT: (&str, &str) = ("current.crt", "current.key");
const NEXT: (&str, &str) = ("next.crt", "next.key");
const SERVING: (&str, &str) = ("serving.crt", "serving.key");
const PREVIOUS: &str = "previous.crt";
/// Name of the key of secret paths.
const PATH: &str = "path.key";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pki::plan::plan;

    fn names() -> Vec<String> {
        vec!["injector.akv2k8s.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn advance(state: &mut State, now: Timestamp) -> Vec<Step> {
        let steps = plan(now, &state.outline(&names()));
        state.apply(&steps, &names(), now).unwrap();
        steps
    }

    fn parts(state: &State) -> BTreeMap<&'static str, SecretBytes> {
        state.parts().into_iter().collect()
    }

    #[test]
    fn what_was_kept_is_read_again_and_asks_for_nothing() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut state = State::default();
        advance(&mut state, now);
        let kept = parts(&state);
        assert_eq!(kept.len(), 7);
        let read = State::read(|name| kept.get(name).cloned()).unwrap();
        assert!(read.is(&state));
        assert_eq!(plan(now, &read.outline(&names())), []);
    }

    #[test]
    fn each_part_that_is_missing_or_broken_is_named() {
        let mut state = State::default();
        advance(&mut state, Timestamp::from_second(1_800_000_000).unwrap());
        let kept = parts(&state);
        for (name, other) in [
            ("current.crt", "current.crt"),
            ("current.key", "current.crt"),
            ("next.crt", "next.crt"),
            ("serving.key", "serving.crt"),
        ] {
            let broken = State::read(|it| {
                if it == name {
                    Some("x".into())
                } else {
                    kept.get(it).cloned()
                }
            });
            assert!(broken.err().unwrap().starts_with(other), "{name}");
            let missing = State::read(|it| kept.get(it).filter(|_| it != name).cloned());
            assert_eq!(missing.err().unwrap(), format!("{name} is missing"));
        }
        let short = State::read(|it| {
            kept.get(it)
                .cloned()
                .map(|kept| if it == "path.key" { "x".into() } else { kept })
        });
        assert_eq!(short.err().unwrap(), "path.key has the wrong length");
        let swapped = State::read(|it| kept.get(if it == "current.key" { "next.key" } else { it }).cloned());
        assert!(swapped.err().unwrap().contains("do not belong together"));
    }

    #[test]
    fn other_names_ask_for_another_certificate() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut state = State::default();
        advance(&mut state, now);
        let more = [names(), vec!["injector.akv2k8s".to_owned()]].concat();
        assert_eq!(plan(now, &state.outline(&more)), [Step::Issue]);
    }

    #[test]
    fn a_promotion_keeps_the_next_authority_and_remembers_the_previous() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let mut state = State::default();
        advance(&mut state, start);
        let (current, next) = (state.current.clone().unwrap(), state.next.clone().unwrap());
        assert_eq!(state.bundle(), current.certificate.clone() + &next.certificate);
        let later = current.span.until - jiff::SignedDuration::from_hours(24 * 100);
        assert_eq!(advance(&mut state, later), [Step::Promote, Step::MakeNext, Step::Issue]);
        assert!(state.bundle().starts_with(&next.certificate));
        assert!(state.ca_bundle().ends_with(&current.certificate));
        assert!(next.signed(&state.serving.unwrap().chain));
    }
}
