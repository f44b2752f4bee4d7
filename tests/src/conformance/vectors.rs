//! Test vectors: what Microsoft's SDKs read of a vault's objects, and what our library makes of the same objects.
//!
//! A vector has the bodies of the vault's answers (`answers`) and, for each output it can become (`writes`), what an
//! `AzureKeyVaultSecret` says about it and the data of the Secret, as worked out from what the SDK gave.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use akv2k8s_shared::api::parse::{Request, parse};
use akv2k8s_shared::api::v2beta1::{AzureKeyVaultSecret, AzureKeyVaultSecretSpec};
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Environment, Identity, Provider};
use akv2k8s_shared::keyvault::{KeyVault, Priority, Settings};
use akv2k8s_shared::object::{SecretData, secret_data};
use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sdk::{Installation, Outcome, Program};
use super::target::{EmulatorTarget, MAIN_VAULT};

/// Where the vectors of the library's own tests are.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/src/object/testdata/sdk");

/// What an SDK's program writes.
#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

/// One object of the vault.
#[derive(Deserialize)]
struct Vector {
    name: String,
    writes: Vec<Write>,
}

/// One thing it can become.
#[derive(Deserialize)]
struct Write {
    /// `spec.vault.object` without its name; each of them becomes the same.
    objects: Vec<Value>,
    /// `spec.output`.
    output: Value,
    /// The Secret's data, in base64.
    data: BTreeMap<String, String>,
}

/// Makes vectors in the target, and reads every object of them again by our own client; what differs is printed.
pub(super) async fn compare(installation: &Installation, target: &EmulatorTarget) -> anyhow::Result<Outcome> {
    let file = make(installation, target).await?;
    let text = fs::read(&file).context("read the vectors")?;
    let File { vectors } = serde_json::from_slice(&text).context("understand the vectors")?;
    let reader = Reader::new(target).await?;
    let (mut equal, mut different) = (0, 0);
    for vector in &vectors {
        for (write, object) in vector.outputs() {
            match reader.check(&vector.name, object, write).await {
                Ok(()) => equal += 1,
                Err(error) => {
                    println!("FAIL vectors.{} {object} {} {error:#}", vector.name, write.output);
                    different += 1;
                }
            }
        }
    }
    let (language, objects) = (installation.language().name(), vectors.len());
    Ok(Outcome {
        closing_line: format!(
            "{language}: {equal} outputs of {objects} objects are what the SDK gives, {different} differ"
        ),
        passed: equal > 0 && different == 0,
    })
}

/// Makes vectors and puts them where the library's tests find them.
pub(super) async fn commit(installation: &Installation, target: &EmulatorTarget) -> anyhow::Result<()> {
    let made = make(installation, target).await?;
    let file = Path::new(COMMITTED).join(format!("{}.json", installation.language().name()));
    fs::create_dir_all(COMMITTED).context("create the folder of the vectors")?;
    fs::copy(made, &file).with_context(|| format!("write {}", file.display()))?;
    println!("written: {}", file.display());
    Ok(())
}

/// The file of vectors that the SDK's program made in the target.
async fn make(installation: &Installation, target: &EmulatorTarget) -> anyhow::Result<PathBuf> {
    let file = target.scratch_file("vectors.json");
    let outcome = installation
        .run(Program::Vectors, &[&target.file(), &file], Some(&target.ca_file()))
        .await?;
    ensure!(outcome.passed, "{}: no vectors were made", outcome.closing_line);
    Ok(file)
}

/// Our own library as a reader of the target's main vault.
struct Reader {
    client: KeyVault,
    identity: Identity,
}

impl Reader {
    async fn new(target: &EmulatorTarget) -> anyhow::Result<Self> {
        let environment: Environment = target
            .owner()
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let http = HttpClient::from_environment(&environment, Limits::default())?;
        let nowhere = target.scratch_file("azure.json");
        let provider = Provider::new(environment, AuthType::ClientSecret, nowhere, http.clone());
        let identity = provider.identity().await?;
        Ok(Self {
            client: KeyVault::new(http, Settings::default()),
            identity,
        })
    }

    /// Fails when what we make of the object is not what the vector says.
    async fn check(&self, name: &str, object: &Value, write: &Write) -> anyhow::Result<()> {
        let request = write.request(MAIN_VAULT, name, object)?;
        let fetched = self.client.get(&self.identity, &request.object, Priority::New).await?;
        let (_, output) = request.secret.as_ref().context("the vector has no Secret")?;
        let data = secret_data(request.source, &request.transforms, output, &fetched.object, name)?;
        write.equals(&data)
    }
}

impl Vector {
    fn outputs(&self) -> impl Iterator<Item = (&Write, &Value)> {
        self.writes
            .iter()
            .flat_map(|write| write.objects.iter().map(move |object| (write, object)))
    }
}

impl Write {
    /// What an `AzureKeyVaultSecret` with this output asks for.
    fn request(&self, vault: &str, name: &str, object: &Value) -> anyhow::Result<Request> {
        let mut object = object.clone();
        object["name"] = name.into();
        let spec = json!({ "vault": { "name": vault, "object": object }, "output": self.output });
        let spec: AzureKeyVaultSecretSpec = serde_json::from_value(spec).context("understand the output")?;
        Ok(parse(&AzureKeyVaultSecret::new("vector", spec))?)
    }

    /// Fails with the first key whose value is another one, and shows where; nothing here is secret.
    fn equals(&self, data: &SecretData) -> anyhow::Result<()> {
        let (given, written) = (self.data.keys(), data.keys());
        ensure!(
            given.clone().eq(written.clone()),
            "the SDK gives the keys {given:?}, we write {written:?}"
        );
        for ((key, given), written) in self.data.iter().zip(data.values()) {
            let given = BASE64_STANDARD.decode(given).context("the vector's base64")?;
            let written = written.expose();
            let equal = given.iter().zip(written).take_while(|(a, b)| a == b).count();
            let rest = |bytes: &[u8]| {
                bytes[equal..]
                    .escape_ascii()
                    .to_string()
                    .chars()
                    .take(40)
                    .collect::<String>()
            };
            ensure!(
                given == written,
                "{key}: from byte {equal} on the SDK gives \"{}\", we write \"{}\"",
                rest(&given),
                rest(written)
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::secret::SecretBytes;

    use super::*;

    #[test]
    fn another_value_and_another_key_are_differences() {
        let write = Write {
            objects: vec![json!({ "type": "secret" })],
            output: json!({ "secret": { "name": "made", "dataKey": "value" } }),
            data: [("value".to_owned(), "b25l".to_owned())].into(),
        };
        let compared = |key: &str, value: &str| {
            let written = write.equals(&[(key.to_owned(), SecretBytes::from(value))].into());
            written.map_err(|error| error.to_string())
        };
        assert_eq!(compared("value", "one"), Ok(()));
        let message = r#"value: from byte 1 on the SDK gives "ne", we write "ld""#;
        assert_eq!(compared("value", "old"), Err(message.to_owned()));
        assert!(compared("value", "ones").is_err() && compared("value", "on").is_err());
        assert!(compared("other", "one").is_err());
        assert_eq!(
            write
                .request("vault", "n", &write.objects[0])
                .unwrap()
                .object
                .name
                .as_str(),
            "n"
        );
    }
}
