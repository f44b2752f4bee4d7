//! The variables of the controller alone.

akv2k8s_shared::variables! {
    /// What the controller does.
    pub(crate) TABLE:
    RUNTIME_NAMESPACE, "", "the namespace this pod is in; with `--watch-all-namespaces=false` the one that is watched";
    OBJECT_LABELS, "", "`key=value,key2=value2`: only objects with all these labels are looked at";
    HTTP_PORT, "`9000`", "port of [health and metrics](../controller.md#endpoints)";
    METRICS_ENABLED, "`false`", "`true`, or another boolean of Go: serve [`/metrics`](../metrics.md)", "what is no boolean is an error; Go took it for `false`";
    CRD_UPGRADE, "`false`", "`true`: an older definition of AzureKeyVaultSecret is replaced by this program's at the start, with the rights of [crd-upgrade-rbac.yaml](../../examples/install/crd-upgrade-rbac.yaml); a newer one is left alone", "new";
}
