//! What a kubelet makes of a pod before it starts a container: variables, and files in volumes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use serde_json::Value;

use crate::container::bound_token;

/// The variables of a container besides those of its image.
pub(crate) async fn variables(
    client: &Client,
    pod: &Value,
    container: &Value,
    image: &BTreeMap<String, String>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let namespace = text(&pod["metadata"]["namespace"]);
    let mut variables = image.clone();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        for (name, value) in data(client, namespace, source).await? {
            variables.insert(name, String::from_utf8(value)?);
        }
    }
    for variable in container["env"].as_array().into_iter().flatten() {
        let (name, from) = (text(&variable["name"]), &variable["valueFrom"]);
        let value = match (&from["secretKeyRef"], text(&from["fieldRef"]["fieldPath"])) {
            (Value::Null, "") => expand(text(&variable["value"]), &variables),
            (Value::Null, "metadata.namespace") => namespace.to_owned(),
            (Value::Null, "metadata.name") => text(&pod["metadata"]["name"]).to_owned(),
            (Value::Null, other) => bail!("the field {other} is not known here"),
            (of, _) => {
                let mut data = secret(client, namespace, text(&of["name"])).await?;
                let value = data.remove(text(&of["key"]));
                String::from_utf8(value.with_context(|| format!("{of} is not there"))?)?
            }
        };
        variables.insert(name.to_owned(), value);
    }
    Ok(variables)
}

/// Fills a volume of the pod; gives where it is. `host` stands for the root of the node, `folder` for where volumes are made.
pub(crate) async fn volume(
    client: &Client,
    pod: &Value,
    volume: &Value,
    host: &Path,
    folder: &Path,
) -> anyhow::Result<PathBuf> {
    let path = text(&volume["hostPath"]["path"]);
    if !path.is_empty() {
        let place = host.join(path.trim_start_matches('/'));
        let is_as_asked = volume["hostPath"]["type"] != "File" || place.is_file();
        ensure!(is_as_asked, "hostPath type check failed: {path} is not a file");
        return Ok(place);
    }
    let place = folder.join(text(&volume["name"]));
    std::fs::create_dir_all(&place)?;
    let namespace = text(&pod["metadata"]["namespace"]);
    let projected = volume["projected"]["sources"].as_array();
    for source in projected.into_iter().flatten() {
        let token = &source["serviceAccountToken"];
        ensure!(token.is_object(), "{source} is not known here");
        let token_of = bound_token(
            client,
            pod,
            text(&token["audience"]),
            token["expirationSeconds"].as_i64(),
        );
        std::fs::write(place.join(text(&token["path"])), token_of.await?)?;
    }
    if projected.is_none() {
        let (source, name) = match (&volume["secret"], &volume["configMap"]) {
            (Value::Null, map) => (map, "configMapRef"),
            (secret, _) => (secret, "secretRef"),
        };
        let of = source["secretName"].as_str().or(source["name"].as_str());
        let of = of.with_context(|| format!("the volume {volume} is not known here"))?;
        let data = data(client, namespace, &serde_json::json!({name: {"name": of}})).await?;
        for (key, value) in data {
            let items = source["items"].as_array();
            let path = match items.map(|items| items.iter().find(|it| it["key"] == *key)) {
                None => key.as_str(),
                Some(Some(item)) => text(&item["path"]),
                Some(None) => continue,
            };
            std::fs::write(place.join(path), value)?;
        }
    }
    Ok(place)
}

/// The data of the Secret or ConfigMap that a source of variables names.
async fn data(client: &Client, namespace: &str, source: &Value) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let name = text(&source["configMapRef"]["name"]);
    if name.is_empty() {
        return secret(client, namespace, text(&source["secretRef"]["name"])).await;
    }
    let map = Api::<ConfigMap>::namespaced(client.clone(), namespace)
        .get(name)
        .await?;
    let texts = map.data.unwrap_or_default().into_iter();
    Ok(texts.map(|(key, value)| (key, value.into_bytes())).collect())
}

async fn secret(client: &Client, namespace: &str, name: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let secret = Api::<Secret>::namespaced(client.clone(), namespace).get(name).await;
    let secret = secret.with_context(|| format!("Secret {namespace}/{name}"))?;
    let data = secret.data.unwrap_or_default().into_iter();
    Ok(data.map(|(key, value)| (key, value.0)).collect())
}

/// What becomes of `$(NAME)` and `$$`.
pub(crate) fn expand(template: &str, variables: &BTreeMap<String, String>) -> String {
    let mut expanded = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = after.strip_prefix('(').and_then(|it| it.split_once(')')) {
            match variables.get(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = after;
        }
    }
    expanded + rest
}

/// A string, or the empty one where there is none.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_as_the_kubelet_does() {
        let variables = BTreeMap::from([("A".to_owned(), "x$(A)".to_owned())]);
        for (template, expanded) in [
            ("", ""),
            ("$(A)-$(A)", "x$(A)-x$(A)"),
            ("$$(A)", "$(A)"),
            ("$(B) $", "$(B) $"),
            ("$A $( $$", "$A $( $"),
        ] {
            assert_eq!(expand(template, &variables), expanded, "{template}");
        }
    }
}
