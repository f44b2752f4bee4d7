//! What the controller must be allowed at the API server, asked by `SelfSubjectAccessReview`.

use std::fmt;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::doctor::Check;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::config::Config;
use crate::namespaces::Namespaces;

const ID: &str = "rights";
const LABELS_MANIFEST: &str = "examples/install/namespace-labels-rbac.yaml";

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Right {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    pub(super) subresource: Option<&'static str>,
    /// `None`: in all namespaces.
    pub(super) namespace: Option<String>,
    /// `None`: any object.
    pub(super) name: Option<String>,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if let Some(subresource) = self.subresource {
            write!(f, "/{subresource}")?;
        }
        match &self.namespace {
            Some(namespace) => write!(f, " in {namespace}"),
            None => Ok(()),
        }
    }
}

/// Check `rights`. `by_label`: the grants select namespaces by their labels.
pub(super) async fn check(client: &Client, config: &Config, by_label: bool) -> Check {
    let needed = needed(config, client.default_namespace());
    let labels = if by_label { of_labels() } else { Vec::new() };
    let mut missing = Vec::new();
    let mut manifests = Vec::new();
    for (rights, manifest) in [(&needed, manifest(config)), (&labels, LABELS_MANIFEST)] {
        let before = missing.len();
        for right in rights {
            match is_allowed(client, right).await {
                Ok(true) => {}
                Ok(false) => missing.push(right.to_string()),
                Err(error) => return unanswered(ID, &error),
            }
        }
        if missing.len() > before {
            manifests.push(format!("-f {manifest}"));
        }
    }
    verdict(needed.len() + labels.len(), &missing, &manifests.join(" "))
}

/// The rights for an installation with these flags.
fn manifest(config: &Config) -> &'static str {
    match (&config.namespaces, config.args.watch_outputs) {
        (Namespaces::Only(_), _) => "examples/install/one-namespace-rbac.yaml",
        (Namespaces::All, false) => "examples/install/without-watching-secrets-rbac.yaml",
        (Namespaces::All, true) => "examples/install/controller-rbac.yaml",
    }
}

/// What grants by label need.
fn of_labels() -> Vec<Right> {
    let right = |verb| Right {
        verb,
        group: "",
        resource: "namespaces",
        subresource: None,
        namespace: None,
        name: None,
    };
    ["list", "watch"].map(right).into()
}

/// Whether this program has `right`.
pub(super) async fn is_allowed(client: &Client, right: &Right) -> kube::Result<bool> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(right.verb.to_owned()),
                group: Some(right.group.to_owned()),
                resource: Some(right.resource.to_owned()),
                subresource: right.subresource.map(str::to_owned),
                namespace: right.namespace.clone(),
                name: right.name.clone(),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// What to say in check `id` when the question for a right was not answered.
pub(super) fn unanswered(id: &'static str, error: &kube::Error) -> Check {
    if let kube::Error::Api(status) = error
        && status.code == 403
    {
        return Check::not_allowed(
            id,
            "Rights at the API server: no right to ask for them (SelfSubjectAccessReview).",
        );
    }
    Check::failed(
        id,
        Diagnosis::case(case::ApiServerOutOfReach { error }, "The API server does not answer."),
    )
}

fn verdict(needed: usize, missing: &[String], manifests: &str) -> Check {
    if missing.is_empty() {
        return Check::passed(
            ID,
            format!("The API server grants all {needed} rights that are needed."),
        );
    }
    Check::failed(
        ID,
        Diagnosis::case(
            case::RightsMissing { manifests: &manifests },
            format!("The API server denies {}.", missing.join(", ")),
        ),
    )
}

/// What these flags need.
fn needed(config: &Config, default_namespace: &str) -> Vec<Right> {
    let right = |verb, (group, resource), subresource, namespace: Option<&str>| Right {
        verb,
        group,
        resource,
        subresource,
        namespace: namespace.map(str::to_owned),
        name: None,
    };
    let mut needed = Vec::new();
    for scope in config.namespaces.scopes() {
        const AKVS: (&str, &str) = ("spv.no", "azurekeyvaultsecrets");
        let right = |verb, kind, subresource| right(verb, kind, subresource, scope.namespace());
        needed.extend(["get", "list", "watch"].map(|verb| right(verb, AKVS, None)));
        needed.push(right("patch", AKVS, Some("status")));
        needed.push(right("update", AKVS, Some("finalizers")));
        let reading: &[_] = if config.args.watch_outputs {
            &["list", "watch"]
        } else {
            &[]
        };
        for resource in ["secrets", "configmaps"] {
            let verbs = ["get", "create", "patch", "delete"].iter().chain(reading);
            needed.extend(verbs.map(|verb| right(verb, ("", resource), None)));
        }
        needed.push(right("create", ("", "events"), None));
    }
    if config.args.leader_elect {
        let namespace = config
            .args
            .lease_namespace
            .clone()
            .or_else(|| config.own_namespace.clone());
        let namespace = namespace.as_deref().unwrap_or(default_namespace);
        let lease = ("coordination.k8s.io", "leases");
        // RBAC cannot say which one may be created.
        needed.push(right("create", lease, None, Some(namespace)));
        needed.extend(["get", "update"].map(|verb| Right {
            name: Some(config.args.lease_name.clone()),
            ..right(verb, lease, None, Some(namespace))
        }));
    }
    needed
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;

    use super::*;
    use crate::args::Args;

    fn needed_with(line: &[&str]) -> Vec<String> {
        let line = std::iter::once("controller")
            .chain(line.iter().copied())
            .map(Into::into);
        let environment = [("RUNTIME_NAMESPACE", "akv2k8s")].into_iter().collect();
        let config = Config::new(Args::from_command_line(line).unwrap(), environment).unwrap();
        needed(&config, "default").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flags_decide_what_is_needed() {
        let all = needed_with(&[]);
        assert_eq!(all.len(), 21);
        assert!(all.contains(&"patch azurekeyvaultsecrets/status".to_owned()), "{all:?}");
        assert!(all.contains(&"update leases in akv2k8s".to_owned()), "{all:?}");
        let narrow = needed_with(&[
            "--watch-outputs=false",
            "--leader-elect=false",
            "--watch-all-namespaces=false",
        ]);
        assert_eq!(narrow.len(), 14);
        assert!(narrow.iter().all(|right| right.ends_with(" in akv2k8s")), "{narrow:?}");
        assert!(!narrow.contains(&"list secrets in akv2k8s".to_owned()), "{narrow:?}");
        let several = needed_with(&["--watch-namespaces=shop,bank"]);
        for namespace in ["shop", "bank"] {
            assert!(several.contains(&format!("list secrets in {namespace}")), "{several:?}");
        }
        assert_eq!(several.len(), 2 * 18 + 3);
        assert!(several.contains(&"update leases in akv2k8s".to_owned()), "{several:?}");
    }

    #[test]
    fn what_is_denied_is_named() {
        let missing = ["create events".to_owned(), "patch secrets".to_owned()];
        let check = verdict(21, &missing, "-f examples/install/controller-rbac.yaml");
        let diagnosis = check.failure().unwrap();
        assert_eq!(diagnosis.code, Code::ApiServerForbidden);
        assert_eq!(diagnosis.what, "The API server denies create events, patch secrets.");
    }
}
