//! The cluster beside the vault, key by key. Pure.

use std::collections::BTreeSet;

use akv2k8s_controller::output::{Desired, Target};
use akv2k8s_shared::api::condition;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::secret::SecretBytes;

use super::report::{Got, JSON_VERSION, Key, Output, Presence, Ready, State};
use crate::disclose::{Consent, Disclosed};
use crate::live::Live;
use crate::survey::Survey;

/// All of it; values only with consent.
pub(super) fn got(survey: &Survey, consent: Option<&Consent>) -> Got {
    let metadata = &survey.akvs.metadata;
    let status = survey.akvs.status.clone().unwrap_or_default();
    let ready = condition::get(&status.conditions, condition::READY).map(|it| Ready {
        status: it.status.clone(),
        reason: it.reason.clone(),
        message: it.message.clone(),
    });
    let asked = survey.asked.as_ref();
    let read = asked.and_then(|asked| asked.read.as_ref());
    Got {
        version: JSON_VERSION,
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
        ready,
        has_output: match asked {
            Ok(asked) => asked.request.has_output(),
            Err(_) => survey.akvs.spec.output.is_some(),
        },
        source: asked.ok().map(|asked| asked.request.object.to_string()),
        vault_version: read.ok().map(|read| read.fetched.object.version().as_str().to_owned()),
        written_version: status.object_version,
        last_update: status.last_azure_update.map(|it| it.0.to_string()),
        expires: status.expires.map(|it| it.0.to_string()),
        outputs: targets(survey).map(|target| output(survey, target, consent)).collect(),
        failure: read.err().map(|diagnosis| (&**diagnosis).into()),
    }
}

/// How many values would be printed with consent.
pub(super) fn values(survey: &Survey) -> usize {
    let keys = |target| keys(survey, target).into_iter();
    targets(survey).flat_map(keys).count()
}

fn targets(survey: &Survey) -> impl Iterator<Item = &Target> {
    survey.live.keys()
}

fn desired<'s>(survey: &'s Survey, target: &Target) -> Option<&'s Desired> {
    let read = survey.asked.as_ref().ok()?.read.as_ref().ok()?;
    read.desired.iter().find(|desired| desired.target == *target)
}

fn of<'d>(desired: &'d Desired, key: &str) -> Option<&'d SecretBytes> {
    desired.data.get(key).or_else(|| desired.binary.get(key))
}

/// The keys this AKVS has to do with: those it wants, and those its status records.
fn keys<'s>(survey: &'s Survey, target: &Target) -> BTreeSet<&'s str> {
    let recorded = survey
        .recorded()
        .iter()
        .filter(|output| Target::from(*output) == *target);
    let recorded = recorded.flat_map(|output| output.keys.iter().map(String::as_str));
    let wanted = desired(survey, target).into_iter().flat_map(Desired::keys);
    recorded.chain(wanted).collect()
}

fn output(survey: &Survey, target: &Target, consent: Option<&Consent>) -> Output {
    let seen = &survey.live[target];
    let presence = match seen {
        Seen::Found(_) => Presence::Present,
        Seen::Missing => Presence::Missing,
        Seen::NotAllowed => Presence::NotAllowed,
    };
    let wanted = desired(survey, target);
    // An output that the specification does not name any more has no side in the vault.
    let vault_is_known = survey.asked.as_ref().is_ok_and(|asked| asked.read.is_ok());
    let key = |name: &str| {
        let here = seen.found().and_then(|live: &Live| live.data.get(name));
        let there = wanted.and_then(|wanted| of(wanted, name));
        Key {
            name: name.to_owned(),
            length: here.map(SecretBytes::len),
            vault_length: there.map(SecretBytes::len),
            state: if vault_is_known || here.is_none() {
                state(presence, here, there)
            } else {
                State::Unknown
            },
            shown: consent.and_then(|consent| Some(Disclosed::of(consent, here.or(there)?))),
        }
    };
    Output {
        kind: target.kind.to_string(),
        name: target.name.clone(),
        presence,
        keys: keys(survey, target).into_iter().map(key).collect(),
    }
}

fn state(presence: Presence, here: Option<&SecretBytes>, there: Option<&SecretBytes>) -> State {
    match (presence, here, there) {
        (Presence::NotAllowed, _, _) => State::Unknown,
        (_, None, _) => State::Missing,
        (_, Some(_), None) => State::Leftover,
        (_, Some(here), Some(there)) if here == there => State::Equal,
        (_, Some(_), Some(_)) => State::Different,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_to_the_vault_as_far_as_the_cluster_shows_it() {
        let (a, b) = (SecretBytes::from("a"), SecretBytes::from("b"));
        let present = Presence::Present;
        for (presence, here, there, expected) in [
            (present, Some(&a), Some(&a), State::Equal),
            (present, Some(&a), Some(&b), State::Different),
            (present, Some(&a), None, State::Leftover),
            (present, None, Some(&a), State::Missing),
            (Presence::Missing, None, Some(&a), State::Missing),
            (Presence::NotAllowed, None, Some(&a), State::Unknown),
        ] {
            assert_eq!(state(presence, here, there), expected);
        }
    }
}
