//! `akv2k8s-controller doctor`, as the real program with the controller's own rights.

use akv2k8s_testbed::emulator::Role;
use akv2k8s_testbed::stack::{Launch, Stack};
use serde_json::Value;

async fn report(launch: &Launch) -> anyhow::Result<(Option<i32>, Value)> {
    let output = launch.clone().arg("doctor").arg("-o").arg("json").output().await?;
    let text = String::from_utf8(output.stdout)?;
    let report = serde_json::from_str(&text)
        .map_err(|error| anyhow::anyhow!("{error}: {text:?}, {:?}", String::from_utf8_lossy(&output.stderr)))?;
    Ok((output.status.code(), report))
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_controllers_own_place_each_broken_link_is_named_and_a_whole_chain_is_healthy() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let vault = stack.vault("kv1");
    let launch = stack.controller();
    stack
        .cluster
        .kubectl_apply(
            "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata: {name: db, namespace: default}\n\
             spec: {vault: {name: kv1, object: {name: db, type: secret}}}\n",
        )
        .await?;

    let (code, whole) = report(&launch).await?;
    assert_eq!(code, Some(0), "{whole:#}");
    assert!(
        whole["checks"]
            .as_array()
            .is_some_and(|checks| checks.iter().all(|check| check["state"] != "failed"))
    );
    assert!(whole.to_string().contains("Vault 'kv1' answers"), "{whole:#}");

    vault.revoke(stack.app.principal());
    let (code, denied) = report(&launch).await?;
    assert_eq!(
        (code, &denied["next"]["code"]),
        (Some(1), &"ForbiddenByRbac".into()),
        "{denied:#}"
    );
    vault.grant(stack.app.principal(), Role::SecretsUser);

    let (_, elsewhere) = report(&launch.clone().env("AZURE_FEDERATED_TOKEN_FILE", "/does/not/exist")).await?;
    assert_eq!(elsewhere["next"]["code"], "TokenFileUnreadable", "{elsewhere:#}");

    stack.app.remove_federated_credentials();
    let (_, unknown) = report(&launch).await?;
    let said = unknown["next"].to_string();
    assert!(
        said.contains("system:serviceaccount:akv2k8s:akv2k8s-controller"),
        "{unknown:#}"
    );

    stack
        .cluster
        .kubectl(&["delete", "clusterrolebinding", "akv2k8s-controller"])
        .await?
        .success()?;
    let denied = akv2k8s_testbed::wait::until("the rights to go", std::time::Duration::from_secs(30), async || {
        let (_, report) = report(&launch).await.ok()?;
        (report["next"]["code"] == "ApiServerForbidden").then_some(report)
    });
    let denied = denied.await?;
    assert!(
        denied["next"]["what"]
            .as_str()
            .is_some_and(|what| what.contains("patch azurekeyvaultsecrets/status")),
        "{denied:#}"
    );
    Ok(())
}
