//! What is refused, and in which words.

use super::*;

#[test]
fn a_missing_data_key_is_named_wherever_one_is_needed() {
    for (source, object) in [
        (SourceType::Secret, secret("x")),
        (SourceType::Certificate, certificate(Some(true), None)),
        (SourceType::Key, rsa_key()),
    ] {
        refuses(source, &output(None, None), &object, Code::DataKeyMissing);
        let diagnosis = config_map_data(source, &[], &config_map(None), &object, NAME)
            .err()
            .expect("refused");
        assert_eq!(diagnosis.code, Code::DataKeyMissing);
    }
    refuses(
        SourceType::Certificate,
        &output(Some("Opaque"), None),
        &certificate(None, Some(&vault_pfx())),
        Code::DataKeyMissing,
    );
}

#[test]
fn what_the_api_server_would_refuse_is_refused_here() {
    refuses(
        SourceType::MultiKeyValue(Json),
        &output(None, None),
        &secret(r#"{"a b":"x"}"#),
        Code::DataKeyInvalid,
    );
    refuses(
        SourceType::Secret,
        &output(None, Some("a/b")),
        &secret("x"),
        Code::DataKeyInvalid,
    );
    let full = vec![b'x'; limits::MAX_DATA];
    writes(
        SourceType::Secret,
        &output(None, Some("k")),
        &secret(&full),
        &[("k", &full)],
    );
    let over = vec![b'x'; limits::MAX_DATA + 1];
    refuses(
        SourceType::Secret,
        &output(None, Some("k")),
        &secret(&over),
        Code::ValueTooLarge,
    );
    let huge = vec![b'x'; limits::MAX_VALUE + 1];
    for source in [
        SourceType::Secret,
        SourceType::MultiKeyValue(Json),
        SourceType::MultiKeyValue(Yaml),
    ] {
        refuses(source, &output(None, Some("k")), &secret(&huge), Code::ValueTooLarge);
    }
    let tls = output(Some("kubernetes.io/tls"), None);
    refuses(
        SourceType::Certificate,
        &tls,
        &certificate(None, Some(&huge)),
        Code::ValueTooLarge,
    );
}

#[test]
fn an_object_of_another_kind_is_refused() {
    refuses(
        SourceType::Key,
        &output(None, Some("k")),
        &secret("x"),
        Code::VaultResponseInvalid,
    );
    refuses(
        SourceType::Secret,
        &output(None, Some("k")),
        &rsa_key(),
        Code::VaultResponseInvalid,
    );
}

#[test]
fn messages_never_hold_a_value() {
    let canary = "canary-5up3r";
    let sources = [
        SourceType::Secret,
        SourceType::MultiKeyValue(Json),
        SourceType::MultiKeyValue(Yaml),
    ];
    let types = [
        None,
        Some("kubernetes.io/basic-auth"),
        Some("kubernetes.io/dockerconfigjson"),
        Some("kubernetes.io/dockercfg"),
        Some("kubernetes.io/tls"),
    ];
    for (source, secret_type) in sources
        .into_iter()
        .flat_map(|source| types.map(|secret_type| (source, secret_type)))
    {
        let transforms: &[Transform] = if secret_type.is_none() {
            &[Transform::Base64Decode]
        } else {
            &[]
        };
        let diagnosis = secret_data(
            source,
            transforms,
            &output(secret_type, Some("k")),
            &secret(canary),
            NAME,
        )
        .map(plain);
        assert!(!diagnosis.expect_err("nothing accepts it").to_string().contains(canary));
    }
}
