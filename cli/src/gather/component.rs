//! The two programs of an installation, told apart by the chart's labels; akv2k8s' own chart has the same.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

const NAME: (&str, &str) = ("app.kubernetes.io/name", "akv2k8s");
/// The label's value begins so, whatever the values call the program.
const CHART: (&str, &str) = ("helm.sh/chart", "akv2k8s-");
const COMPONENT: &str = "app.kubernetes.io/component";
/// What the charts call the port of probes and metrics.
const HTTP: &str = "http";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// The controller.
    Controller,
    /// The env injector.
    Injector,
}

impl Component {
    /// Which of them `deployment` is, if any.
    pub(crate) fn of(deployment: &Deployment) -> Option<Self> {
        let labels = deployment.labels();
        let is_named = labels.get(NAME.0).is_some_and(|name| name == NAME.1);
        if !is_named && !labels.get(CHART.0).is_some_and(|chart| chart.starts_with(CHART.1)) {
            return None;
        }
        let component = labels.get(COMPONENT)?;
        [Self::Controller, Self::Injector]
            .into_iter()
            .find(|it| component.ends_with(it.ending()))
    }

    /// What its label ends with, behind the release's name.
    fn ending(self) -> &'static str {
        match self {
            Self::Controller => "-controller",
            Self::Injector => "-webhook",
        }
    }

    /// Where `pod` answers probes: on the port of that name, else on the program's own.
    pub(crate) fn http_port(self, pod: &Pod) -> u16 {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
        let named = ports.find(|port| port.name.as_deref() == Some(HTTP));
        named
            .and_then(|port| u16::try_from(port.container_port).ok())
            .unwrap_or(match self {
                Self::Controller => 9000,
                Self::Injector => 8080,
            })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_is_ours_by_its_labels_and_not_by_its_name() {
        let of = |name: &str, labels: &[(&str, &str)]| {
            let labels: std::collections::BTreeMap<_, _> = labels.iter().copied().collect();
            let metadata = json!({"name": name, "labels": labels});
            Component::of(&serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let component = "app.kubernetes.io/component";
        for (name, labels, expected) in [
            (
                "shop-akv2k8s-controller",
                &[NAME, (component, "shop-akv2k8s-controller")][..],
                Some(Component::Controller),
            ),
            (
                "renamed",
                &[("helm.sh/chart", "akv2k8s-2.6.0"), (component, "akv2k8s-webhook")],
                Some(Component::Injector),
            ),
            ("payments-controller", &[], None),
            ("akv2k8s-controller", &[(component, "akv2k8s-controller")], None),
            ("akv2k8s-controller", &[NAME], None),
            (
                "payments-controller",
                &[
                    ("app.kubernetes.io/name", "payments"),
                    (component, "payments-controller"),
                ],
                None,
            ),
        ] {
            assert_eq!(of(name, labels), expected, "{name}");
        }
    }

    #[test]
    fn the_port_of_probes_is_asked_of_the_pod() {
        let pod = |ports: serde_json::Value| {
            let spec = json!({"containers": [{"name": "proxy"}, {"name": "c", "ports": ports}]});
            serde_json::from_value::<Pod>(json!({"spec": spec})).unwrap()
        };
        let named = pod(json!([{"name": "auth-tls", "containerPort": 8443}, {"name": "http", "containerPort": 9100}]));
        assert_eq!(Component::Injector.http_port(&named), 9100);
        let unnamed = pod(json!([{"containerPort": 1}]));
        assert_eq!(Component::Injector.http_port(&unnamed), 8080);
        assert_eq!(Component::Controller.http_port(&unnamed), 9000);
    }
}
