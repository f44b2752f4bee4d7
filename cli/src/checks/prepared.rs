//! Pods that have to be created anew before a container of theirs starts again.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::workload::recreate;
use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, Seen};
use akv2k8s_shared::injection::authorities::authorities;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::ResourceExt;

use crate::gather::Prepared;

/// Names that are printed of one workload's pods.
const NAMED: usize = 5;

/// The checks of all prepared pods: one failure for each workload.
pub(crate) fn all(pods: &Seen<Vec<Prepared>>, webhooks: &Seen<Vec<MutatingWebhookConfiguration>>) -> Vec<Check> {
    let pods = match pods {
        Seen::Found(pods) => pods,
        Seen::Missing | Seen::NotAllowed => {
            let why = "Pods that akv2k8s 1.x prepared, or that do not trust the broker: no right to list pods in all namespaces.";
            return vec![Check::not_made("wrapper", why)];
        }
    };
    let mut checks = outdated(pods);
    if checks.is_empty() {
        checks.push(Check::passed("wrapper", "No pod was prepared by akv2k8s 1.x."));
    }
    checks.extend(trust(pods, webhooks));
    checks
}

/// Those of one pod; none if nobody prepared it.
pub(crate) fn one(pod: Option<Prepared>, webhooks: &Seen<Vec<MutatingWebhookConfiguration>>) -> Vec<Check> {
    let pods: Vec<_> = pod.into_iter().collect();
    let mut checks = outdated(&pods);
    checks.extend(trust(&pods, webhooks));
    checks
}

fn outdated(pods: &[Prepared]) -> Vec<Check> {
    failures(
        "wrapper",
        |recreate| case::PreparedByOldInjector { recreate }.into(),
        "akv2k8s 1.x prepared",
        pods.iter().filter(|pod| pod.is_of_1x),
    )
}

/// What the webhook's `caBundle`, which everybody may read who may see webhooks, says of pods' bundles: the current authority and the
/// next stand first in it.
fn trust(pods: &[Prepared], webhooks: &Seen<Vec<MutatingWebhookConfiguration>>) -> Vec<Check> {
    const ID: &str = "broker-trust";
    let trusting: Vec<_> = pods.iter().filter(|pod| !pod.bundles.is_empty()).collect();
    if trusting.is_empty() {
        return Vec::new();
    }
    let not_made = |why: &str| vec![Check::not_made(ID, format!("Whether pods trust the broker: {why}."))];
    let published = match webhooks {
        Seen::Found(all) => published(all),
        Seen::Missing => Vec::new(),
        Seen::NotAllowed => return not_made("no right to list mutatingwebhookconfigurations"),
    };
    if published.is_empty() {
        return not_made("its authorities are not in the caBundle of the env injector's webhook");
    }
    let trusts = |bundle: &String| authorities(bundle.as_bytes()).iter().any(|it| published.contains(it));
    let distrusting = trusting.iter().filter(|pod| !pod.bundles.iter().all(trusts)).copied();
    let failures = failures(
        ID,
        |recreate| case::AuthoritiesOutdated { recreate }.into(),
        "no present authority of the broker is known to",
        distrusting,
    );
    if failures.is_empty() {
        let count = trusting.len();
        return vec![Check::passed(ID, format!("Prepared pods trust the broker ({count})."))];
    }
    failures
}

/// The current authority and the next.
fn published(webhooks: &[MutatingWebhookConfiguration]) -> Vec<Vec<u8>> {
    let ours = webhooks.iter().filter(|it| it.name_any().contains("envinjector"));
    let bundles = ours.flat_map(|it| it.webhooks.iter().flatten());
    let mut bundles = bundles.filter_map(|webhook| webhook.client_config.ca_bundle.as_ref());
    let bundle = bundles.next().map(|bundle| authorities(&bundle.0));
    bundle.into_iter().flatten().take(2).collect()
}

/// One failure for each command that is needed: `verb` and then the pods.
fn failures<'p>(
    id: &'static str,
    why: impl Fn(&String) -> Explanation,
    verb: &str,
    pods: impl Iterator<Item = &'p Prepared>,
) -> Vec<Check> {
    let mut by_command: BTreeMap<(&str, String), Vec<&str>> = BTreeMap::new();
    for pod in pods {
        let command = recreate(&pod.namespace, &pod.name, pod.owner.found());
        by_command.entry((&pod.namespace, command)).or_default().push(&pod.name);
    }
    let failure = |((namespace, command), names): ((&str, String), Vec<&str>)| {
        let more = names.len().saturating_sub(NAMED);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        let names = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        let what = format!("In namespace {namespace} {verb} {names}{more}: {command}");
        Check::failed(id, Diagnosis::case(why(&command), what))
    };
    by_command.into_iter().map(failure).collect()
}
