//! Does the env injector stand, and do pods come to it?

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::{Check, Seen};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::controller::{available, is_scaled_to_zero};
use crate::gather::{Component, find};

const ID: &str = "injector";

/// Check `injector`: its Deployment among `deployments`, and its registration among `webhooks`. Who has neither did not install it.
pub(super) fn check(
    deployments: &Seen<Vec<Deployment>>,
    webhooks: &Seen<Vec<MutatingWebhookConfiguration>>,
    namespace: &str,
) -> Check {
    let deployment = find(deployments, Component::Injector);
    let injectors = webhooks.found().into_iter().flatten();
    let injectors: Vec<_> = injectors.filter(|it| it.name_any().contains("envinjector")).collect();
    let ours = injectors.iter().find(|it| may_be_of(it, namespace));
    match (deployment, ours) {
        (Seen::Found(deployment), _) if available(&deployment) == 0 => unavailable(&deployment, namespace),
        (Seen::Found(_), None) if matches!(webhooks, Seen::NotAllowed) => {
            let text = "The env injector's webhook: no right to list mutatingwebhookconfigurations.admissionregistration.k8s.io.";
            Check::not_allowed(ID, text)
        }
        (Seen::Found(deployment), None) => {
            let name = deployment.name_any();
            let what = format!("The webhook of Deployment {namespace}/{name} is not registered.");
            Check::failed(
                ID,
                Diagnosis::case(case::InjectorNotRegistered { namespace: &namespace }, what),
            )
        }
        (Seen::Missing, Some(registered)) if sends_to(registered, namespace) => {
            let configuration = &registered.name_any();
            let why = case::InjectorMissing {
                namespace: &namespace,
                configuration,
            };
            let what =
                format!("The env injector's webhook is registered ({configuration}), and there is no env injector.");
            Check::failed(ID, Diagnosis::case(why, what))
        }
        (_, Some(ours)) => registered(ours),
        (missing, None) => match (injectors.first(), missing) {
            (Some(theirs), _) => registered(theirs),
            (None, Seen::NotAllowed) => Check::not_made(
                ID,
                "The env injector: no right to list Deployments and mutatingwebhookconfigurations, or it is not installed.",
            ),
            (None, _) => Check::not_made(ID, "The env injector is not installed."),
        },
    }
}

fn registered(configuration: &MutatingWebhookConfiguration) -> Check {
    let name = configuration.name_any();
    Check::passed(ID, format!("The env injector's webhook is registered ({name})."))
}

fn unavailable(deployment: &Deployment, namespace: &str) -> Check {
    let name = deployment.name_any();
    let what = format!("Deployment {namespace}/{name} has no available replica.");
    let (namespace, deployment, is_off) = (&namespace, &name, is_scaled_to_zero(deployment));
    let why: Explanation = if is_off {
        case::InjectorScaledToZero { deployment, namespace }.into()
    } else {
        case::InjectorNotReady { deployment, namespace }.into()
    };
    Check::failed(ID, Diagnosis::case(why, what))
}

/// Whether a Service in `namespace` is what it calls.
fn sends_to(configuration: &MutatingWebhookConfiguration, namespace: &str) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten();
    webhooks.any(|webhook| {
        let service = webhook.client_config.service.as_ref();
        service.is_some_and(|service| service.namespace == namespace)
    })
}

/// The same, or it calls a URL, which tells nothing of whose it is.
fn may_be_of(configuration: &MutatingWebhookConfiguration, namespace: &str) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten();
    sends_to(configuration, namespace) || webhooks.any(|webhook| webhook.client_config.service.is_none())
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;
    use akv2k8s_shared::doctor::Outcome;
    use serde_json::json;

    use super::*;

    fn deployment(available: i32) -> Deployment {
        let labels = json!({"app.kubernetes.io/name": "akv2k8s", "app.kubernetes.io/component": "akv2k8s-webhook"});
        let metadata = json!({"name": "akv2k8s-envinjector", "labels": labels});
        serde_json::from_value(json!({"metadata": metadata, "status": {"availableReplicas": available}})).unwrap()
    }

    fn webhook(namespace: &str) -> MutatingWebhookConfiguration {
        calling(&json!({"service": {"name": "akv2k8s-envinjector", "namespace": namespace}}))
    }

    fn calling(client: &serde_json::Value) -> MutatingWebhookConfiguration {
        let webhook = json!({
            "name": "pods", "admissionReviewVersions": ["v1"], "sideEffects": "None", "clientConfig": client,
        });
        serde_json::from_value(json!({"metadata": {"name": "akv2k8s-envinjector"}, "webhooks": [webhook]})).unwrap()
    }

    #[test]
    fn what_is_installed_in_part_or_does_not_work_is_a_failure_and_what_is_not_installed_is_none() {
        let (none, theirs) = (|| Seen::Found(Vec::new()), || Seen::Found(vec![webhook("elsewhere")]));
        let ours = || Seen::Found(vec![webhook("akv2k8s")]);
        let both = || Seen::Found(vec![webhook("elsewhere"), webhook("akv2k8s")]);
        let by_url = || Seen::Found(vec![calling(&json!({"url": "https://h/pods"}))]);
        let deployed = |available| Seen::Found(vec![deployment(available)]);
        for (deployments, webhooks, expected) in [
            (none(), Seen::Found(Vec::new()), "not made"),
            (deployed(1), ours(), "passed"),
            (deployed(0), ours(), "InjectorNotRunning"),
            (deployed(1), Seen::Found(Vec::new()), "InjectorNotRunning"),
            (deployed(1), Seen::NotAllowed, "not allowed"),
            (deployed(1), theirs(), "InjectorNotRunning"),
            (deployed(1), both(), "passed"),
            (deployed(1), by_url(), "passed"),
            (none(), ours(), "InjectorNotRunning"),
            (none(), both(), "InjectorNotRunning"),
            (none(), theirs(), "passed"),
            (none(), by_url(), "passed"),
            (Seen::NotAllowed, ours(), "passed"),
            (Seen::NotAllowed, Seen::NotAllowed, "not made"),
        ] {
            let check = check(&deployments, &webhooks, "akv2k8s");
            let found = match &check.outcome {
                Outcome::Passed(_) => "passed",
                Outcome::NotMade(_) => "not made",
                Outcome::NotAllowed(_) => "not allowed",
                Outcome::Failed(diagnosis) => diagnosis.code.as_str(),
            };
            assert_eq!(found, expected, "{check:?}");
        }
        assert_eq!(Code::InjectorNotRunning.as_str(), "InjectorNotRunning");
    }
}
