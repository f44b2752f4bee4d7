//! What was installed.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case, first_cause};
use akv2k8s_shared::doctor::{Check, Seen};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;

use super::{controller, injector, pod_security, prepared, told};
use crate::gather::{Answer, Component, Installation, find};

/// The version that is stored.
const STORED: &str = "v2beta1";

/// The checks: definition, Pod Security, controller, readiness, env injector, objects, prepared pods.
pub(crate) fn installation(facts: &Installation) -> Vec<Check> {
    let mut checks = vec![crd(&facts.crd)];
    checks.extend(pod_security::checks(
        &facts.deployments,
        &facts.sets,
        &facts.controller.namespace,
    ));
    checks.extend(controller(facts));
    checks.extend(readiness(facts));
    checks.push(injector::check(
        &facts.deployments,
        &facts.webhooks,
        &facts.controller.namespace,
    ));
    checks.push(objects(&facts.objects));
    checks.extend(prepared::all(&facts.prepared, &facts.webhooks));
    checks
}

/// An installation may be the env injector's alone.
fn controller(facts: &Installation) -> Vec<Check> {
    const ID: &str = controller::DEPLOYMENT;
    let namespace = &facts.controller.namespace;
    let has_injector = find(&facts.deployments, Component::Injector).found().is_some();
    let is_seen = facts.controller.lease.found().is_some();
    if has_injector && matches!(facts.controller.deployment, Seen::Missing) && !is_seen {
        let text =
            format!("The controller has no Deployment in namespace {namespace}, the env injector alone is there.");
        return vec![Check::not_made(ID, text)];
    }
    let mut checks = controller::checks(&facts.controller);
    if matches!(facts.deployments, Seen::NotAllowed) {
        let text = format!("The Deployments: no right to list deployments.apps in namespace {namespace}.");
        checks[0] = Check::not_allowed(ID, text);
    }
    checks
}

fn crd(crd: &Seen<CustomResourceDefinition>) -> Check {
    const ID: &str = "crd";
    let failed = |why: Explanation, what: &str| Check::failed(ID, Diagnosis::case(why, what));
    match crd {
        Seen::NotAllowed => Check::not_made(
            ID,
            "The resource AzureKeyVaultSecret: no right to read customresourcedefinitions.",
        ),
        Seen::Missing => failed(
            case::DefinitionMissing.into(),
            "The cluster does not know the resource AzureKeyVaultSecret.",
        ),
        Seen::Found(crd) => {
            let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let established = conditions
                .into_iter()
                .any(|it| it.type_ == "Established" && it.status == "True");
            let stored = crd
                .spec
                .versions
                .iter()
                .any(|version| version.name == STORED && version.served);
            match (established, stored) {
                (true, true) => Check::passed(ID, "The resource AzureKeyVaultSecret is known, with version v2beta1."),
                (true, false) => failed(
                    case::DefinitionForeign.into(),
                    "The resource AzureKeyVaultSecret has no version v2beta1.",
                ),
                (false, _) => failed(
                    case::DefinitionCollides.into(),
                    "The resource AzureKeyVaultSecret is not established.",
                ),
            }
        }
    }
}

fn readiness(facts: &Installation) -> Vec<Check> {
    const ID: &str = "readiness";
    match &facts.readiness {
        Seen::Missing => Vec::new(),
        Seen::NotAllowed => vec![Check::not_made(
            ID,
            "The controller's own problems: no right to list its pods.",
        )],
        Seen::Found(pods) => pods.iter().map(|answer| of_pod(ID, answer)).collect(),
    }
}

fn of_pod(id: &'static str, answer: &Answer) -> Check {
    let Answer { pod, port, text } = answer;
    match text {
        Seen::NotAllowed => Check::not_made(id, format!("Problems of {pod}: no right to get pods/proxy.")),
        Seen::Missing => Check::not_made(
            id,
            format!("Problems of {pod}: it does not answer on port {port} (--health-port names another)."),
        ),
        Seen::Found(text) => match first_cause(text.lines().filter_map(told::problem)) {
            Some(problem) => Check::failed(id, problem),
            None => Check::passed(id, format!("{pod} says: {}.", text.lines().next().unwrap_or_default())),
        },
    }
}

fn objects(objects: &Seen<Vec<AzureKeyVaultSecret>>) -> Check {
    const ID: &str = "objects";
    let all = match objects {
        Seen::NotAllowed => {
            let text = "The AzureKeyVaultSecrets: no right to list azurekeyvaultsecrets.spv.no in all namespaces.";
            return Check::not_allowed(ID, text);
        }
        Seen::Missing => return Check::not_made(ID, "The AzureKeyVaultSecrets: there is no such resource."),
        Seen::Found(all) => all,
    };
    let failures: Vec<_> = all.iter().filter_map(failure).collect();
    let Some(first) = first_cause(failures.iter().cloned()) else {
        return Check::passed(
            ID,
            format!("None of {} AzureKeyVaultSecrets reports a failure.", all.len()),
        );
    };
    let what = format!(
        "{} of {} AzureKeyVaultSecrets report a failure, the first: {}",
        failures.len(),
        all.len(),
        first.what
    );
    Check::failed(ID, Diagnosis { what, ..first })
}

fn failure(akvs: &AzureKeyVaultSecret) -> Option<Diagnosis> {
    let ready = condition::get(&akvs.status.as_ref()?.conditions, condition::READY)?;
    if ready.status == "True" {
        return None;
    }
    let told = Diagnosis::told(&ready.reason, &ready.message)?;
    let subject = format!("{}/{}", akvs.namespace().unwrap_or_default(), akvs.name_any());
    let what = format!("{subject}: {}", told.what);
    Some(Diagnosis { what, ..told })
}
