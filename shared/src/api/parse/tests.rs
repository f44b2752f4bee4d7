//! Specs and what becomes of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The AKVS with this `spec`, as the API server would hand it over.
fn akvs(spec: &Value) -> AzureKeyVaultSecret {
    serde_json::from_value(json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
        "metadata": {"name": "db", "namespace": "team"},
        "spec": spec,
    }))
    .unwrap()
}

fn with_object(object: &Value, output: &Value) -> AzureKeyVaultSecret {
    akvs(&json!({"vault": {"name": "My-Vault", "object": object}, "output": output}))
}

#[test]
fn a_complete_spec_becomes_a_request() {
    let request = parse(&with_object(
        &json!({"name": "db-password", "type": "secret", "version": "AB".repeat(16)}),
        &json!({
            "transform": ["trim", "base64decode"],
            "secret": {"name": "db", "dataKey": "password"},
            "configMap": {"name": "db.settings", "dataKey": "password"},
        }),
    ))
    .unwrap();
    assert_eq!(
        request.object.to_string(),
        format!("secret 'db-password' in vault 'my-vault', version {}", "ab".repeat(16))
    );
    assert_eq!(request.transforms, [Transform::Trim, Transform::Base64Decode]);
    let (name, secret) = request.secret.unwrap();
    assert_eq!(
        (name.as_str(), secret.data_key.as_deref(), secret.secret_type),
        ("db", Some("password"), None)
    );
    assert_eq!(request.config_map.unwrap().0, "db.settings");
    assert_eq!(request.warnings, Vec::<String>::new());
}

#[test]
fn without_output_there_is_nothing_to_write() {
    let request = parse(&akvs(
        &json!({"vault": {"name": "vault", "object": {"name": "s", "type": "secret"}}}),
    ))
    .unwrap();
    assert!(!request.has_output());
}

#[test]
fn a_service_account_is_named_or_refused_and_never_passed_over() {
    let as_whom = |name: Value| {
        let object = json!({"name": "s", "type": "secret"});
        parse(&akvs(
            &json!({"vault": {"name": "vault", "serviceAccountName": name, "object": object}}),
        ))
    };
    assert_eq!(
        as_whom(json!("reader")).unwrap().service_account.as_deref(),
        Some("reader")
    );
    assert_eq!(as_whom(Value::Null).unwrap().service_account, None);
    for name in [
        "",
        " ",
        "bank/reader",
        "../reader",
        "Reader",
        "system:serviceaccount:bank:reader",
    ] {
        let diagnosis = as_whom(json!(name)).unwrap_err();
        assert_eq!(diagnosis.code, Code::InvalidSpec, "{name:?}");
        assert!(diagnosis.what.contains("spec.vault.serviceAccountName"), "{diagnosis}");
    }
}

#[test]
fn the_private_key_is_read_only_for_outputs_that_hold_it() {
    for (output, kind) in [
        (
            json!({"secret": {"name": "s", "type": "kubernetes.io/tls"}}),
            ObjectKind::CertificateWithKey,
        ),
        (
            json!({"secret": {"name": "s", "type": "Opaque", "dataKey": "k"}}),
            ObjectKind::CertificateWithKey,
        ),
        (
            json!({"secret": {"name": "s", "dataKey": "k"}}),
            ObjectKind::Certificate,
        ),
        (
            json!({"secret": {"name": "s", "type": "", "dataKey": "k"}}),
            ObjectKind::Certificate,
        ),
        (
            json!({"configMap": {"name": "s", "dataKey": "k"}}),
            ObjectKind::Certificate,
        ),
        (json!({}), ObjectKind::Certificate),
    ] {
        let request = parse(&with_object(&json!({"name": "c", "type": "certificate"}), &output)).unwrap();
        assert_eq!(request.object.kind, kind, "{output}");
    }
}

#[test]
fn the_old_name_of_transform_is_understood() {
    let object = json!({"name": "s", "type": "secret"});
    let old = parse(&with_object(&object, &json!({"transforms": ["trim"]}))).unwrap();
    assert_eq!((old.transforms, old.warnings.len()), (vec![Transform::Trim], 0));
    let both = parse(&with_object(
        &object,
        &json!({"transform": ["base64encode"], "transforms": ["trim"]}),
    ))
    .unwrap();
    assert_eq!(
        (both.transforms, both.warnings.len()),
        (vec![Transform::Base64Encode], 1)
    );
}

#[test]
fn what_has_no_effect_is_said() {
    let request = parse(&akvs(&json!({
        "vault": {
            "name": "vault",
            "azureIdentity": {"name": "me"},
            "object": {"name": "c", "type": "certificate"},
        },
        "output": {"transform": ["rot13"], "keyFormat": "pem", "secret": {"name": "s", "dataKey": "k"}},
    })))
    .unwrap();
    assert_eq!(request.transforms, []);
    let fields = ["azureIdentity", "transform", "keyFormat"];
    assert_eq!(request.warnings.len(), fields.len());
    for (warning, field) in request.warnings.iter().zip(fields) {
        assert!(warning.starts_with("spec.") && warning.contains(field), "{warning}");
    }
}

