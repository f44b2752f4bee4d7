//! Sets of values that tests render.

/// Names of some of them that tests speak of.
pub(crate) const BY_WORKLOAD_IDENTITY: &str = "workload identity by hand";
pub(crate) const WITH_CERT_MANAGER: &str = "certificate manager";
pub(crate) const IN_ONE_NAMESPACE: &str = "controllers of namespaces";

/// Values files that users of akv2k8s 2.x have, as their questions show them: names are made up.
pub(crate) const OLD: &[(&str, &str)] = &[
    ("defaults", include_str!("old/defaults.yaml")),
    ("service principal in env", include_str!("old/service-principal.yaml")),
    (BY_WORKLOAD_IDENTITY, include_str!("old/workload-identity.yaml")),
    ("pod identity", include_str!("old/pod-identity.yaml")),
    ("managed identity in values", include_str!("old/managed-identity.yaml")),
    ("restricted init container", include_str!("old/restricted.yaml")),
    (IN_ONE_NAMESPACE, include_str!("old/one-namespace.yaml")),
    (WITH_CERT_MANAGER, include_str!("old/cert-manager.yaml")),
    ("monitored", include_str!("old/monitored.yaml")),
];

/// Values of ours that turn everything on.
pub(crate) const EVERYTHING: &str = include_str!("everything.yaml");

/// All of them, and the profile.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    OLD.iter()
        .map(|(_, values)| *values)
        .chain([EVERYTHING, "profile: hardened"])
}
