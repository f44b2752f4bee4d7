//! `doctor identity`: from the annotation to what a federated credential must name.

use crate::bed::Bed;

#[tokio::test(flavor = "multi_thread")]
async fn what_entra_must_hold_is_said() -> anyhow::Result<()> {
    let bed = Bed::new("doctor-claims").await?;
    bed.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: NS, annotations: \
         {azure.workload.identity/client-id: c-1}}\n",
    )
    .await?;
    let account = format!("{}/web", bed.ns());
    let said = bed.run(&["doctor", "identity", "--serviceaccount", &account]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let claims = format!(
        "It must name issuer {}, subject system:serviceaccount:{}:web, audience api://AzureADTokenExchange.",
        bed.cluster.issuer().await?,
        bed.ns()
    );
    assert!(said.text.contains(&claims), "{claims}: {said:?}");
    Ok(())
}
