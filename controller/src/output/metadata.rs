//! Which labels and annotations of an AKVS its outputs get.

use std::collections::BTreeMap;

use akv2k8s_shared::api::DO_NOT_COPY;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Labels and annotations to copy onto an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// The labels and annotations of an AKVS that its outputs get: all but those a tool put there to find or track the AKVS
/// itself (kubectl, Argo CD, Helm, Flux), those that would give a Secret a meaning of its own, our settings, and those that
/// its annotation [`DO_NOT_COPY`] names.
pub fn copied(akvs: &ObjectMeta) -> Copied {
    let named = akvs.annotations.as_ref().and_then(|it| it.get(DO_NOT_COPY));
    let keep = |pairs: &Option<BTreeMap<String, String>>| {
        let pairs = pairs.iter().flatten();
        pairs
            .filter(|(key, value)| !is_excluded(key, value) && !named.is_some_and(|list| names(list, key)))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    Copied {
        labels: keep(&akvs.labels),
        annotations: keep(&akvs.annotations),
    }
}

fn is_excluded(key: &str, value: &str) -> bool {
    let (domain, name) = key.split_once('/').unwrap_or(("", key));
    match domain {
        "kubectl.kubernetes.io" | "meta.helm.sh" | "helm.sh" | "fluxcd.io" | "akv2k8s.spv.no" => true,
        // Tracking and sync marks stay behind; `secret-type` is how people give Argo CD its repositories and clusters.
        "argocd.argoproj.io" => name != "secret-type",
        "kubernetes.io" => name.starts_with("service-account."),
        "app.kubernetes.io" => name == "managed-by" && value == "Helm",
        _ => domain.ends_with(".fluxcd.io"),
    }
}

/// Whether `list` names `key`: in full, or by its beginning and `*`.
fn names(list: &str, key: &str) -> bool {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => pattern == key,
    };
    list.split(',').map(str::trim).any(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_tracks_the_akvs_by_is_not_copied_and_all_else_is() {
        let table = [
            ("team", "payments", true),
            ("app.kubernetes.io/instance", "shop", true),
            ("app.kubernetes.io/managed-by", "terraform", true),
            ("argocd.argoproj.io/secret-type", "repository", true),
            ("kubernetes.io/description", "x", true),
            ("notfluxcd.io/x", "x", true),
            ("reloader.stakater.com/match", "true", true),
            ("app.kubernetes.io/managed-by", "Helm", false),
            ("kubectl.kubernetes.io/last-applied-configuration", "{}", false),
            ("argocd.argoproj.io/instance", "shop", false),
            ("argocd.argoproj.io/tracking-id", "shop:…", false),
            ("argocd.argoproj.io/sync-wave", "1", false),
            ("helm.sh/chart", "shop-1.0", false),
            ("meta.helm.sh/release-name", "shop", false),
            ("kustomize.toolkit.fluxcd.io/name", "apps", false),
            ("helm.toolkit.fluxcd.io/name", "apps", false),
            ("fluxcd.io/sync-checksum", "x", false),
            ("kubernetes.io/service-account.name", "default", false),
            ("kubernetes.io/service-account.uid", "x", false),
            ("akv2k8s.spv.no/adopt", "true", false),
        ];
        for (key, value, expected) in table {
            let pairs = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let meta = ObjectMeta {
                labels: Some(pairs.clone()),
                annotations: Some(pairs.clone()),
                ..ObjectMeta::default()
            };
            let wanted = if expected { pairs } else { BTreeMap::new() };
            let copied = copied(&meta);
            assert_eq!(copied.labels, wanted, "label {key}");
            assert_eq!(copied.annotations, wanted, "annotation {key}");
        }
    }

    #[test]
    fn what_the_annotation_names_is_not_copied() {
        for (list, left) in [
            ("", &["cost.example.com/center", "cost.example.com/owner", "team"][..]),
            ("team", &["cost.example.com/center", "cost.example.com/owner"]),
            ("team , cost.example.com/center", &["cost.example.com/owner"]),
            ("cost.example.com/*", &["team"]),
            (
                "te,cost.example.com",
                &["cost.example.com/center", "cost.example.com/owner", "team"],
            ),
            (",,", &["cost.example.com/center", "cost.example.com/owner", "team"]),
            ("*", &[]),
        ] {
            let pairs = ["cost.example.com/center", "cost.example.com/owner", "team"];
            let pairs: BTreeMap<_, _> = pairs.map(|key| (key.to_owned(), "x".to_owned())).into();
            let mut annotations = pairs.clone();
            annotations.insert(DO_NOT_COPY.to_owned(), list.to_owned());
            let meta = ObjectMeta {
                labels: Some(pairs),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            };
            let copied = copied(&meta);
            assert!(copied.labels.keys().eq(left), "{list:?}: {copied:?}");
            assert!(copied.annotations.keys().eq(left), "{list:?}: {copied:?}");
        }
    }
}