#[test]
fn what_can_never_be_synced_is_refused_and_the_fix_says_what_to_write() {
    let secret = |name: &str| json!({"name": name, "type": "secret"});
    let keyed = json!({"secret": {"name": "s", "dataKey": "k"}});
    for (object, output, code, field) in [
        (
            secret("../keys/k1"),
            keyed.clone(),
            Code::InvalidSpec,
            "spec.vault.object.name",
        ),
        (
            secret(&"a".repeat(500)),
            keyed.clone(),
            Code::InvalidSpec,
            "spec.vault.object.name",
        ),
        (
            json!({"name": "s", "type": "secret", "version": "latest"}),
            keyed.clone(),
            Code::InvalidSpec,
            "spec.vault.object.version",
        ),
        (
            json!({"name": "s", "type": "multi-key-value-secret"}),
            keyed.clone(),
            Code::InvalidSpec,
            "spec.vault.object.contentType",
        ),
        (
            secret("s"),
            json!({"transform": ["trim", "rot13"], "secret": {"name": "s", "dataKey": "k"}}),
            Code::InvalidSpec,
            "spec.output.transform",
        ),
        (
            secret("s"),
            json!({"secret": {"name": "s"}}),
            Code::DataKeyMissing,
            "spec.output.secret.dataKey",
        ),
        (
            secret("s"),
            json!({"secret": {"name": "s", "type": "example.com/mine", "dataKey": ""}}),
            Code::DataKeyMissing,
            "spec.output.secret.dataKey",
        ),
        (
            json!({"name": "k", "type": "key"}),
            json!({"secret": {"name": "s", "type": "kubernetes.io/tls"}}),
            Code::DataKeyMissing,
            "spec.output.secret.dataKey",
        ),
        (
            secret("s"),
            json!({"configMap": {"name": "s", "dataKey": ""}}),
            Code::DataKeyMissing,
            "spec.output.configMap.dataKey",
        ),
        (
            secret("s"),
            json!({"secret": {"name": "s", "dataKey": "a/b"}}),
            Code::DataKeyInvalid,
            "spec.output.secret.dataKey",
        ),
        (
            secret("s"),
            json!({"secret": {"name": "Upper", "dataKey": "k"}}),
            Code::InvalidSpec,
            "spec.output.secret.name",
        ),
        (
            secret("s"),
            json!({"configMap": {"name": "a..b", "dataKey": "k"}}),
            Code::InvalidSpec,
            "spec.output.configMap.name",
        ),
    ] {
        let failure = parse(&with_object(&object, &output)).unwrap_err();
        assert_eq!(failure.code, code, "{failure:?}");
        assert!(failure.what.starts_with(field), "{failure:?}");
        assert!(failure.fix.starts_with("Write "), "{failure:?}");
        assert!(failure.to_string().len() < 500, "{failure:?}");
    }
}

#[test]
fn hostile_vault_names_are_refused() {
    for name in [
        "evil.com#",
        "https://my-vault",
        "my-vault.vault.azure.net",
        "",
        "ünicode",
        "a@b",
    ] {
        let failure = parse(&akvs(
            &json!({"vault": {"name": name, "object": {"name": "s", "type": "secret"}}}),
        ))
        .unwrap_err();
        assert_eq!(
            (failure.code, failure.what.as_str()),
            (Code::InvalidSpec, "spec.vault.name cannot be used.")
        );
    }
}

#[test]
fn keys_are_named_by_the_type_or_the_value_where_they_can_be() {
    let typed = |object: &str, secret: &str| {
        with_object(
            &json!({"name": "o", "type": object, "contentType": "application/x-yaml"}),
            &json!({"secret": {"name": "s", "type": secret}, "keyFormat": "jwk"}),
        )
    };
    for (object, secret) in [
        ("secret", "kubernetes.io/basic-auth"),
        ("secret", "kubernetes.io/dockerconfigjson"),
        ("secret", "kubernetes.io/dockercfg"),
        ("secret", "kubernetes.io/ssh-auth"),
        ("secret", "kubernetes.io/tls"),
        ("certificate", "kubernetes.io/tls"),
        ("multi-key-value-secret", "Opaque"),
    ] {
        assert!(parse(&typed(object, secret)).is_ok(), "{object} {secret}");
    }
    let key = parse(&with_object(
        &json!({"name": "k", "type": "key"}),
        &json!({"keyFormat": "jwk", "secret": {"name": "s", "dataKey": "k"}, "configMap": {"name": "s", "dataKey": "k"}}),
    ))
    .unwrap();
    assert_eq!(key.secret.unwrap().1.key_format, Some(object::KeyFormat::Jwk));
    assert_eq!(key.config_map.unwrap().1.key_format, Some(object::KeyFormat::Jwk));
}

proptest! {
    #[test]
    fn whatever_is_written_gives_safe_names_or_a_short_diagnosis(
        texts in proptest::collection::vec(".{0,300}", 8),
        object_type in proptest::sample::select(vec!["secret", "certificate", "key", "multi-key-value-secret"]),
    ) {
        let akvs = akvs(&json!({
            "vault": {"name": texts[0], "object": {"name": texts[1], "type": object_type, "version": texts[2]}},
            "output": {
                "transform": [texts[3]],
                "secret": {"name": texts[4], "type": texts[5], "dataKey": texts[6]},
                "configMap": {"name": texts[7], "dataKey": texts[6]},
            },
        }));
        match parse(&akvs) {
            Ok(request) => {
                let (secret, _) = request.secret.expect("the spec has a Secret");
                prop_assert!(secret.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b)));
            }
            Err(diagnosis) => prop_assert!(diagnosis.to_string().len() < 1500, "{}", diagnosis),
        }
    }

    #[test]
    fn a_name_is_legal_as_an_output_exactly_by_the_rule_of_kubernetes(name in "[a-zA-Z0-9.-]{0,12}") {
        let akvs = with_object(
            &json!({"name": "s", "type": "secret"}),
            &json!({"secret": {"name": name, "dataKey": "k"}}),
        );
        let edges = |text: &str| text.starts_with(['-', '.']) || text.ends_with(['-', '.']);
        let legal = !name.is_empty()
            && !name.contains(|c: char| c.is_ascii_uppercase())
            && !edges(&name)
            && !["..", "-.", ".-"].iter().any(|pair| name.contains(pair));
        prop_assert_eq!(parse(&akvs).is_ok(), legal);
    }
}
