//! `doctor identity --mint`: from the annotation to the vault, each broken link named, and well again once it is mended.

use akv2k8s_testbed::emulator::{Emulator, FederatedCredential, Firewall, Options, Role};
use serde_json::Value;

use crate::bed::Bed;

async fn emulated(bed: &mut Bed) -> anyhow::Result<Emulator> {
    let emulator = Emulator::start(Options::default()).await?;
    emulator.entra().trust_issuer_ca(bed.cluster.ca_pem());
    let (ca, cloud) = (bed.files.path().join("ca.pem"), bed.files.path().join("cloud.json"));
    emulator.write_ca_file(&ca)?;
    emulator.write_cloud_file(&cloud)?;
    for (name, value) in [
        ("SSL_CERT_FILE", ca.display().to_string()),
        ("AZURE_ENVIRONMENT", "AzureStackCloud".to_owned()),
        ("AZURE_ENVIRONMENT_FILEPATH", cloud.display().to_string()),
        ("AZURE_TENANT_ID", emulator.entra().tenant_id().to_owned()),
    ] {
        bed.variables.push((name.to_owned(), value));
    }
    Ok(emulator)
}

fn code(report: &Value) -> &str {
    report["next"]["code"].as_str().unwrap_or("healthy")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_link_from_the_annotation_to_the_vault_is_tried_and_the_broken_one_is_named() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-mint").await?;
    let emulator = emulated(&mut bed).await?;
    let app = emulator.entra().register_app();
    let vault = emulator.vault("kv1");
    let account = format!("{}/web", bed.ns());
    let command = [
        "doctor",
        "identity",
        "--serviceaccount",
        &account,
        "--mint",
        "--vault",
        "kv1",
    ];

    assert_eq!(code(&bed.json(&command).await?), "ServiceAccountNotFound");
    bed.apply("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: NS}\n")
        .await?;
    assert_eq!(code(&bed.json(&command).await?), "ServiceAccountNotAnnotated");
    bed.apply(&format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: web, namespace: NS, annotations: \
         {{azure.workload.identity/client-id: {}}}}}\n",
        app.client_id()
    ))
    .await?;

    let report = bed.json(&command).await?;
    assert!(
        [
            "NoFederatedCredential",
            "FederatedIssuerMismatch",
            "FederatedSubjectMismatch"
        ]
        .contains(&code(&report)),
        "{report:#}"
    );
    let fix = report["next"]["fix"].as_str().unwrap_or_default();
    let subject = format!("system:serviceaccount:{}:web", bed.ns());
    let issuer = bed.cluster.issuer().await?;
    assert!(fix.contains(&subject) && fix.contains(&issuer), "{report:#}");
    app.add_federated_credential(FederatedCredential::service_account(&issuer, bed.ns(), "web"));

    let report = bed.json(&command).await?;
    assert_eq!(code(&report), "ForbiddenByRbac", "{report:#}");
    assert!(
        report["next"].to_string().contains("az role assignment create"),
        "{report:#}"
    );
    vault.grant(app.principal(), Role::SecretsUser);

    vault.set_firewall(Some(Firewall::PrivateEndpoint));
    assert_eq!(code(&bed.json(&command).await?), "ForbiddenByFirewall");
    vault.set_firewall(None);

    let said = bed.run(&command).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "✓ Vault 'kv1' lets this identity read and list secrets.",
        "– Vault 'kv1': no right to read or list certificates (ForbiddenByRbac).",
        "– Vault 'kv1': no right to read or list keys (ForbiddenByRbac).",
    ] {
        assert!(said.has_line(line), "{line}: {said:?}");
    }
    assert!(!said.text.contains('✗'), "{said:?}");
    assert!(!said.text.contains("eyJ"), "a token was printed: {said:?}");

    vault.grant(app.principal(), Role::CertificateUser);
    let said = bed.run(&command).await?;
    for line in [
        "✓ Vault 'kv1' lets this identity read and list certificates.",
        "✓ Vault 'kv1' lets this identity read and list keys.",
    ] {
        assert!(said.has_line(line), "{line}: {said:?}");
    }
    // A role that lists secrets and gives out none is the one that is chosen by mistake.
    vault.revoke(app.principal());
    vault.grant(app.principal(), Role::Reader);
    assert_eq!(code(&bed.json(&command).await?), "ForbiddenByRbac");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mint_nobody_but_the_api_server_is_asked_and_what_entra_must_hold_is_said() -> anyhow::Result<()> {
    let mut bed = Bed::new("doctor-claims").await?;
    let emulator = emulated(&mut bed).await?;
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
    let with_vault = ["doctor", "identity", "--serviceaccount", &account, "--vault", "kv1"];
    let said = bed.run_as_plugin(&with_vault).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let create = format!(
        "az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{}' \
         --subject 'system:serviceaccount:{}:web' --audiences 'api://AzureADTokenExchange' (IDENTITY: the one with client id c-1",
        bed.cluster.issuer().await?,
        bed.ns()
    );
    assert!(said.text.contains(&create), "{create}: {said:?}");
    let assign = "az role assignment create --role \"Key Vault Secrets User\" --assignee c-1 --scope $(az keyvault show --name kv1 \
                  --query id --output tsv)";
    assert!(said.text.contains(assign), "{assign}: {said:?}");
    assert_eq!(emulator.journal().counts().total(), 0);
    Ok(())
}
