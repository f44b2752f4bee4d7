//! The cloud and the tenant of ServiceAccounts are the controller's, wherever it has them from.

use crate::bed::{Bed, grant};

#[tokio::test(flavor = "multi_thread")]
async fn cloud_and_tenant_of_the_nodes_file_are_those_of_serviceaccounts_too() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let vault = bed.vault("one")?;
    let app = bed.app("shop").await?;
    grant(&vault, &app);
    bed.admit("shop").await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("azure.json");
    let content = serde_json::json!({
        "cloud": "AzureStackCloud", "tenantId": bed.stack.emulator.entra().tenant_id(),
        "useManagedIdentityExtension": true,
    });
    // Variables that point to the public cloud, and name no tenant.
    let launch = bed
        .launch()
        .arg("--service-account-identities")
        .arg(&format!("--cloudconfig={}", file.display()))
        .env("AUTH_TYPE", "azureCloudConfig")
        .env("AZURE_ENVIRONMENT", "AzurePublicCloud")
        .env("AZURE_TENANT_ID", "");
    let _controller = launch.start().await?;
    bed.team("shop", app.client_id()).await?;

    // Without the file it is not known where to ask, and not guessed.
    bed.wait_for("shop", "CloudConfigUnreadable").await?;
    assert_eq!(bed.stack.emulator.journal().counts().total(), 0);

    std::fs::write(&file, content.to_string())?;
    bed.wait_for_value("shop", "one").await?;
    bed.wait_for_reader("shop", app.client_id()).await?;
    Ok(())
}
