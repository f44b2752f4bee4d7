//! What a client secret looks like: Entra sees only that it is wrong, we see that it is an ID, or was encoded once too often.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::{Code, Diagnosis, Stray, stray};

/// What is taken for a client secret by mistake: its ID, itself in base64, or itself in quotes. `None`: it may well be one. Secrets
/// are about 40 characters of letters, digits and `~_-.`.
pub fn mistaken_secret(secret: &str) -> Option<Code> {
    if stray(secret) == Some(Stray::Quote) {
        return Some(Code::VariableMalformed);
    }
    if is_guid(secret) {
        return Some(Code::ClientSecretIsId);
    }
    let decoded = Zeroizing::new(BASE64_STANDARD.decode(secret).ok()?);
    let text = decoded.strip_suffix(b"\n").unwrap_or(&decoded);
    // Text is what somebody encoded by hand; eight and more random bytes are hardly ever text.
    (text.len() >= 8 && text.iter().all(u8::is_ascii_graphic)).then_some(Code::ClientSecretEncodedTwice)
}

/// Names the mistake, now that Entra refused `secret` with `failure`. The secret is in no text.
pub fn explain_secret(failure: Diagnosis, secret: &str, client_id: &str) -> Diagnosis {
    match mistaken_secret(secret) {
        Some(code) if failure.code == Code::ClientSecretInvalid => {
            let names = [("client_id", client_id), ("names", "the client secret")];
            Diagnosis {
                trace: failure.trace,
                ..Diagnosis::of(code, failure.what, &names)
            }
        }
        _ => failure,
    }
}

/// The form of ids at Entra.
pub(super) fn is_guid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the form that Entra gives out.
    const PROPER: &str = "dGh8Q~abcdefghijklmnopqrstuvwxyz0123456789";

    #[test]
    fn what_is_wrong_with_a_secret_is_told_once_entra_refuses_it() {
        // `printf %s "$PROPER" | openssl base64 -A`, and the same with a line end.
        let encoded = "ZEdoOFF+YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5";
        let with_line_end = "ZEdoOFF+YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU2Nzg5Cg==";
        // 32 random bytes: how secrets looked in 2018.
        let random = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
        for (secret, code) in [
            (PROPER, Code::ClientSecretInvalid),
            (random, Code::ClientSecretInvalid),
            ("abcd", Code::ClientSecretInvalid),
            (encoded, Code::ClientSecretEncodedTwice),
            (with_line_end, Code::ClientSecretEncodedTwice),
            ("86be4c01-505b-45e9-bfc0-9b825fd84a1b", Code::ClientSecretIsId),
            ("\"quoted\"", Code::VariableMalformed),
        ] {
            let failure = |code| Diagnosis::of(code, "Entra gave no token.", &[("client_id", "c-1")]);
            let explained = explain_secret(failure(Code::ClientSecretInvalid), secret, "c-1");
            assert_eq!(explained.code, code, "{secret}");
            assert!(!explained.to_string().contains(secret), "{explained}");
            // Whatever it looks like, Entra knows better.
            let expired = failure(Code::ClientSecretExpired);
            assert_eq!(explain_secret(expired.clone(), secret, "c-1"), expired);
        }
    }
}
