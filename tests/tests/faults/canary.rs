//! A value that must never be seen outside vault and Secret, and a nose for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Letters and digits only, so that URL and JSON escapes leave it as it is. Long enough to occur by chance nowhere.
pub(crate) const CORE: &str = "KanarieQx7vZ2mT9wLp4RbY";

/// The core between characters that URL, JSON and Rust's Debug escape, and line breaks.
pub(crate) fn value() -> String {
    format!("{CORE} \"{CORE}\" \\{CORE}/\u{e9}%&=+\n{CORE}")
}

/// The form in which `text` holds the canary, if it does.
pub(crate) fn leak(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    forms()
        .into_iter()
        .find(|(_, form)| lower.contains(&form.to_lowercase()))
        .map(|(name, form)| {
            let at = lower.find(&form.to_lowercase()).unwrap_or_default();
            let line = lower[..at].rfind('\n').map_or(0, |it| it + 1);
            let around: String = lower[line..].chars().take(600).collect();
            format!("{name} in: {around}")
        })
}

/// Each form of the core, none of which depends on what stands before or behind it.
fn forms() -> Vec<(&'static str, String)> {
    let bytes = CORE.as_bytes();
    let hex = bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat();
    let decimal = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let mut forms = vec![
        ("plain, URL or JSON", CORE.to_owned()),
        ("hex", hex.clone()),
        ("a list of bytes", decimal),
    ];
    // Base64 of the core begins at one of three offsets in a group of four; the outermost symbols depend on the neighbours.
    // The alphabets of RFC 4648 §4 and §5 agree on these symbols, as the last assertion below says.
    for skip in 0..3 {
        let mut padded = vec![0; skip];
        padded.extend_from_slice(bytes);
        let encoded = STANDARD_NO_PAD.encode(padded);
        forms.push((
            "base64",
            encoded[4 * usize::from(skip > 0)..encoded.len() - 3].to_owned(),
        ));
    }
    forms
}

#[test]
fn every_form_of_the_canary_is_noticed() {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};
    let value = value();
    let hex = value
        .bytes()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .concat();
    let url: String = value
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    for text in [
        value.clone(),
        hex,
        url,
        serde_json::Value::from(value.as_str()).to_string(),
        format!("{value:?}"),
        format!("{:?}", value.as_bytes()),
        STANDARD.encode(&value),
        STANDARD.encode(format!("x{value}")),
        URL_SAFE.encode(format!("xy{value}")),
    ] {
        assert!(leak(&text).is_some(), "{text}");
    }
    assert_eq!(leak("Kanarie, Qx7, and nothing else"), None);
    assert!(forms().iter().all(|(_, form)| !form.contains(['+', '/'])));
}
