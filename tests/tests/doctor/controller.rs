//! `akv2k8s-controller doctor`, as the real program with the controller's own rights.

use akv2k8s_testbed::emulator::{Policy, Role};
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

#[tokio::test(flavor = "multi_thread")]
async fn of_a_vault_by_name_it_is_told_what_the_identity_may_do_with_each_kind_of_object() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let vault = stack.vault("kv1");
    let launch = stack.controller().arg("doctor").arg("--vault").arg("kv1");
    let rights = async || {
        let output = launch.clone().output().await?;
        let text = String::from_utf8(output.stdout)?;
        let told: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with(['✓', '✗', '–']) && line.contains("kv1'"))
            .map(str::to_owned)
            .collect();
        anyhow::Ok((output.status.code(), told, text))
    };

    // Few identities need every kind: what is missing is told, and is no failure.
    vault.revoke(stack.app.principal());
    vault.grant(stack.app.principal(), Role::SecretsUser);
    let (code, told, text) = rights().await?;
    assert_eq!(
        told,
        [
            "✓ Vault 'kv1' lets this identity read and list secrets.",
            "– Vault 'kv1': no right to read or list certificates (ForbiddenByRbac).",
            "– Vault 'kv1': no right to read or list keys (ForbiddenByRbac).",
        ],
        "{text}"
    );
    assert_eq!(code, Some(0), "{text}");

    // Certificates may be listed and not read: the role is too small.
    let policy = Policy {
        secrets: vec!["get".to_owned()],
        certificates: vec!["list".to_owned()],
        ..Policy::default()
    };
    vault.set_policy(stack.app.principal(), policy);
    let (code, told, text) = rights().await?;
    assert_eq!(told.len(), 3, "{text}");
    assert_eq!(
        told[0],
        "✓ Vault 'kv1' lets this identity read secrets, and not list them: each is read to see a change."
    );
    assert!(
        told[1].starts_with("✗ Reading certificate '") && told[1].ends_with("(ForbiddenByPolicy)"),
        "{text}"
    );
    assert_eq!(
        told[2],
        "– Vault 'kv1': no right to read or list keys (ForbiddenByPolicy)."
    );
    assert!(text.contains("--certificate-permissions get list"), "{text}");
    assert_eq!(code, Some(1), "{text}");
    Ok(())
}

/// A namespace that was let in, with an AKVS that is read as its ServiceAccount.
const TEAM: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: vault-reader, namespace: shop, annotations: {azure.workload.identity/client-id: c-1}}
---
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db, namespace: shop}
spec: {vault: {name: kv1, serviceAccountName: vault-reader, object: {name: db, type: secret}}}
";

/// The check `id` of a doctor with these flags, once it has this state and code.
async fn check_is(launch: &Launch, id: &str, expected: &str) -> anyhow::Result<Value> {
    let what = format!("{id} to be {expected}");
    let check = akv2k8s_testbed::wait::until(&what, akv2k8s_testbed::stage::PATIENCE, async || {
        let (_, report) = report(launch).await.ok()?;
        assert!(!report.to_string().contains("eyJ"), "a token was printed: {report:#}");
        let checks = report["checks"].as_array()?;
        let check = checks.iter().find(|check| check["id"] == id)?;
        let found = check["code"].as_str().or(check["state"].as_str());
        (found == Some(expected)).then(|| check.clone())
    });
    Ok(check.await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_for_service_accounts_is_told_what_it_lacks_and_whether_the_policy_is_in_force_for_it()
-> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let policy = include_str!("../../../examples/isolation/01-cluster.yaml");
    let namespace = include_str!("../../../examples/isolation/02-namespace.yaml");
    let (labelled, binding) = namespace.split_once("---\n").expect("a namespace and its binding");
    for manifests in [policy, labelled, TEAM] {
        stack.cluster.kubectl_apply(manifests).await?;
    }
    let launch = stack.controller().arg("--service-account-identities");

    let denied = check_is(&launch, "account-rights", "ServiceAccountForbidden").await?;
    let words = "get serviceaccounts in shop, create serviceaccounts/token in shop";
    assert!(denied["text"].to_string().contains(words), "{denied:#}");
    stack.cluster.kubectl_apply(binding).await?;
    check_is(&launch, "account-rights", "passed").await?;
    check_is(&launch, "token-policy", "passed").await?;

    // The same controller under another name, as far as the policy knows.
    let elsewhere = policy.replace("akv2k8s:akv2k8s-controller", "other:akv2k8s-controller");
    stack.cluster.kubectl_apply(&elsewhere).await?;
    let open = check_is(&launch, "token-policy", "TokenRequestsUnrestricted").await?;
    assert_eq!(open["state"], "failed", "{open:#}");
    let (code, whole) = report(&launch).await?;
    assert_eq!(code, Some(1), "{whole:#}");
    let user = "Add 'system:serviceaccount:akv2k8s:akv2k8s-controller' to the list of users";
    assert!(whole["next"]["fix"].to_string().contains(user), "{whole:#}");
    // Without the flag nobody asks for anybody's token.
    let (_, without) = report(&stack.controller()).await?;
    assert!(!without.to_string().contains("token-policy"), "{without:#}");

    // Grants by label take a right of their own.
    let grants = tempfile::NamedTempFile::new()?;
    std::fs::write(
        grants.path(),
        "grants: [{namespaceSelector: {matchLabels: {team: pay}}, vaults: [kv1]}]\n",
    )?;
    let by_label = stack
        .controller()
        .arg(&format!("--vault-grants={}", grants.path().display()));
    let denied = check_is(&by_label, "rights", "ApiServerForbidden").await?;
    let text = denied["text"].to_string();
    assert!(text.contains("denies list namespaces, watch namespaces."), "{denied:#}");
    stack
        .cluster
        .kubectl_apply(include_str!("../../../examples/install/namespace-labels-rbac.yaml"))
        .await?;
    check_is(&by_label, "rights", "passed").await?;
    Ok(())
}
