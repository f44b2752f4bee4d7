//! `convert`, `completion`, `man` and a wrong command line: streams and exit codes. No cluster is there.

use std::path::Path;

use serde_json::Value;

use crate::bed::{Said, program};

const MANIFESTS: &str = "
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: azure, namespace: shop}
spec: {provider: {azurekv: {vaultUrl: 'https://kv1.vault.azure.net'}}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db, namespace: shop}
spec: {secretStoreRef: {name: azure}, data: [{secretKey: k, remoteRef: {key: db}}]}
";

async fn run(arguments: &[&str]) -> anyhow::Result<Said> {
    program(arguments, Path::new("/does/not/exist")).await
}

#[tokio::test]
async fn manifests_go_to_standard_output_and_what_is_lost_to_standard_error_and_the_exit_code() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, MANIFESTS)?;
    let file = file.display().to_string();
    let converted = run(&["convert", "-f", &file]).await?;
    assert_eq!(converted.code, Some(0), "{converted:?}");
    let akvs: Value = serde_yaml::from_str(&converted.out)?;
    assert_eq!(akvs["spec"]["output"]["secret"]["dataKey"], "k", "{akvs:#}");
    assert!(converted.err.starts_with("! ExternalSecret shop/db: "), "{converted:?}");

    let back = folder.path().join("b.yaml");
    std::fs::write(&back, &converted.out)?;
    let back = back.display().to_string();
    let back = run(&["convert", "-f", &back, "--to", "external-secret", "-o", "json"]).await?;
    let list: Value = serde_json::from_str(&back.out)?;
    assert_eq!(
        list["items"][0]["spec"]["data"][0]["remoteRef"]["key"], "db",
        "{list:#}"
    );

    std::fs::write(&file, MANIFESTS.replace("{key: db}", "{key: db, property: user}"))?;
    let partly = run(&["convert", "-f", &file]).await?;
    assert_eq!((partly.code, &*partly.out), (Some(2), ""), "{partly:?}");
    assert!(
        partly
            .err
            .lines()
            .any(|line| line.starts_with("✗ ExternalSecret shop/db: k: one property")),
        "{partly:?}"
    );
    assert_eq!(run(&["convert", "-f", "/does/not/exist"]).await?.code, Some(1));
    Ok(())
}

#[tokio::test]
async fn help_is_made_for_shells_and_man_and_a_wrong_line_ends_with_64() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let pages = folder.path().join("man1").display().to_string();
    let man = run(&["man", &pages]).await?;
    assert_eq!((man.code, &*man.out), (Some(0), ""), "{man:?}");
    let page = std::fs::read_to_string(folder.path().join("man1/kubectl-akv2k8s-plan.1"))?;
    assert!(page.contains("filename"), "{page}");
    let bash = run(&["completion", "bash"]).await?;
    assert!(bash.code == Some(0) && bash.out.contains("complete -F"), "{bash:?}");
    for (line, code) in [
        (&["plan"][..], 64),
        (&["no-such-command"], 64),
        (&["--help"], 0),
        (&["--version"], 0),
    ] {
        assert_eq!(run(line).await?.code, Some(code), "{line:?}");
    }
    Ok(())
}
