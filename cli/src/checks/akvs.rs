//! One `AzureKeyVaultSecret`.

use akv2k8s_shared::api::{Condition, condition, parse};
use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::doctor::{Check, Seen};
use anyhow::Context;

use super::controller;
use crate::gather::Akvs;

/// Its checks: the specification, the controller, the condition, the outputs.
///
/// # Errors
/// The condition has a reason that this version does not know.
pub(crate) fn akvs(facts: &Akvs) -> anyhow::Result<Vec<Check>> {
    let mut checks = vec![specification(facts)];
    if checks[0].failure().is_some() {
        return Ok(checks);
    }
    if !parse(&facts.object).is_ok_and(|request| request.has_output()) {
        let text = "It has no output: it is for the env injector only, and the controller leaves it alone.";
        checks.push(Check::not_made("ready", text));
        return Ok(checks);
    }
    checks.extend(controller::checks(&facts.controller));
    checks.push(ready(facts)?);
    checks.extend(identity(facts));
    checks.extend(outputs(facts));
    Ok(checks)
}

fn specification(facts: &Akvs) -> Check {
    const ID: &str = "specification";
    match parse(&facts.object) {
        Ok(request) => Check::passed(ID, format!("The specification is sound: {}.", request.object)),
        Err(diagnosis) => Check::failed(ID, *diagnosis),
    }
}

fn ready(facts: &Akvs) -> anyhow::Result<Check> {
    const ID: &str = "ready";
    let status = facts.object.status.as_ref();
    let ready = status.and_then(|status| condition::get(&status.conditions, condition::READY));
    let observed = status.and_then(|status| status.observed_generation);
    match ready {
        Some(ready) if observed == facts.object.metadata.generation => told_by(ready),
        seen => {
            let what = if seen.is_none() {
                "No controller has worked on this object yet."
            } else {
                "No controller has worked on this object since it was changed."
            };
            Ok(Check::failed(ID, Diagnosis::case(case::NeverReconciled, what)))
        }
    }
}

fn told_by(ready: &Condition) -> anyhow::Result<Check> {
    const ID: &str = "ready";
    if ready.status == "True" {
        return Ok(Check::passed(ID, format!("Ready: {}", ready.message)));
    }
    Diagnosis::told(&ready.reason, &ready.message)
        .map(|diagnosis| Check::failed(ID, diagnosis))
        .with_context(|| {
            format!(
                "the reason {} is not known to this version, use that of the controller: {}",
                ready.reason, ready.message
            )
        })
}

fn identity(facts: &Akvs) -> Option<Check> {
    let who = facts.object.status.as_ref()?.identity.as_ref()?;
    let client = who.client_id.as_deref().unwrap_or("the node's own");
    let text = format!("The vault was read by {}, client id {client}.", who.method);
    Some(Check::passed("identity", text))
}

fn outputs(facts: &Akvs) -> impl Iterator<Item = Check> {
    const ID: &str = "output";
    facts.outputs.iter().map(|(output, seen)| {
        let name = format!("{:?} {}", output.kind, output.name);
        match seen {
            Seen::Found(uid) if uid.is_none() || output.uid.is_none() || *uid == output.uid => {
                Check::passed(ID, format!("{name} exists."))
            }
            Seen::Found(_) => Check::not_made(
                ID,
                format!("{name} was made anew; the controller is about to see to it."),
            ),
            Seen::Missing => Check::not_made(
                ID,
                format!("{name} is gone; the controller is about to write it again."),
            ),
            Seen::NotAllowed => Check::not_made(ID, format!("{name}: no right to read it.")),
        }
    })
}
