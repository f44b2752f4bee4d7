//! Manifests from files, folders and standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use akv2k8s_shared::api::{AzureKeyVaultSecret, GROUP};
use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

/// All documents in `files`, in their order; a folder stands for its `.yaml`, `.yml` and `.json` files by name, without those of folders in it.
///
/// # Errors
/// A file cannot be read, or is no YAML; the message says which.
pub(crate) fn documents(files: &[PathBuf]) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for file in files {
        for (name, text) in texts(file)? {
            let documents = parse(&text).with_context(|| format!("{name} is not YAML that describes objects"))?;
            all.extend(documents);
        }
    }
    Ok(all)
}

/// The documents of one text. Lists are taken apart; empty documents are none.
///
/// # Errors
/// It is no YAML, or a document is no object.
pub(crate) fn parse(text: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        match Value::deserialize(document)? {
            Value::Null => {}
            Value::Object(mut object) if object.get("kind").and_then(Value::as_str) == Some("List") => {
                let items = object.remove("items");
                all.extend(
                    items
                        .and_then(|items| match items {
                            Value::Array(items) => Some(items),
                            _ => None,
                        })
                        .unwrap_or_default(),
                );
            }
            object @ Value::Object(_) => all.push(object),
            _ => bail!("a document is no object"),
        }
    }
    Ok(all)
}

/// The `AzureKeyVaultSecret`s in `files`, whatever their version: all have the same fields.
///
/// # Errors
/// As [`documents`]; one of them is malformed, or there is none.
pub(crate) fn akvs(files: &[PathBuf]) -> anyhow::Result<Vec<AzureKeyVaultSecret>> {
    let documents = documents(files)?;
    let found = documents.into_iter().filter(is_akvs).map(read);
    let found: Vec<_> = found.collect::<anyhow::Result<_>>()?;
    if found.is_empty() {
        bail!("there is no AzureKeyVaultSecret in what -f names");
    }
    Ok(found)
}

/// Whether `document` is an `AzureKeyVaultSecret`.
pub(crate) fn is_akvs(document: &Value) -> bool {
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    text("kind") == "AzureKeyVaultSecret" && text("apiVersion").split('/').next() == Some(GROUP)
}

/// `document` as one.
pub(crate) fn read(document: Value) -> anyhow::Result<AzureKeyVaultSecret> {
    let name = document.pointer("/metadata/name").and_then(Value::as_str);
    let name = name.context("an AzureKeyVaultSecret has no metadata.name")?.to_owned();
    serde_json::from_value(document).with_context(|| format!("AzureKeyVaultSecret {name} cannot be read"))
}

fn texts(file: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let shown = file.display().to_string();
    if file == Path::new(STANDARD_INPUT) {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(vec![("standard input".to_owned(), text)]);
    }
    let one = |path: &Path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok((path.display().to_string(), text))
    };
    if !file.is_dir() {
        return Ok(vec![one(file)?]);
    }
    let entries = std::fs::read_dir(file).with_context(|| format!("cannot read {shown}"))?;
    let mut paths: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("cannot read {shown}"))?;
    let is_manifest = |path: &PathBuf| {
        let extension = path.extension().and_then(|it| it.to_str());
        path.is_file() && matches!(extension, Some("yaml" | "yml" | "json"))
    };
    paths.retain(is_manifest);
    paths.sort();
    if paths.is_empty() {
        bail!("there is no .yaml, .yml or .json file in {shown}");
    }
    paths.iter().map(|path| one(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AKVS: &str = "{apiVersion: spv.no/v1, kind: AzureKeyVaultSecret, metadata: {name: NAME}, \
        spec: {vault: {name: kv1, object: {name: db, type: secret}}}}\n";

    fn names(files: &[PathBuf]) -> Result<Vec<String>, String> {
        let found = akvs(files).map_err(|error| format!("{error:#}"))?;
        Ok(found.into_iter().filter_map(|akvs| akvs.metadata.name).collect())
    }

    #[test]
    fn objects_of_every_version_are_found_in_files_folders_and_lists_and_others_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let akvs = |name: &str| AKVS.replace("NAME", name);
        write(
            "b.yaml",
            &format!(
                "---\n{}---\n# nothing\n---\n{{kind: Secret}}\n---\n{}",
                akvs("b1"),
                akvs("b2")
            ),
        );
        write("a.json", &format!("{{\"kind\": \"List\", \"items\": [{}]}}", akvs("a")));
        write("c.txt", "not: [yaml");
        std::fs::create_dir(folder.path().join("d.yaml")).unwrap();
        let all = Ok(["a", "b1", "b2"].map(str::to_owned).to_vec());
        assert_eq!(names(&[folder.path().to_owned()]), all);
        let twice = [folder.path().join("a.json"), folder.path().join("b.yaml")];
        assert_eq!(names(&twice), all);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (file, absent) = (folder.path().join("x.yaml"), folder.path().join("absent"));
        assert!(names(&[folder.path().to_owned()]).unwrap_err().contains("no .yaml"));
        assert!(names(&[absent]).unwrap_err().contains("absent"));
        for (text, said) in [
            ("a: [", "x.yaml is not YAML"),
            ("- 1", "a document is no object"),
            ("kind: Secret", "no AzureKeyVaultSecret"),
            (
                "{apiVersion: spv.no/v1, kind: AzureKeyVaultSecret, metadata: {name: db}, spec: {}}",
                "db cannot be read",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = names(std::slice::from_ref(&file)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
