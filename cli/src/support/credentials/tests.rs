use proptest::prelude::*;

use super::*;

#[test]
fn what_follows_the_name_of_a_secret_goes_whatever_it_is_made_of() {
    for (text, expected) in [
        ("DB_PASSWORD=x", "DB_PASSWORD=[REDACTED]"),
        ("AZURE_PASSWORD=x", "AZURE_PASSWORD=[REDACTED]"),
        (
            "AZURE_CLIENT_CERTIFICATE_PASSWORD=x",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD=[REDACTED]",
        ),
        ("AZURE_CLIENT_SECRET=abc~d", "AZURE_CLIENT_SECRET=[REDACTED]"),
        ("run --db-password=x --port 1", "run --db-password=[REDACTED] --port 1"),
        ("run --db-password x --port 1", "run --db-password [REDACTED] --port 1"),
        ("run --password --port 1", "run --password --port 1"),
        (
            "run --db-password values --port 1",
            "run --db-password [REDACTED] --port 1",
        ),
        ("--db-password correct horse", "--db-password [REDACTED]"),
        ("apikey: x", "apikey: [REDACTED]"),
        ("X-Api-Key: x", "X-Api-Key: [REDACTED]"),
        ("dbPassword: correct horse", "dbPassword: [REDACTED]"),
        ("- db.password: 'correct horse' # x", "- db.password: '[REDACTED]' # x"),
        ("password=S3cr!t#99", "password=[REDACTED]"),
        ("with password=S3cr!t#99,$@& then", "with password=[REDACTED] then"),
        ("with DB_PASS=a then", "with DB_PASS=[REDACTED] then"),
        (
            "AccountName=a;AccountKey=ab+/==;EndpointSuffix=core.windows.net",
            "AccountName=a;AccountKey=[REDACTED]",
        ),
        (
            "2026-11-30T12:00:00.1Z password=a b",
            "2026-11-30T12:00:00.1Z password=[REDACTED]",
        ),
        ("Password: Some(\"a b\") x", "Password: [REDACTED]"),
        ("got Password: Some(\"a b\") x", "got Password: [REDACTED] x"),
        ("<password>x</password>", "<password>[REDACTED]"),
        ("https://h/p?sv=1&sig=abc%2F&x=1", "https://h/p?sv=1&sig=[REDACTED]&x=1"),
        ("kv/password: hunter2", "kv/password: [REDACTED]"),
        ("kv/password: correct horse", "kv/password: [REDACTED]"),
        (
            "found kv/password: hunter2 there",
            "found kv/password: [REDACTED] there",
        ),
        ("kv/pin-token: 4000", "kv/pin-token: [REDACTED]"),
        (
            r#""shop.example/db-password": "hunter2""#,
            r#""shop.example/db-password": "[REDACTED]""#,
        ),
        (
            r#"{"shop.example/pin-token": 400, "user": "u"}"#,
            r#"{"shop.example/pin-token": [REDACTED], "user": "u"}"#,
        ),
        (
            "'shop.example/db-password': correct, horse\nuser: u",
            "'shop.example/db-password': [REDACTED]\nuser: u",
        ),
        ("'kv/password=correct horse' x", "'kv/password=[REDACTED]' x"),
        ("password: |\n  hunter2\nuser: u", "password: [REDACTED]\nuser: u"),
    ] {
        assert_eq!(without_credentials(text), expected);
    }
}

#[test]
fn a_block_goes_with_all_lines_that_are_further_in_than_its_name() {
    for (text, expected) in [
        ("password: >-\n  correct\n\n  horse\n", "password: [REDACTED]\n"),
        ("password: | # of the shop\n  hunter2", "password: [REDACTED]"),
        ("password: !!binary |\n  aHVudGVyMg==\nx", "password: [REDACTED]\nx"),
        (
            "- \"db-password\": |2-\r\n     hunter2\r\n  user: u",
            "- \"db-password\": [REDACTED]\r\n  user: u",
        ),
        (
            "- name: DB_PASSWORD\n  value: |\n    hunter2\n- name: b",
            "- name: DB_PASSWORD\n  value: [REDACTED]\n- name: b",
        ),
        (
            "2026-11-30T12:00:00.1Z   password: |\n2026-11-30T12:00:00.2Z     hunter2\n2026-11-30T12:00:00.3Z   user: u",
            "2026-11-30T12:00:00.1Z   password: [REDACTED]\n2026-11-30T12:00:00.3Z   user: u",
        ),
        ("password: |", "password: [REDACTED]"),
        ("password: |x\n  user: u", "password: [REDACTED]\n  user: u"),
    ] {
        assert_eq!(without_credentials(text), expected);
    }
}

