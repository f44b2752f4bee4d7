//! When vault objects expire, as far as status knows: for metrics.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use crate::objects::Object;

/// How the objects of one vault end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Objects that have expired: one for each AKVS that names one.
    pub(crate) expired: usize,
    /// The next end that is still to come.
    pub(crate) next: Option<Timestamp>,
}

/// The ends at `now`, by name of the vault; a vault of objects without an end is in it, too.
pub(crate) fn ends<'o>(objects: impl Iterator<Item = &'o Object>, now: Timestamp) -> BTreeMap<String, Ends> {
    let mut vaults: BTreeMap<String, Ends> = BTreeMap::new();
    for object in objects {
        let Object::Valid(akvs) = object else { continue };
        let ends = vaults.entry(akvs.spec.vault.name.to_ascii_lowercase()).or_default();
        let status = akvs.status.as_ref();
        match status.and_then(|status| status.expires.as_ref()).map(|end| end.0) {
            Some(end) if end <= now => ends.expired += 1,
            Some(end) => ends.next = Some(ends.next.map_or(end, |next| next.min(end))),
            None => {}
        }
    }
    vaults
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use akv2k8s_shared::api::AzureKeyVaultSecret;
    use serde_json::json;

    use super::*;

    fn object(vault: &str, expires: Option<&str>) -> Object {
        let akvs = json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": "a"},
            "spec": {"vault": {"name": vault, "object": {"name": "a", "type": "secret"}}},
            "status": {"expires": expires},
        });
        Object::Valid(Arc::new(serde_json::from_value::<AzureKeyVaultSecret>(akvs).unwrap()))
    }

    #[test]
    fn what_has_expired_is_counted_and_does_not_hide_what_expires_next() {
        let objects = [
            object("kv1", Some("2026-01-01T00:00:00Z")),
            object("KV1", Some("2026-03-02T00:00:00Z")),
            object("kv1", Some("2026-03-01T00:00:00Z")),
            object("kv1", None),
            object("kv2", None),
        ];
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let of = |now| ends(objects.iter(), at(now));
        let found = of("2026-02-01T00:00:00Z");
        let next = Some(at("2026-03-01T00:00:00Z"));
        assert_eq!(found["kv1"], Ends { expired: 1, next });
        assert_eq!(found["kv2"], Ends::default());
        let found = of("2027-01-01T00:00:00Z");
        assert_eq!(found["kv1"], Ends { expired: 3, next: None });
    }
}
