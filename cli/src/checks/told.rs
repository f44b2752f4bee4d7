//! What the controller said in a condition or on `/readyz` → the diagnosis it was.

use akv2k8s_shared::diagnosis::Diagnosis;

/// A line of `/readyz`: `SUBJECT: CODE: WHAT Cause: CAUSE Fix: FIX`.
pub(super) fn problem(line: &str) -> Option<Diagnosis> {
    let (_subject, rest) = line.split_once(": ")?;
    let (code, message) = rest.split_once(": ")?;
    Diagnosis::told(code, message)
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;

    use super::*;

    #[test]
    fn what_the_controller_prints_is_read_back() {
        let original = Diagnosis::of(Code::VaultNotFound, "No vault: none.", &[("vault", "kv1")]);
        assert_eq!(
            problem(&format!("list of secrets of vault kv1: {original}")),
            Some(original)
        );
        assert_eq!(problem("list of secrets of vault kv1: InventedLater: No."), None);
        assert_eq!(problem("ok"), None);
    }
}