#[test]
fn what_stands_in_quotes_goes_up_to_their_end() {
    for (text, expected) in [
        (
            r#"{"password":"abc","user":"u"}"#,
            r#"{"password":"[REDACTED]","user":"u"}"#,
        ),
        (
            r#"{"password":"a\"b","user":"u"}"#,
            r#"{"password":"[REDACTED]","user":"u"}"#,
        ),
        (
            r#"{"pin_token":12,"user":"u"}"#,
            r#"{"pin_token":[REDACTED],"user":"u"}"#,
        ),
        (
            r#"["--db-password=a b","--x"]"#,
            r#"["--db-password=[REDACTED]","--x"]"#,
        ),
        (
            "[\n  \"--db-password\",\n  \"a b\"\n]",
            "[\n  \"--db-password\",\n  \"[REDACTED]\"\n]",
        ),
        ("[\n  \"--db-password\"\n]", "[\n  \"--db-password\"\n]"),
        (
            r#"{"m":"password=\"a b\" of","u":1}"#,
            r#"{"m":"password=\"[REDACTED]\" of","u":1}"#,
        ),
        (
            r#"{"name": "DB_PASSWORD", "value": "a b"}"#,
            r#"{"name": "DB_PASSWORD", "value": "[REDACTED]"}"#,
        ),
        (
            "- name: DB_PASSWORD\n  value: a b\n",
            "- name: DB_PASSWORD\n  value: [REDACTED]\n",
        ),
        (
            "- name: \"DB_PASSWORD\"\n  value: a b\n",
            "- name: \"DB_PASSWORD\"\n  value: [REDACTED]\n",
        ),
    ] {
        assert_eq!(without_credentials(text), expected);
    }
}

#[test]
fn every_authorization_goes_whatever_its_scheme_and_so_do_users_of_urls() {
    for (text, expected) in [
        ("Authorization: Bearer abc.def-1", "Authorization: [REDACTED]"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: [REDACTED]"),
        (
            "> Authorization: Digest username=\"u\", response=\"x\"",
            "> Authorization: [REDACTED]",
        ),
        (
            "Proxy-Authorization: SharedKey a:b\nx",
            "Proxy-Authorization: [REDACTED]\nx",
        ),
        (
            "curl -H 'Authorization: Basic abc' -v",
            "curl -H 'Authorization: [REDACTED]' -v",
        ),
        (
            r#"{"h":"authorization: Negotiate a b","x":1}"#,
            r#"{"h":"authorization: [REDACTED]","x":1}"#,
        ),
        ("sent bearer abc", "sent bearer [REDACTED]"),
        ("sent Basic dXNlcjpwdw== to", "sent Basic [REDACTED] to"),
        ("https://user:pw@host/p", "https://[REDACTED]@host/p"),
        ("postgres://u:p/w#1?@host:1/db x", "postgres://[REDACTED]@host:1/db x"),
        ("redis://:pw@host", "redis://[REDACTED]@host"),
        (
            "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln end",
            "token [REDACTED] end",
        ),
    ] {
        assert_eq!(without_credentials(text), expected);
    }
}

#[test]
fn what_only_tells_of_secrets_stays() {
    for text in [
        "secret 'db' in vault 'kv1': there is none",
        "secretName: db",
        "{\"secret\": {\"name\": \"db\", \"dataKey\": \"v\"}}",
        "\"secret\": {\n  \"name\": \"db\"\n}",
        "\"type\": \"secret\",",
        "automountServiceAccountToken: true",
        "\"password\": null,",
        "AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/token.jwt",
        "tokenExpirationSeconds: 3600",
        "akv2k8s_token_requests_total{vault=\"kv1\"} 3",
        "https://login.microsoftonline.com/t/oauth2/v2.0/token: 400 Bad Request",
        "cannot create serviceaccounts/token: forbidden",
        "Basic authentication is off",
        "https://kv1.vault.azure.net:443/secrets/db?x=a@b",
        "https://[::1]:443/a@b",
        "registry.example.org/app@sha256:0123",
        "VALUE=db@azurekeyvault",
        "bypass: on",
        "configsig=1",
    ] {
        assert_eq!(without_credentials(text), text);
    }
}

proptest! {
    #[test]
    fn no_value_of_a_password_survives(value in "[a-z0-9][!#-&(-_a-z{-~]{0,20}[0-9]", before in "(at |\\{\"m\":\"|)") {
        let text = without_credentials(&format!("{before}DB_PASSWORD={value}"));
        prop_assert_eq!(text, format!("{before}DB_PASSWORD={GONE}"));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|password|[=:\"' \n&]|://|@|--|Bearer ){0,30}") {
        without_credentials(&text);
    }
}
