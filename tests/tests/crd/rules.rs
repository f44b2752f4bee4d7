//! What the API server refuses, and with which words; and what it must not refuse.

use akv2k8s_shared::api::parse;
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Api, Error};
use serde_json::{Value, json};

use super::{Cluster, VERSIONS};

/// Lets the API server judge `spec` in `version`, without storing anything; gives its words when it refuses.
async fn judge(cluster: &Cluster, version: &str, spec: &Value) -> anyhow::Result<Result<(), String>> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("spv.no", version, "AzureKeyVaultSecret"));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), cluster.namespace.name(), &kind);
    let object = DynamicObject::new("judged", &kind).data(json!({"spec": spec}));
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match api.create(&dry_run, &object).await {
        Ok(_) => Ok(Ok(())),
        Err(Error::Api(status)) if status.code == 422 => Ok(Err(status.message)),
        Err(error) => Err(error.into()),
    }
}

/// A spec in the vault `my-vault`.
fn spec(object: &Value, output: &Value) -> Value {
    json!({"vault": {"name": "my-vault", "object": object}, "output": output})
}

fn in_vault(name: &str) -> Value {
    json!({"vault": {"name": name, "object": {"name": "s", "type": "secret"}}})
}

fn read_as(service_account: &str) -> Value {
    json!({"vault": {
        "name": "my-vault", "serviceAccountName": service_account, "object": {"name": "s", "type": "secret"},
    }})
}

fn of_object(name: &str, version: &str) -> Value {
    json!({"vault": {"name": "my-vault", "object": {"name": name, "type": "secret", "version": version}}})
}

/// A `secret` written to this output.
fn secret_to(output: &Value) -> Value {
    spec(&json!({"name": "s", "type": "secret"}), output)
}

/// Specs that no controller could ever sync, the field that is named, and what the message says to write.
fn never_syncable() -> Vec<(Value, &'static str, &'static str)> {
    let long = "a".repeat(128);
    let mut table = Vec::new();
    for name in [
        "",
        "ab",
        "1abc",
        "a--b",
        "abc-",
        "evil.com#",
        "https://my-vault",
        "my-vault.vault.azure.net",
    ] {
        table.push((in_vault(name), "spec.vault.name", "write the vault's short name"));
    }
    table.push((in_vault(&"a".repeat(25)), "spec.vault.name", "3 to 24 letters"));
    for name in ["", "../keys/k1", "a/b", "a.b", "a_b", "naïve", long.as_str()] {
        table.push((
            of_object(name, ""),
            "spec.vault.object.name",
            "write 1 to 127 letters, digits and hyphens",
        ));
    }
    for version in ["latest", "0123", &"g".repeat(32), &"a".repeat(33)] {
        table.push((
            of_object("s", version),
            "spec.vault.object.version",
            "write its 32 hexadecimal digits",
        ));
    }
    table.push((
        spec(
            &json!({"name": "s", "type": "multi-key-value-secret"}),
            &json!({"secret": {"name": "s"}}),
        ),
        "spec.vault.object",
        "needs 'contentType: application/x-json' or 'contentType: application/x-yaml'",
    ));
    let missing = "output.secret.dataKey is missing: write the key";
    for (object_type, secret) in [
        ("secret", json!({"name": "s"})),
        ("secret", json!({"name": "s", "dataKey": ""})),
        ("secret", json!({"name": "s", "type": "Opaque"})),
        ("secret", json!({"name": "s", "type": "example.com/mine"})),
        ("certificate", json!({"name": "s"})),
        ("certificate", json!({"name": "s", "type": "Opaque"})),
        ("key", json!({"name": "s", "type": "kubernetes.io/tls"})),
    ] {
        table.push((
            spec(&json!({"name": "o", "type": object_type}), &json!({"secret": secret})),
            "spec",
            missing,
        ));
    }
    for object_type in ["secret", "certificate", "key"] {
        let output = json!({"configMap": {"name": "c", "dataKey": ""}});
        let message = "output.configMap.dataKey is empty: write the key";
        table.push((
            spec(&json!({"name": "o", "type": object_type}), &output),
            "spec",
            message,
        ));
    }
    for key in ["a b", "a/b", ".", "..", "..a", "ü"] {
        let message = "write letters, digits, '-', '_' and '.'";
        let secret = json!({"secret": {"name": "s", "dataKey": key}});
        table.push((secret_to(&secret), "spec.output.secret.dataKey", message));
        let config_map = json!({"configMap": {"name": "s", "dataKey": key}});
        table.push((secret_to(&config_map), "spec.output.configMap.dataKey", message));
    }
    for name in ["", "Upper", "-a", "a-", "a..b", "a_b", &"a".repeat(254)] {
        let message = "write lower-case letters, digits, '-' and '.'";
        let secret = json!({"secret": {"name": name, "dataKey": "k"}});
        table.push((secret_to(&secret), "spec.output.secret.name", message));
        let config_map = json!({"configMap": {"name": name, "dataKey": "k"}});
        table.push((secret_to(&config_map), "spec.output.configMap.name", message));
        table.push((read_as(name), "spec.vault.serviceAccountName", message));
    }
    // Nobody names an account of another namespace.
    let message = "one of the same namespace";
    table.push((read_as("bank/reader"), "spec.vault.serviceAccountName", message));
    let subject = "system:serviceaccount:bank:reader";
    table.push((read_as(subject), "spec.vault.serviceAccountName", message));
    for field in ["transform", "transforms"] {
        let output = json!({"secret": {"name": "s", "dataKey": "k"}, field: ["trim", "rot13"]});
        table.push((
            secret_to(&output),
            "spec",
            "write 'trim', 'base64encode' or 'base64decode'",
        ));
    }
    table
}

