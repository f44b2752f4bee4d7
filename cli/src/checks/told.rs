//! What the controller said in a condition or on `/readyz` → the diagnosis it was.

use akv2k8s_shared::diagnosis::{Code, Diagnosis};

/// `reason` with a message `WHAT Cause: CAUSE Fix: FIX`; `None` when this version does not know the reason.
pub(super) fn diagnosis(reason: &str, message: &str) -> Option<Diagnosis> {
    let code = Code::ALL.iter().find(|code| code.as_str() == reason)?;
    let (what, rest) = message.split_once(" Cause: ").unwrap_or((message, ""));
    let (cause, fix) = rest.split_once(" Fix: ").unwrap_or((rest, ""));
    Some(Diagnosis::new(*code, what, cause, fix))
}

/// A line of `/readyz`: `SUBJECT: CODE: WHAT Cause: CAUSE Fix: FIX`.
pub(super) fn problem(line: &str) -> Option<Diagnosis> {
    let (_subject, rest) = line.split_once(": ")?;
    let (code, message) = rest.split_once(": ")?;
    diagnosis(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_controller_prints_is_read_back() {
        let original = Diagnosis::new(Code::ForbiddenByRbac, "No role: none.", "Nobody gave one.", "az role …");
        assert_eq!(
            problem(&format!("list of secrets of vault kv1: {original}")),
            Some(original.clone())
        );
        let message = "No role: none. Cause: Nobody gave one. Fix: az role …";
        assert_eq!(diagnosis("ForbiddenByRbac", message), Some(original));
        assert_eq!(diagnosis("InventedLater", message), None);
        assert_eq!(problem("ok"), None);
    }
}
