//! From the body of a vault's answer to the data of a Secret, as Microsoft's SDKs for Python and JavaScript have it.
//!
//! The vectors are made by the SDKs (`cargo testbed vectors`): the answers they got, and what must come of the objects
//! they read, worked out by the SDKs and the libraries of their languages.

use std::collections::BTreeMap;

use azure_core::http::headers::Headers;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{certificate, key, secret};
use crate::api::{AzureKeyVaultSecret, AzureKeyVaultSecretSpec, Request, parse};
use crate::keyvault::model::VaultObject;
use crate::object::{SourceType, secret_data, testdata};
use crate::secret::SecretBytes;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

/// One object of a vault.
#[derive(Deserialize)]
struct Vector {
    name: String,
    /// The bodies of the answers to GET, by collection.
    answers: BTreeMap<String, Value>,
    writes: Vec<Write>,
}

/// One thing that the object can become.
#[derive(Deserialize)]
struct Write {
    /// `spec.vault.object` without its name; each of them becomes the same.
    objects: Vec<Value>,
    /// `spec.output`.
    output: Value,
    /// The Secret's data, in base64.
    data: BTreeMap<String, String>,
}

impl Vector {
    /// The object as an AKVS of this source reads it.
    fn object(&self, source: SourceType) -> VaultObject {
        let headers = Headers::new();
        let secret = || secret(self.answer("secret"), &headers).expect("a whole secret").object;
        match source {
            SourceType::Key => VaultObject::Key(key(self.answer("key"), &headers).expect("a whole key").object),
            SourceType::Secret | SourceType::MultiKeyValue(_) => VaultObject::Secret(secret()),
            SourceType::Certificate => {
                let mut certificate = certificate(self.answer("certificate"), &headers)
                    .expect("a whole certificate")
                    .object;
                certificate.secret = Some(secret());
                VaultObject::Certificate(certificate)
            }
        }
    }

    /// The SDK's own model of an answer.
    fn answer<T: DeserializeOwned>(&self, collection: &str) -> T {
        serde_json::from_value(self.answers[collection].clone()).expect("the answer of a vault")
    }
}

fn request(name: &str, object: &Value, output: &Value) -> Request {
    let mut object = object.clone();
    object["name"] = name.into();
    let spec = json!({ "vault": { "name": "vault", "object": object }, "output": output });
    let spec: AzureKeyVaultSecretSpec = serde_json::from_value(spec).expect("a spec");
    parse(&AzureKeyVaultSecret::new("vector", spec)).expect("a legal spec")
}

/// How many outputs of how many objects were compared.
fn compare(file: &str) -> (usize, usize) {
    let File { vectors } = serde_json::from_str(&testdata::text(file)).expect("vectors");
    let mut outputs = 0;
    for vector in &vectors {
        for write in &vector.writes {
            for object in &write.objects {
                let request = request(&vector.name, object, &write.output);
                let (_, output) = request.secret.as_ref().expect("an output");
                let object = vector.object(request.source);
                let data = secret_data(request.source, &request.transforms, output, &object, &vector.name);
                let encode = |(key, value): (_, SecretBytes)| (key, BASE64_STANDARD.encode(value.expose()));
                let data = data.map(|data| data.into_iter().map(encode).collect());
                assert_eq!(data, Ok(write.data.clone()), "{file}: {} {}", vector.name, write.output);
                outputs += 1;
            }
        }
    }
    (vectors.len(), outputs)
}

#[test]
fn objects_become_what_the_python_sdk_gives() {
    assert_eq!(compare("sdk/python.json"), (32, 103), "objects and outputs");
}

#[test]
fn objects_become_what_the_javascript_sdk_gives() {
    assert_eq!(compare("sdk/javascript.json"), (31, 108), "objects and outputs");
}
