//! The values that AKVS wrote, to be looked for; and what to say of those that cannot be read.

use akv2k8s_controller::output::Target;
use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::doctor::Seen;
use akv2k8s_shared::secret::SecretBytes;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::redact::{Redactor, SHORTEST};
use crate::cluster::{Cluster, seen};
use crate::live::Live;

/// What is told where AKVS may not be listed.
pub(super) const NOT_LISTED: &str =
    "AzureKeyVaultSecrets: no right to list azurekeyvaultsecrets.spv.no in all namespaces";

/// Outputs that are named when they cannot be read.
const NAMED: usize = 3;

/// What is known of the values in the cluster.
pub(super) struct Known {
    /// The AKVS of all namespaces.
    pub(super) objects: Seen<Vec<AzureKeyVaultSecret>>,
    /// Knows what their outputs hold.
    pub(super) redactor: Redactor,
    /// The outputs that may not be read: `Secret shop/db`.
    unread: Vec<String>,
}

/// Reads AKVS and what they wrote.
///
/// # Errors
/// The API server failed in another way than 403 or 404.
pub(super) async fn read(cluster: &Cluster) -> anyhow::Result<Known> {
    let api: Api<AzureKeyVaultSecret> = Api::all(cluster.client.clone());
    let list = api.list(&ListParams::default()).await.map(|list| list.items);
    let objects = seen(list, "AzureKeyVaultSecrets")?;
    let mut values: Vec<SecretBytes> = Vec::new();
    let mut unread = Vec::new();
    for akvs in objects.found().into_iter().flatten() {
        let namespace = akvs.namespace().unwrap_or_default();
        for output in akvs.status.iter().flat_map(|status| &status.outputs) {
            let target = Target::from(output);
            match Live::read(cluster, &namespace, &target).await? {
                Seen::Found(live) => values.extend(live.data.into_values()),
                Seen::Missing => {}
                Seen::NotAllowed => unread.push(format!("{} {namespace}/{}", target.kind, target.name)),
            }
        }
    }
    Ok(Known {
        objects,
        redactor: Redactor::new(&values),
        unread,
    })
}

impl Known {
    /// How many outputs could not be read; `None`: not even which there are.
    pub(super) fn unread(&self) -> Option<usize> {
        match self.objects {
            Seen::NotAllowed => None,
            Seen::Found(_) | Seen::Missing => Some(self.unread.len()),
        }
    }

    /// Why no archive is written unless somebody agrees.
    pub(super) fn refusal(&self) -> Option<String> {
        let what = match self.unread() {
            Some(0) => return None,
            None => NOT_LISTED.to_owned(),
            Some(count) => {
                let named = self.unread.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = if count > NAMED { ", …" } else { "" };
                format!(
                    "no right to get {count} of the Secrets and ConfigMaps that AzureKeyVaultSecrets wrote ({named}{more})"
                )
            }
        };
        Some(format!(
            "{what}. So values cannot be taken out of logs and messages for certain. Ask somebody with that right to run it, or add --unsearched \
             to write the archive all the same"
        ))
    }

    /// What was looked for, for whoever reads the archive.
    pub(super) fn told(&self) -> String {
        let wrote = "the Secrets and ConfigMaps that AzureKeyVaultSecrets wrote";
        match (&self.objects, self.unread.len()) {
            (Seen::NotAllowed, _) => {
                format!("The values of {wrote} were NOT looked for: there was no right to list AzureKeyVaultSecrets.")
            }
            (Seen::Missing, _) => {
                "There are no AzureKeyVaultSecrets, so no values of theirs were looked for.".to_owned()
            }
            (Seen::Found(_), count) => {
                let unread = if count == 0 {
                    String::new()
                } else {
                    format!(" {count} of these could not be read, so their values were NOT looked for.")
                };
                format!(
                    "The values of {wrote} were looked for in all files and taken out, those shorter than {SHORTEST} bytes excepted.{unread}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_for_is_said_and_takes_consent() {
        let known = |objects, unread: &[&str]| Known {
            objects,
            redactor: Redactor::default(),
            unread: unread.iter().map(|name| (*name).to_owned()).collect(),
        };
        let all = known(Seen::Found(Vec::new()), &[]);
        assert_eq!((all.unread(), all.refusal()), (Some(0), None));
        assert!(!all.told().contains("NOT"), "{}", all.told());
        let absent = known(Seen::Missing, &[]);
        assert_eq!((absent.unread(), absent.refusal()), (Some(0), None));
        for (known, unread, named) in [
            (known(Seen::NotAllowed, &[]), None, "list azurekeyvaultsecrets.spv.no"),
            (
                known(Seen::Found(Vec::new()), &["Secret shop/db"]),
                Some(1),
                "(Secret shop/db)",
            ),
        ] {
            assert_eq!(known.unread(), unread);
            let refusal = known.refusal().unwrap_or_default();
            assert!(refusal.contains(named) && refusal.contains("--unsearched"), "{refusal}");
            assert!(known.told().contains("were NOT looked for"), "{}", known.told());
        }
    }
}
