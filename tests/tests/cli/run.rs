//! `run`: the wrapper's references on a laptop.

use std::os::unix::fs::PermissionsExt;

use akv2k8s_testbed::emulator::Role;

use crate::bed::{Bed, Said};

fn value<'s>(said: &'s Said, name: &str) -> Option<&'s str> {
    said.out
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
}

#[tokio::test(flavor = "multi_thread")]
async fn references_of_environment_and_file_are_resolved_with_the_specs_of_the_namespace() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-run").await?;
    bed.set("db", "canary")?;
    bed.set("many", r#"{"user": "canary-user"}"#)?;
    bed.stage
        .apply("db", "{vault: {name: kv1, object: {name: db, type: secret}}}")
        .await?;
    let many =
        "{vault: {name: kv1, object: {name: many, type: multi-key-value-secret, contentType: application/x-json}}}";
    bed.stage.apply("many", many).await?;
    let file = bed.file(
        ".env",
        "# of the project\nexport DB='db@azurekeyvault'\nUSER=many@azurekeyvault?user\nPLAIN=\"a b\"\n",
    )?;
    bed.variables
        .push(("DIRECT", "azurekeyvault://kv1/secrets/db".to_owned()));
    let env = bed.run(&["run", "--env-file", &file, "--", "/usr/bin/env"]).await?;
    assert_eq!(env.code, Some(0), "{env:?}");
    for (name, expected) in [
        ("DB", "canary"),
        ("USER", "canary-user"),
        ("PLAIN", "a b"),
        ("DIRECT", "canary"),
    ] {
        assert_eq!(value(&env, name), Some(expected), "{name}");
    }
    assert_eq!(value(&env, "AUTH_TYPE"), Some("environment"), "its own variables stay");
    assert!(!env.out.contains("ENV_INJECTOR"), "{env:?}");

    let code = bed.run(&["run", "--", "/bin/sh", "-c", "exit 7"]).await?;
    assert_eq!(code.code, Some(7), "the program's own: {code:?}");
    let absent = bed.run(&["run", "--", "no-such-program"]).await?;
    assert_eq!(absent.code, Some(127), "{absent:?}");
    let unknown = bed.file(".env", "DB=none@azurekeyvault\n")?;
    let unknown = bed.run(&["run", "--env-file", &unknown, "--", "/usr/bin/env"]).await?;
    assert_eq!((unknown.code, &*unknown.out), (Some(1), ""), "{unknown:?}");
    assert!(unknown.err.contains("/none, which a variable names"), "{unknown:?}");
    let broken = bed.file(".env", "A=1\ncanary\n")?;
    let broken = bed.run(&["run", "--env-file", &broken, "--", "/usr/bin/env"]).await?;
    assert!(broken.code == Some(1) && broken.err.contains("line 2"), "{broken:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_logged_in_to_az_needs_no_cluster_for_direct_references() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-az").await?;
    bed.set("db", "canary")?;
    bed.vault.revoke(bed.stage.app.principal());
    let entra = bed.stage.emulator.entra();
    let ann = entra.add_user("ann@example.com", "x");
    bed.vault.grant(&ann, Role::SecretsUser);
    let cloud = bed.stage.emulator.cloud();
    let audience = cloud["resourceIdentifiers"]["keyVault"].as_str().unwrap_or_default();
    let token = entra.token(&ann, audience)?;
    let until = bed.stage.emulator.clock().now() + 3000;
    let az = bed.file(
        "bin/az",
        &format!("#!/bin/sh\necho '{{\"accessToken\": \"{token}\", \"expires_on\": {until}}}'\n"),
    )?;
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755))?;
    let bin = bed.stage.files().join("bin").display().to_string();
    for name in ["AUTH_TYPE", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"] {
        bed.variables.push((name, String::new()));
    }
    // A laptop: nothing answers in the place of the metadata service.
    let mut cloud = cloud;
    cloud["imdsEndpoint"] = "http://127.0.0.1:1/".into();
    let cloud = bed.file("laptop.json", &cloud.to_string())?;
    bed.variables.push(("AZURE_ENVIRONMENT_FILEPATH", cloud));
    bed.variables.push(("KUBECONFIG", "/does/not/exist".to_owned()));
    bed.variables.push(("PATH", bin));
    bed.variables.push(("DB", "azurekeyvault://kv1/secrets/db".to_owned()));
    let env = bed.run(&["run", "--", "/usr/bin/env"]).await?;
    assert_eq!((env.code, value(&env, "DB")), (Some(0), Some("canary")), "{env:?}");
    assert_eq!(value(&env, "AUTH_TYPE"), None, "{env:?}");
    bed.vault.revoke(&ann);
    let denied = bed.run(&["run", "--", "/usr/bin/env"]).await?;
    assert_eq!((denied.code, &*denied.out), (Some(1), ""), "{denied:?}");
    assert!(
        denied
            .err
            .starts_with("kubectl-akv2k8s: DB (azurekeyvault://kv1/secrets/db): ForbiddenByRbac"),
        "{denied:?}"
    );
    Ok(())
}
