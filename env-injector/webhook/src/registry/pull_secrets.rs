//! The credentials that a pod brings along: its own pull secrets, and those of its ServiceAccount.

use akv2k8s_shared::api::parse::is_object_name;
use akv2k8s_shared::secret::SecretBytes;
use futures::future::join_all;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::{Api, Client};

use super::credentials::{CFG, CONFIG_JSON, Keyring};
use crate::admission::ImageQuery;

/// Most Secrets that are read for one pod.
const MOST_SECRETS: usize = 16;

/// Credentials, and what was wrong with those that are missing.
#[derive(Default)]
pub(super) struct Found {
    pub(super) keyring: Keyring,
    /// Sentences for the pod's author.
    pub(super) notes: Vec<String>,
}

/// Reads the pod's Secrets and its ServiceAccount's, in this order. What cannot be read is noted, as kubelets go on without it too.
pub(super) async fn read(client: &Client, query: &ImageQuery) -> Found {
    let mut found = Found::default();
    let mut names = query.pull_secrets.clone();
    match of_account(client, query).await {
        Ok(more) => names.extend(more),
        Err(note) => found.notes.push(note),
    }
    let mut seen = std::collections::BTreeSet::new();
    // A name becomes part of an address at the API server, and nobody has validated the pod yet.
    names.retain(|name| is_object_name(name) && seen.insert(name.clone()));
    if names.len() > MOST_SECRETS {
        names.truncate(MOST_SECRETS);
        found
            .notes
            .push(format!("Only the first {MOST_SECRETS} pull secrets were read."));
    }
    let api: Api<Secret> = Api::namespaced(client.clone(), &query.namespace);
    let read = join_all(names.iter().map(|name| api.get_opt(name))).await;
    for (name, secret) in names.iter().zip(read) {
        let added = match secret {
            Ok(Some(secret)) => add(&mut found.keyring, secret),
            Ok(None) => Err("it does not exist".to_owned()),
            Err(error) => Err(told(&error)),
        };
        if let Err(why) = added {
            let namespace = &query.namespace;
            found.notes.push(format!(
                "The pull secret '{name}' in namespace '{namespace}' was not used: {why}."
            ));
        }
    }
    found
}

async fn of_account(client: &Client, query: &ImageQuery) -> Result<Vec<String>, String> {
    if !is_object_name(&query.service_account) {
        return Ok(Vec::new()); // The API server refuses such a pod.
    }
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &query.namespace);
    let account = api.get_opt(&query.service_account).await.map_err(|error| {
        let (name, namespace) = (&query.service_account, &query.namespace);
        let why = told(&error);
        format!("The pull secrets of ServiceAccount '{name}' in namespace '{namespace}' are not known: {why}.")
    })?;
    let secrets = account.and_then(|it| it.image_pull_secrets).unwrap_or_default();
    Ok(secrets.into_iter().map(|it| it.name).collect())
}

fn add(keyring: &mut Keyring, secret: Secret) -> Result<(), String> {
    // Moved, not copied: a secret value is overwritten when it is no longer needed.
    let mut data = secret.data.unwrap_or_default();
    let mut take = |key| data.remove(key).map(|value| SecretBytes::new(value.0));
    match (take(CONFIG_JSON), take(CFG)) {
        (Some(json), _) => keyring.add_config_json(&json),
        (None, Some(json)) => keyring.add_cfg(&json),
        (None, None) => Err("it has neither .dockerconfigjson nor .dockercfg"),
    }
    .map_err(str::to_owned)
}

/// What the API server said, without a period.
fn told(error: &kube::Error) -> String {
    let text = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    };
    text.trim_end_matches('.').to_owned()
}
