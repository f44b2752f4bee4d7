//! Values that cannot become data, each beside one that can.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::canary;

/// One way for a value to be wrong.
pub(crate) struct Row {
    /// Name of the vault object, the AKVS and the Secret.
    pub(crate) name: &'static str,
    /// The spec after `vault: {name: kv1, `.
    spec: &'static str,
    content_type: Option<&'static str>,
    good: String,
    bad: String,
    pub(crate) code: Code,
    /// What the condition's message must say.
    pub(crate) says: &'static str,
}

impl Row {
    fn new(name: &'static str, spec: &'static str, good: &str, bad: String, code: Code, says: &'static str) -> Self {
        Self {
            name,
            spec,
            content_type: None,
            good: good.to_owned(),
            bad,
            code,
            says,
        }
    }

    pub(crate) fn spec(&self) -> String {
        format!("{{vault: {{name: kv1, {}", self.spec.replace("NAME", self.name))
    }

    fn put(&self, vault: &VaultHandle, value: &str) -> anyhow::Result<()> {
        let options = self.content_type.map(SecretOptions::content_type).unwrap_or_default();
        vault.set_secret(self.name, value, options)?;
        Ok(())
    }

    pub(crate) fn put_good(&self, vault: &VaultHandle) -> anyhow::Result<()> {
        self.put(vault, &self.good)
    }

    pub(crate) fn put_bad(&self, vault: &VaultHandle) -> anyhow::Result<()> {
        self.put(vault, &self.bad)
    }
}

const JSON: &str = "object: {name: NAME, type: multi-key-value-secret, contentType: application/x-json}}, output: {secret: {name: NAME}}}";
const YAML: &str = "object: {name: NAME, type: multi-key-value-secret, contentType: application/x-yaml}}, output: {secret: {name: NAME}}}";
const BASE64: &str =
    "object: {name: NAME, type: secret}}, output: {transform: [base64decode], secret: {name: NAME, dataKey: v}}}";
const BASIC: &str =
    "object: {name: NAME, type: secret}}, output: {secret: {name: NAME, type: kubernetes.io/basic-auth}}}";
const DOCKER: &str =
    "object: {name: NAME, type: secret}}, output: {secret: {name: NAME, type: kubernetes.io/dockerconfigjson}}}";
const TLS: &str = "object: {name: NAME, type: secret}}, output: {secret: {name: NAME, type: kubernetes.io/tls}}}";
const PLAIN: &str = "object: {name: NAME, type: secret}}, output: {secret: {name: NAME, dataKey: v}}}";

/// Every row but those of certificates.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = json();
    rows.extend(yaml());
    rows.extend(typed());
    rows.extend(pfx());
    rows
}

fn json() -> Vec<Row> {
    const MALFORMED: Code = Code::ValueMalformed;
    let core = canary::CORE;
    let row = |name, bad, code, says| Row::new(name, JSON, r#"{"v":"x"}"#, bad, code, says);
    vec![
        row("json", format!(r#"{{"v":"{core}", {core}"#), MALFORMED, "line 1"),
        row("json-text", canary::value(), MALFORMED, "not a JSON object"),
        row(
            "json-deep",
            format!(r#"{{"v":{{"a":"{core}"}}}}"#),
            MALFORMED,
            "\"v\" is an object",
        ),
        row("json-escape", format!(r#"{{"v":"{core}\ud800"}}"#), MALFORMED, "escape"),
        row("json-empty", String::new(), MALFORMED, "not a JSON object"),
        row(
            "keys",
            format!(r#"{{"a b":"{core}"}}"#),
            Code::DataKeyInvalid,
            "\"a b\"",
        ),
    ]
}

fn yaml() -> Vec<Row> {
    const MALFORMED: Code = Code::ValueMalformed;
    const READ: &str = "application/x-yaml";
    let core = canary::CORE;
    let row = |name, bad, code, says| Row::new(name, YAML, "v: x", bad, code, says);
    vec![
        row("yaml", format!("v: [{core}"), MALFORMED, READ),
        row("yaml-tab", format!("v:\n\t{core}: {core}\n\t- {core}"), MALFORMED, READ),
        row("yaml-text", canary::value(), MALFORMED, READ),
        row(
            "yaml-deep",
            format!("v: {{a: {core}}}"),
            MALFORMED,
            "\"v\" is an object",
        ),
        row("yaml-alias", format!("v: *{core}"), MALFORMED, READ),
        row("keys-dots", format!("..v: {core}"), Code::DataKeyInvalid, "\"..v\""),
    ]
}

fn typed() -> Vec<Row> {
    let core = canary::CORE;
    let large = canary::value().repeat(1_048_576 / canary::value().len() + 1);
    let docker = r#"{"auths":{}}"#;
    let url = format!("-_{core}");
    let no_colon = core.to_owned();
    vec![
        Row::new(
            "base64",
            BASE64,
            "eA==",
            canary::value(),
            Code::TransformFailed,
            "base64decode",
        ),
        Row::new("base64-url", BASE64, "eA==", url, Code::TransformFailed, "RFC 4648"),
        Row::new(
            "basic",
            BASIC,
            "user:password",
            no_colon,
            Code::ValueMalformed,
            "no colon",
        ),
        Row::new(
            "docker",
            DOCKER,
            docker,
            canary::value(),
            Code::ValueMalformed,
            "not a JSON object",
        ),
        Row::new("large", PLAIN, "x", large, Code::ValueTooLarge, "1048576"),
    ]
}

fn pfx() -> Vec<Row> {
    let good = STANDARD.encode(include_bytes!("../../../shared/src/object/testdata/pfx/modern.pfx"));
    let locked = STANDARD.encode(include_bytes!("../../../shared/src/object/testdata/pfx/password.pfx"));
    let protected = Row::new(
        "password",
        TLS,
        &good,
        locked,
        Code::CertificatePasswordProtected,
        "by a password",
    );
    vec![
        Row::new(
            "tls",
            TLS,
            &good,
            canary::value(),
            Code::CertificateUnreadable,
            "certificate",
        ),
        Row {
            content_type: Some("application/x-pkcs12"),
            ..protected
        },
    ]
}
