//! From the webhook to the pod: was this pod set up for workload identity?

use std::collections::BTreeMap;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhook, MutatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Pod, ServiceAccount, ServiceAccountTokenProjection, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::core::{Selector, SelectorExt};

use super::container::Presence;
use super::{
    AUDIENCE, CLIENT_ID, CLIENT_ID_ANNOTATION, Owner, TOKEN_FILE, USE_LABEL, Workload, container, service_account,
};
use crate::diagnosis::{Code, Diagnosis, Explanation, case};
use crate::doctor::{Check, Seen};

/// The name of the webhook itself, wherever and however it was installed.
const WEBHOOK: &str = "mutation.azure-workload-identity.io";

/// The ServiceAccount tokens that `volume` projects.
pub(super) fn tokens(volume: &Volume) -> impl Iterator<Item = &ServiceAccountTokenProjection> {
    let sources = volume.projected.iter().flat_map(|it| it.sources.iter().flatten());
    sources.filter_map(|source| source.service_account_token.as_ref())
}

/// Whether somebody, the webhook or a person, gave the pod a token for Entra.
pub(super) fn is_done(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let has_token = volumes
        .flat_map(tokens)
        .any(|token| token.audience.as_deref() == Some(AUDIENCE));
    has_token
        || container::of(pod)
            .iter()
            .any(|it| it.presence(TOKEN_FILE) == Presence::Set)
}

/// Checks `webhook`, `service-account`, `client-id-annotation`, `pod-label` and `set-up`.
pub(super) fn checks(workload: &Workload) -> Vec<Check> {
    let done = is_done(&workload.pod);
    let explicit = workload
        .variables()
        .iter()
        .any(|it| it.presence(CLIENT_ID) != Presence::Unset);
    let mut checks = vec![webhook(workload, done)];
    checks.extend(service_account::checks(
        workload.namespace(),
        workload.service_account_name(),
        &workload.service_account,
        explicit,
    ));
    checks.push(label(workload, done));
    if checks.iter().all(|check| check.failure().is_none()) {
        checks.push(set_up(workload, done));
    }
    checks
}

fn webhook(workload: &Workload, done: bool) -> Check {
    const ID: &str = "webhook";
    match &workload.webhooks {
        Seen::Found(all) => match find(all) {
            Some((configuration, _)) => {
                let name = configuration.metadata.name.as_deref().unwrap_or_default();
                Check::passed(ID, format!("The workload identity webhook is installed ({name})."))
            }
            None if done => Check::not_made(
                ID,
                "The workload identity webhook is not installed (any more); this pod has what it would have given.",
            ),
            None => Check::failed(ID, missing_webhook()),
        },
        Seen::Missing => Check::failed(ID, missing_webhook()),
        Seen::NotAllowed => Check::not_made(
            ID,
            "The workload identity webhook: no right to list mutatingwebhookconfigurations.",
        ),
    }
}

fn find(all: &[MutatingWebhookConfiguration]) -> Option<(&MutatingWebhookConfiguration, &MutatingWebhook)> {
    all.iter()
        .flat_map(|it| it.webhooks.iter().flatten().map(move |webhook| (it, webhook)))
        .find(|(_, webhook)| webhook.name == WEBHOOK)
}

fn missing_webhook() -> Diagnosis {
    Diagnosis::case(
        Code::WorkloadIdentityWebhookMissing,
        "The workload identity webhook is not installed in this cluster.",
    )
}

fn label(workload: &Workload, done: bool) -> Check {
    const ID: &str = "pod-label";
    match workload.label(USE_LABEL) {
        Some("true") => Check::passed(ID, format!("The pod carries the label {USE_LABEL}=true.")),
        _ if done => Check::passed(ID, "The pod has a token for Entra without the webhook's label."),
        found => Check::failed(
            ID,
            Diagnosis::case(
                Explanation {
                    fix: how_to_label(workload).fix,
                    ..why_unlabelled(workload, found)
                },
                format!("The {} lacks the label {USE_LABEL}=true.", workload.subject()),
            ),
        ),
    }
}

