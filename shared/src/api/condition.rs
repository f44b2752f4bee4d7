//! The three conditions, as kstatus reads them: `Ready` sums up, `Reconciling` and `Stalled` are there only while true.
//!
//! Spec: <https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus>.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// `True` once every output equals the vault's object.
pub const READY: &str = "Ready";
/// `True` while the spec is newer than what was written, or a failure is being retried that may pass by itself.
pub const RECONCILING: &str = "Reconciling";
/// `True` when only an edit (of the spec, of rights, of the vault) can help.
pub const STALLED: &str = "Stalled";

/// `True` or `False`: a condition's status.
fn status(holds: bool) -> &'static str {
    if holds { "True" } else { "False" }
}

/// A condition of `type_`, first seen at `now`, that speaks of `generation`.
///
/// `reason` is a catalogue code or `Synced`; `message` must not hold anything that changes from try to try.
pub fn new(type_: &str, holds: bool, reason: &str, message: &str, generation: Option<i64>, now: Time) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: status(holds).to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: now,
    }
}

/// The condition of `type_`, if there is one.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// The `next` conditions, each with the transition time of its predecessor in `previous` when its status is the same.
pub fn carry_over(previous: &[Condition], mut next: Vec<Condition>) -> Vec<Condition> {
    for condition in &mut next {
        if let Some(before) = get(previous, &condition.type_)
            && before.status == condition.status
        {
            condition.last_transition_time = before.last_transition_time.clone();
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let before = vec![
            new(READY, false, "ObjectNotFound", "gone", Some(1), at(10)),
            new(RECONCILING, true, "ObjectNotFound", "gone", Some(1), at(10)),
        ];
        let after = carry_over(
            &before,
            vec![
                new(READY, false, "ForbiddenByRbac", "no role", Some(2), at(20)),
                new(STALLED, true, "ForbiddenByRbac", "no role", Some(2), at(20)),
                new(RECONCILING, false, "ForbiddenByRbac", "no role", Some(2), at(20)),
            ],
        );
        assert_eq!(get(&after, READY).unwrap().last_transition_time, at(10));
        assert_eq!(get(&after, READY).unwrap().reason, "ForbiddenByRbac");
        assert_eq!(get(&after, STALLED).unwrap().last_transition_time, at(20));
        assert_eq!(get(&after, RECONCILING).unwrap().last_transition_time, at(20));
    }
}
