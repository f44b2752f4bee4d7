//! How the process stands, for `/readyz` and metrics.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use akv2k8s_shared::diagnosis::Diagnosis;

/// Where the process is on its way to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Phase {
    /// Another replica holds the Lease; this one is ready to take over.
    #[default]
    Standby,
    /// The first lists are being read.
    Syncing,
    /// At work.
    Running,
}

/// The subject of a problem with the Lease.
pub(crate) const LEASE: &str = "lease";

/// What stands between the two parts of a vault's subject.
const OF_VAULT: &str = " of vault ";

/// The subject of a problem with `what` of `vault`.
pub(crate) fn of_vault(what: &str, vault: &str) -> String {
    format!("{what}{OF_VAULT}{vault}")
}

#[derive(Default)]
struct State {
    phase: Phase,
    problems: BTreeMap<String, Diagnosis>,
}

/// Shared by everything that has something to report.
#[derive(Default)]
pub(crate) struct Health(Mutex<State>);

impl Health {
    /// Enters `phase`.
    pub(crate) fn set_phase(&self, phase: Phase) {
        self.with(|state| state.phase = phase);
    }

    /// The phase now.
    pub(crate) fn phase(&self) -> Phase {
        self.with(|state| state.phase)
    }

    /// Says how `subject` (an identity, a vault's list) stands; `None` ends an earlier problem. True when that is news.
    pub(crate) fn report(&self, subject: &str, problem: Option<Diagnosis>) -> bool {
        self.with(|state| match problem {
            Some(problem) => {
                let before = state.problems.insert(subject.to_owned(), problem.clone());
                before.is_none_or(|before| before.code != problem.code)
            }
            None => state.problems.remove(subject).is_some(),
        })
    }

    /// Forgets the problems of vaults that nobody names any more.
    pub(crate) fn retain_vaults(&self, vaults: &[String]) {
        self.with(|state| {
            state.problems.retain(|subject, _| match subject.rsplit_once(OF_VAULT) {
                Some((_, vault)) => vaults.iter().any(|it| it == vault),
                None => true,
            });
        });
    }

    /// Forgets the problems of a vault that is not looked at any more.
    pub(crate) fn forget_vault(&self, vault: &str) {
        self.with(|state| {
            let of_it = |subject: &str| subject.rsplit_once(OF_VAULT).is_some_and(|(_, it)| it == vault);
            state.problems.retain(|subject, _| !of_it(subject));
        });
    }

    /// Whether traffic may count on this replica, and a text that says what is wrong. Problems with an identity or a vault
    /// do not make the process unready: restarting it would not help. A replica that cannot read the Lease is not ready to take
    /// over.
    pub(crate) fn readiness(&self) -> (bool, String) {
        self.with(|state| {
            let (ready, mut text) = match state.phase {
                Phase::Standby if state.problems.contains_key(LEASE) => {
                    (false, "not ready: the lease cannot be read or written\n".to_owned())
                }
                Phase::Standby => (true, "ok: standby, another replica holds the lease\n".to_owned()),
                Phase::Syncing => (false, "not ready: reading the first lists\n".to_owned()),
                Phase::Running => (true, "ok\n".to_owned()),
            };
            for (subject, problem) in &state.problems {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{subject}: {problem}");
            }
            (ready, text)
        })
    }

    /// Problems now: subject and code.
    pub(crate) fn problems(&self) -> Vec<(String, &'static str)> {
        self.with(|state| {
            state
                .problems
                .iter()
                .map(|(subject, it)| (subject.clone(), it.code.as_str()))
                .collect()
        })
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;

    use super::*;

    #[test]
    fn a_vaults_problem_is_told_once_and_does_not_make_the_process_unready() {
        let health = Health::default();
        health.set_phase(Phase::Syncing);
        assert!(!health.readiness().0);
        health.set_phase(Phase::Running);
        let problem = Diagnosis::of(Code::ForbiddenByRbac, "No.", &[]);
        assert!(health.report("vault kv", Some(problem.clone())));
        assert!(!health.report("vault kv", Some(problem)));
        let (ready, text) = health.readiness();
        assert!(ready);
        assert!(text.contains("vault kv: ForbiddenByRbac: No."), "{text}");
        assert!(health.report("vault kv", None));
        assert_eq!(health.readiness().1, "ok\n");
    }

    #[test]
    fn a_replica_that_may_not_read_the_lease_is_not_called_a_standby() {
        let health = Health::default();
        assert!(health.readiness().1.contains("standby"));
        let problem = Diagnosis::of(Code::ApiServerForbidden, "No lease.", &[]);
        health.report(LEASE, Some(problem));
        let (ready, text) = health.readiness();
        assert!(
            !ready && !text.contains("standby") && text.contains("No lease."),
            "{text}"
        );
        health.report(LEASE, None);
        assert!(health.readiness().0);
    }

    #[test]
    fn the_problem_of_a_vault_goes_when_nobody_names_it_any_more() {
        let health = Health::default();
        let problem = Diagnosis::of(Code::ForbiddenByRbac, "No.", &[]);
        for subject in [
            "identity",
            &of_vault("list of secrets", "kv1"),
            &of_vault("list of keys", "kv2"),
        ] {
            health.report(subject, Some(problem.clone()));
        }
        health.retain_vaults(&["kv2".to_owned()]);
        let left = || -> Vec<_> { health.problems().into_iter().map(|(subject, _)| subject).collect() };
        assert_eq!(left(), ["identity", "list of keys of vault kv2"]);
        health.forget_vault("kv2");
        assert_eq!(left(), ["identity"]);
    }
}
