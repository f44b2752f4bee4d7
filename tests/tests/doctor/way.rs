//! `doctor identity --vault` without `--mint`: what the API server knows of the controller's way to a vault for a ServiceAccount.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd;
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;

use crate::bed::Bed;

/// The controller as a Deployment that nobody runs: only what it says counts here.
const CONTROLLER: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: akv2k8s}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: grants, namespace: akv2k8s}
data: {grants.yaml: 'GRANTS'}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: akv2k8s-controller
  namespace: akv2k8s
  labels: {app.kubernetes.io/name: akv2k8s, app.kubernetes.io/component: akv2k8s-controller}
spec:
  replicas: 0
  selector: {matchLabels: {app: akv2k8s}}
  template:
    metadata: {labels: {app: akv2k8s}}
    spec:
      serviceAccountName: akv2k8s-controller
      containers:
      - name: controller
        image: example.org/controller
        args: [--vault-grants=/etc/akv2k8s/grants.yaml, SWITCH]
        volumeMounts: [{name: grants, mountPath: /etc/akv2k8s}]
      volumes: [{name: grants, configMap: {name: grants}}]
";

const OTHERS: &str = "grants: [{namespaces: [other], vaults: [kv1]}]";
const OURS: &str = "grants: [{namespaces: [shop], vaults: [kv1], types: [secret]}]";

const ACCOUNT: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: vault-reader, namespace: shop, annotations: {azure.workload.identity/client-id: c-1}}
";

const ASKING: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db, namespace: shop}
spec:
  vault: {name: kv1, serviceAccountName: vault-reader, object: {name: db, type: secret}}
  output: {secret: {name: db, dataKey: v}}
";

const COMMAND: [&str; 6] = [
    "doctor",
    "identity",
    "--serviceaccount",
    "shop/vault-reader",
    "--vault",
    "kv1",
];

fn controller(grants: &str, switch: &str) -> String {
    CONTROLLER.replace("GRANTS", grants).replace("SWITCH", switch)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_thing_that_keeps_the_controller_from_reading_for_an_account_is_named_until_nothing_does()
-> anyhow::Result<()> {
    let cluster = ControlPlane::start().await?;
    let mut bed = Bed::new("doctor-way").await?;
    bed.kubeconfig = cluster.kubeconfig().to_owned();
    crd::install(&cluster.client()?).await?;
    for manifests in [
        ACCOUNT,
        include_str!("../../../examples/isolation/01-cluster.yaml"),
        &controller(OTHERS, "-v=2"),
    ] {
        cluster.kubectl_apply(manifests).await?;
    }

    // Nobody asks the controller: what keeps it from reading is told, and is nobody's failure.
    let said = bed.run(&COMMAND).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.has_line("– The controller does not read vaults as ServiceAccounts."),
        "{said:?}"
    );
    assert!(said.has_line("– Namespace 'shop' may not use vault 'kv1'."), "{said:?}");

    cluster.kubectl_apply(ASKING).await?;
    let next = async || {
        let report = bed.json(&COMMAND).await?;
        anyhow::Ok((report["next"]["code"].as_str().unwrap_or("healthy").to_owned(), report))
    };
    let (code, report) = next().await?;
    assert_eq!(code, "ServiceAccountIdentitiesOff", "{report:#}");

    cluster
        .kubectl_apply(&controller(OTHERS, "--service-account-identities"))
        .await?;
    let (code, report) = next().await?;
    assert_eq!(code, "ServiceAccountTokenRefused", "{report:#}");
    let fix = report["next"]["fix"].as_str().unwrap_or_default();
    let label = "kubectl label namespace shop akv2k8s.spv.no/service-account-identities=enabled";
    assert!(fix.contains(label), "{fix}");
    let words: Vec<_> = label.split(' ').skip(1).collect();
    cluster.kubectl(&words).await?.success()?;

    let (code, report) = next().await?;
    assert_eq!(code, "ServiceAccountForbidden", "{report:#}");
    let fix = report["next"]["fix"].as_str().unwrap_or_default();
    let (_, bind) = fix.split_once("kubectl ").unwrap_or_default();
    cluster.kubectl(&bind.split(' ').collect::<Vec<_>>()).await?.success()?;

    // The binding takes effect a moment after it was written.
    let denied = until("the right to ask for tokens", PATIENCE, async || {
        let (code, report) = next().await.ok()?;
        (code != "ServiceAccountForbidden").then_some((code, report))
    });
    let (code, report) = denied.await?;
    assert_eq!(code, "VaultNotGranted", "{report:#}");
    assert!(
        report["next"]["cause"].to_string().contains("ConfigMap akv2k8s/grants"),
        "{report:#}"
    );

    cluster
        .kubectl_apply(&controller(OURS, "--service-account-identities"))
        .await?;
    let said = bed.run(&COMMAND).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "✓ AzureKeyVaultSecrets that name ServiceAccount shop/vault-reader: db.",
        "✓ The controller reads vaults as ServiceAccounts",
        "✓ Namespace shop is labelled",
        "✓ system:serviceaccount:akv2k8s:akv2k8s-controller may ask for tokens",
        "✓ Vault grants: namespace shop may use of vault 'kv1': secrets.",
        "– Vault 'kv1' was not asked (--mint does)",
    ] {
        assert!(said.has_line(line), "{line}: {said:?}");
    }
    Ok(())
}