/// Where the label is in place of the pod.
fn why_unlabelled(workload: &Workload, found: Option<&str>) -> Explanation {
    let is_true = |labels: &BTreeMap<String, String>| labels.get(USE_LABEL).is_some_and(|value| value == "true");
    if let Some(value) = &found {
        return case::LabelNotTrue { value }.into();
    }
    if let Some(Owner { kind, name, .. }) = workload.owner.found().filter(|owner| is_true(&owner.template_labels)) {
        return case::LabelYoungerThanPod { kind, name }.into();
    }
    let carries = |owner: &&Owner| owner.labels.contains_key(USE_LABEL);
    if let Some(Owner { kind, name, .. }) = workload.owner.found().filter(carries) {
        return case::LabelOnOwner { kind, name }.into();
    }
    let of_pod = workload.pod.metadata.annotations.as_ref();
    if of_pod.is_some_and(|annotations| annotations.contains_key(USE_LABEL)) {
        return case::LabelIsAnnotation.into();
    }
    let account = workload.service_account.found();
    if account.is_some_and(|account| account.metadata.labels.as_ref().is_some_and(is_true)) {
        let name = &workload.service_account_name();
        return case::LabelOnServiceAccount { name }.into();
    }
    case::LabelNowhere.into()
}

fn how_to_label(workload: &Workload) -> Explanation {
    match workload.owner.found() {
        Some(owner) if owner.template_labels.get(USE_LABEL).is_some_and(|it| it == "true") => {
            let recreate = &workload.recreate();
            case::TemplateIsLabelled { recreate }.into()
        }
        Some(owner) if owner.kind != "Job" => Code::WorkloadIdentityLabelMissing.explain(&[
            ("workload", &format!("{} {}", owner.kind.to_lowercase(), owner.name)),
            ("namespace", workload.namespace()),
        ]),
        _ => case::PodWithoutTemplate.into(),
    }
}

/// Everything the webhook needs is there now: was it when the pod was made?
fn set_up(workload: &Workload, done: bool) -> Check {
    const ID: &str = "set-up";
    if done {
        return Check::passed(ID, "The pod was given variables and a token.");
    }
    let what = format!("The {} was not set up when it was created.", workload.subject());
    let known = workload.webhooks.found().and_then(|all| find(all));
    if let Some((_, webhook)) = known
        && let Some(blind) = blind_to(webhook, workload)
    {
        return Check::failed(ID, Diagnosis::case(blind, what));
    }
    let made = workload.pod.metadata.creation_timestamp.as_ref();
    let later = |time: Option<&Time>| matches!((made, time), (Some(made), Some(time)) if time.0 > made.0);
    let account = workload.service_account.found();
    let recreate = &workload.recreate();
    let cause: Explanation =
        if later(known.and_then(|(configuration, _)| configuration.metadata.creation_timestamp.as_ref())) {
            case::WebhookInstalledLater { recreate }.into()
        } else if later(account.and_then(annotated_at)) {
            case::AnnotatedLater { recreate }.into()
        } else {
            case::WebhookDidNotAnswer { recreate }.into()
        };
    Check::failed(ID, Diagnosis::case(cause, what))
}

/// Why the webhook never sees this pod, if its selectors say so.
fn blind_to(webhook: &MutatingWebhook, workload: &Workload) -> Option<Explanation> {
    let excludes = |selector: Option<&LabelSelector>, labels: Option<&BTreeMap<String, String>>| {
        let selector = selector?;
        let none = BTreeMap::new();
        let parsed = Selector::try_from(selector.clone()).ok()?;
        (!parsed.matches(labels.unwrap_or(&none))).then(|| parsed.to_string())
    };
    if let Some(namespace) = workload.namespace.found()
        && let Some(selector) = excludes(webhook.namespace_selector.as_ref(), namespace.metadata.labels.as_ref())
    {
        let namespace = &workload.namespace();
        return Some(
            case::WebhookBlindToNamespace {
                namespace,
                selector: &selector,
            }
            .into(),
        );
    }
    let selector = &excludes(webhook.object_selector.as_ref(), workload.pod.metadata.labels.as_ref())?;
    Some(case::WebhookBlindToPod { selector }.into())
}

/// When whoever set the client id's annotation last changed the ServiceAccount.
fn annotated_at(account: &ServiceAccount) -> Option<&Time> {
    let field = format!("f:{CLIENT_ID_ANNOTATION}");
    let entries = account.metadata.managed_fields.iter().flatten();
    let sets = entries.filter(|entry| {
        let fields = entry
            .fields_v1
            .as_ref()
            .map(|fields| &fields.0["f:metadata"]["f:annotations"]);
        fields.is_some_and(|fields| fields.get(&field).is_some())
    });
    sets.filter_map(|entry| entry.time.as_ref()).max_by_key(|time| time.0)
}