/// Specs that a controller can sync, or that serve the env injector.
fn legal() -> Vec<Value> {
    let mut table = vec![
        in_vault("My-Vault"),
        in_vault("abc"),
        in_vault(&"a".repeat(24)),
        read_as("vault-reader.v2"),
        read_as(&"a".repeat(253)),
        of_object(&"a".repeat(127), ""),
        of_object("DB-Password-1", &"AB".repeat(16)),
        spec(&json!({"name": "s", "type": "secret"}), &json!({})),
        secret_to(&json!({
            "secret": {"name": "db.example", "dataKey": "_.db-password.TXT"},
            "configMap": {"name": "db", "dataKey": ".env"},
        })),
        secret_to(&json!({"transforms": ["trim", "trim", "base64decode"], "secret": {"name": "s", "dataKey": "k"}})),
        secret_to(&json!({"keyFormat": "jwk", "secret": {"name": "s", "dataKey": "k"}})),
        spec(
            &json!({"name": "c", "type": "certificate"}),
            &json!({"secret": {"name": "s", "type": "kubernetes.io/tls"}}),
        ),
        // Steps have no effect on a certificate, whatever they say.
        spec(
            &json!({"name": "c", "type": "certificate"}),
            &json!({"transform": ["rot13"], "secret": {"name": "s", "dataKey": "k", "chainOrder": "ensureserverfirst"}}),
        ),
        spec(
            &json!({"name": "k", "type": "key"}),
            &json!({"keyFormat": "raw", "secret": {"name": "s", "dataKey": "k"}}),
        ),
        json!({"vault": {
            "name": "my-vault", "azureIdentity": {"name": "me"}, "object": {"name": "s", "type": "secret"},
        }}),
    ];
    for content_type in ["application/x-json", "application/x-yaml"] {
        let object = json!({"name": "s", "type": "multi-key-value-secret", "contentType": content_type});
        let output = json!({"secret": {"name": "s"}, "configMap": {"name": "c", "dataKey": ""}});
        table.push(spec(&object, &output));
    }
    for secret_type in ["basic-auth", "dockerconfigjson", "dockercfg", "ssh-auth", "tls"] {
        let secret = json!({"secret": {"name": "s", "type": format!("kubernetes.io/{secret_type}")}});
        table.push(secret_to(&secret));
    }
    table
}

#[tokio::test]
async fn what_could_never_be_synced_is_refused_with_the_words_to_write() -> anyhow::Result<()> {
    let cluster = Cluster::new("refused").await?;
    for (number, (spec, field, advice)) in never_syncable().iter().enumerate() {
        let verdict = judge(&cluster, VERSIONS[number % VERSIONS.len()], spec).await?;
        let Err(message) = verdict else {
            panic!("accepted: {spec}")
        };
        assert!(
            message.contains(&format!("{field}: ")) && message.contains(advice),
            "{spec}: {message}"
        );
        assert!(
            parse_accepts(spec).is_err(),
            "the API server refuses what `parse` accepts: {spec}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn what_can_be_synced_is_accepted_in_every_version() -> anyhow::Result<()> {
    let cluster = Cluster::new("accepted").await?;
    for spec in legal() {
        for version in VERSIONS {
            assert_eq!(judge(&cluster, version, &spec).await?, Ok(()), "{version} {spec}");
        }
        assert_eq!(
            parse_accepts(&spec),
            Ok(()),
            "`parse` refuses what the API server accepts: {spec}"
        );
    }
    Ok(())
}

/// What [`parse`] says, for the API server and the programs must agree.
fn parse_accepts(spec: &Value) -> Result<(), String> {
    let akvs = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "judged"}, "spec": spec,
    });
    let akvs = serde_json::from_value(akvs).map_err(|error| error.to_string())?;
    parse(&akvs).map(drop).map_err(|diagnosis| diagnosis.to_string())
}

#[tokio::test]
async fn values_outside_an_enumeration_are_refused() -> anyhow::Result<()> {
    let cluster = Cluster::new("enumerations").await?;
    let keyed = |field: &str, value: &str| json!({"secret": {"name": "s", "dataKey": "k", field: value}});
    for (spec, supported) in [
        (
            spec(&json!({"name": "s", "type": "password"}), &json!({})),
            "\"multi-key-value-secret\"",
        ),
        (
            spec(
                &json!({"name": "s", "type": "secret", "contentType": "json"}),
                &json!({}),
            ),
            "\"application/x-json\"",
        ),
        (secret_to(&keyed("chainOrder", "reverse")), "\"ensureserverfirst\""),
        (secret_to(&json!({"keyFormat": "der"})), "\"jwk\""),
    ] {
        let verdict = judge(&cluster, "v2beta1", &spec).await?;
        assert!(
            verdict.as_ref().is_err_and(|message| message.contains(supported)),
            "{spec}: {verdict:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_output_in_yaml_is_no_output() -> anyhow::Result<()> {
    let cluster = Cluster::new("null").await?;
    cluster
        .apply(
            "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata:
  name: injected
spec:
  vault:
    name: my-vault
    azureIdentity:
    object:
      name: s
      type: secret
      version:
      contentType:
  output:
",
        )
        .await?;
    let akvs = cluster.api().get("injected").await?;
    assert_eq!((akvs.spec.output, akvs.spec.vault.azure_identity), (None, None));
    Ok(())
}
