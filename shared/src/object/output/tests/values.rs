//! Plain values, multi-key values and transforms, in Secrets and ConfigMaps.

use super::*;

#[test]
fn a_secret_becomes_the_keys_its_type_demands() {
    use SourceType::Secret;
    for secret_type in [
        None,
        Some("Opaque"),
        Some("example.com/mine"),
        Some("kubernetes.io/TLS"),
    ] {
        writes(
            Secret,
            &output(secret_type, Some("k")),
            &secret(" a:b\n"),
            &[("k", b" a:b\n")],
        );
    }
    let user: &[(&str, &[u8])] = &[("username", b"me"), ("password", b"p:w")];
    writes(
        Secret,
        &output(Some("kubernetes.io/basic-auth"), None),
        &secret("me:p:w"),
        user,
    );
    let config = br#"{"auths":{}}"#;
    writes(
        Secret,
        &output(Some("kubernetes.io/dockerconfigjson"), None),
        &secret(config),
        &[(".dockerconfigjson", config)],
    );
    writes(
        Secret,
        &output(Some("kubernetes.io/dockercfg"), None),
        &secret(config),
        &[(".dockercfg", config)],
    );
    writes(
        Secret,
        &output(Some("kubernetes.io/ssh-auth"), None),
        &secret("key\n"),
        &[("ssh-privatekey", b"key\n")],
    );
}

#[test]
fn an_empty_secret_is_written_as_an_empty_value() {
    writes(SourceType::Secret, &output(None, Some("k")), &secret(""), &[("k", b"")]);
}

#[test]
fn every_pair_of_a_multi_key_secret_is_written_whatever_the_type_and_data_key() {
    let pairs: &[(&str, &[u8])] = &[("a", b"1"), ("b", b"x y")];
    for output in [output(None, None), output(Some("kubernetes.io/tls"), Some("ignored"))] {
        writes(
            SourceType::MultiKeyValue(Json),
            &output,
            &secret(r#"{"a":"1","b":"x y"}"#),
            pairs,
        );
        writes(SourceType::MultiKeyValue(Yaml), &output, &secret("a: 1\nb: x y"), pairs);
    }
    let transforms = [Transform::Base64Encode];
    let data = secret_data(
        SourceType::MultiKeyValue(Json),
        &transforms,
        &output(None, None),
        &secret(r#"{"a":" "}"#),
        NAME,
    );
    assert_eq!(
        data.map(plain),
        Ok(expected(&[("a", b" ")])),
        "transforms are for type secret only"
    );
}

#[test]
fn transforms_come_before_the_secret_type() {
    let transforms = [Transform::Trim, Transform::Base64Decode];
    let basic = output(Some("kubernetes.io/basic-auth"), None);
    let data = secret_data(SourceType::Secret, &transforms, &basic, &secret(" bWU6cHc= "), NAME);
    assert_eq!(
        data.map(plain),
        Ok(expected(&[("username", b"me"), ("password", b"pw")]))
    );
    let tls = output(Some("kubernetes.io/tls"), None);
    let data = secret_data(
        SourceType::Secret,
        &[Transform::Base64Decode],
        &tls,
        &secret(vault_pfx()),
        NAME,
    );
    assert_eq!(
        data.map(plain).expect("DER")["tls.crt"],
        testdata::bytes("keys/rsa2048.crt.pem")
    );
}

/// A ConfigMap's text and binary pairs.
type Pairs = BTreeMap<String, Vec<u8>>;

fn config_map_pairs(source: SourceType, transforms: &[Transform], object: &VaultObject) -> (Pairs, Pairs) {
    let written = config_map_data(source, transforms, &config_map(Some("k")), object, NAME).expect("usable");
    (plain(written.data), plain(written.binary_data))
}

#[test]
fn a_config_map_holds_text_as_data_and_all_else_as_binary_data() {
    let nothing = Pairs::new;
    let decode = [Transform::Base64Decode];
    let text = |pairs: &[(&str, &[u8])]| (expected(pairs), nothing());
    let binary = |pairs: &[(&str, &[u8])]| (nothing(), expected(pairs));
    assert_eq!(
        config_map_pairs(SourceType::Secret, &[], &secret("ä")),
        text(&[("k", "ä".as_bytes())])
    );
    assert_eq!(
        config_map_pairs(SourceType::Secret, &decode, &secret("/+8=")),
        binary(&[("k", b"\xff\xef")])
    );
    assert_eq!(
        config_map_pairs(SourceType::Secret, &[], &secret("a\0b")),
        binary(&[("k", b"a\0b")])
    );
    let crt = testdata::bytes("keys/rsa2048.crt.pem");
    assert_eq!(
        config_map_pairs(SourceType::Certificate, &[], &certificate(Some(false), None)),
        text(&[("k", &crt)])
    );
    let modulus = testdata::bytes("keys/rsa2048.n.bin");
    assert_eq!(
        config_map_pairs(SourceType::Key, &[], &rsa_key()),
        binary(&[("k", &modulus)])
    );
    let multi = secret(r#"{"a":"1","b":"\u0000"}"#);
    let mixed = (expected(&[("a", b"1")]), expected(&[("b", b"\0")]));
    assert_eq!(config_map_pairs(SourceType::MultiKeyValue(Json), &[], &multi), mixed);
}
