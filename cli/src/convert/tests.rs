//! Tables: manifests in, manifests and notes out.

use akv2k8s_shared::api;

use super::*;
use crate::manifests;

fn documents(text: &str) -> Vec<Value> {
    manifests::parse(text).unwrap()
}

/// What comes of `text`; whatever AKVS comes of it is sound.
fn akvs(text: &str, vault: Option<&str>) -> Converted {
    let converted = to_akvs(&documents(text), vault);
    for document in converted
        .documents
        .iter()
        .filter(|document| manifests::is_akvs(document))
    {
        let akvs = manifests::read(document.clone()).unwrap();
        api::parse(&akvs).unwrap_or_else(|diagnosis| panic!("{diagnosis}: {document:#}"));
    }
    converted
}

fn yaml(document: &Value) -> String {
    crate::output::yaml(document).unwrap()
}

fn lost(converted: &Converted) -> Vec<&str> {
    let lost = converted.notes.iter().filter(|note| note.is_lost);
    lost.map(|note| note.text.as_str()).collect()
}

const STORE: &str = "
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: azure, namespace: shop}
spec: {provider: {azurekv: {authType: WorkloadIdentity, vaultUrl: 'https://kv1.vault.azure.net', serviceAccountRef: {name: reader}}}}
---
";

fn external_secret(spec: &str) -> String {
    format!(
        "{STORE}apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nmetadata: {{name: db, namespace: shop}}\n\
         spec: {{secretStoreRef: {{name: azure}}, {spec}}}\n"
    )
}

#[test]
fn an_external_secret_becomes_an_akvs_for_each_entry() {
    let text = external_secret(
        "target: {name: out, template: {metadata: {labels: {app: shop}}}}, \
         data: [{secretKey: PASS_WORD, remoteRef: {key: db, decodingStrategy: Base64}}, {secretKey: jwk, remoteRef: {key: key/sign}}], \
         dataFrom: [{extract: {key: many, version: 0123456789abcdef0123456789abcdef}}]",
    );
    let converted = akvs(&text, None);
    assert_eq!(converted.exit_code(), 0, "{:?}", converted.notes);
    let all: Vec<_> = converted.documents.iter().map(yaml).collect();
    assert_eq!(
        all,
        ["db-pass-word", "db-jwk", "db-many"].map(|name| {
            let (object, output) = match name {
                "db-pass-word" => ("name: db\n      type: secret", "secret:\n      name: out\n      dataKey: PASS_WORD\n    transform:\n      - base64decode"),
                "db-jwk" => ("name: sign\n      type: key", "secret:\n      name: out\n      dataKey: jwk\n    keyFormat: jwk"),
                _ => (
                    "name: many\n      type: multi-key-value-secret\n      contentType: application/x-json\n      version: 0123456789abcdef0123456789abcdef",
                    "secret:\n      name: out",
                ),
            };
            sorted(&format!(
                "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata:\n  name: {name}\n  namespace: shop\n  labels:\n    app: shop\n\
                 spec:\n  vault:\n    name: kv1\n    serviceAccountName: reader\n    object:\n      {object}\n  output:\n    {output}\n"
            ))
        })
    );
}

/// The same document as `yaml` writes it.
fn sorted(text: &str) -> String {
    yaml(&documents(text)[0])
}

#[test]
fn what_an_external_secret_asks_for_and_an_akvs_cannot_do_is_told() {
    for (spec, told) in [
        (
            "data: [{secretKey: k, remoteRef: {key: db, property: user}}]",
            "k: one property of a JSON value (user)",
        ),
        (
            "data: [{secretKey: k, remoteRef: {key: db, decodingStrategy: Auto}}]",
            "k: decodingStrategy Auto",
        ),
        (
            "data: [{secretKey: k, remoteRef: {key: db, metadataPolicy: Fetch}}]",
            "k: tags of an object",
        ),
        ("dataFrom: [{find: {name: {regexp: x}}}]", "dataFrom.find"),
        (
            "dataFrom: [{sourceRef: {generatorRef: {kind: Password, name: p}}}]",
            "dataFrom has no equivalent",
        ),
        ("target: {template: {data: {a: '{{ .k }}'}}}", "target.template.data"),
        ("target: {creationPolicy: Orphan}", "creationPolicy Orphan"),
        ("target: {deletionPolicy: Delete}", "deletionPolicy Delete"),
    ] {
        let converted = akvs(&external_secret(spec), None);
        let lost = lost(&converted);
        assert!(lost.len() == 1 && lost[0].starts_with(told), "{spec}: {lost:?}");
        assert_eq!((converted.exit_code(), converted.documents.len()), (2, 0), "{spec}");
    }
}

#[test]
fn the_vault_is_the_stores_or_the_one_that_is_named() {
    let entry = "data: [{secretKey: k, remoteRef: {key: db}}]";
    let without_store = external_secret(entry).replace(STORE, "");
    let unknown = akvs(&without_store, None);
    assert!(
        lost(&unknown)[0].contains("SecretStore azure is not among the manifests"),
        "{unknown:?}"
    );
    let named = akvs(&without_store, Some("kv2"));
    assert_eq!(named.documents[0]["spec"]["vault"]["name"], "kv2");
    assert_eq!(named.exit_code(), 0);
    let elsewhere = external_secret(entry).replace("azurekv", "aws");
    assert_eq!(
        lost(&akvs(&elsewhere, None)),
        ["its SecretStore azure is no Azure Key Vault but aws"]
    );
    let merge = akvs(
        &external_secret(&format!("{entry}, target: {{creationPolicy: Merge}}")),
        None,
    );
    assert_eq!(
        merge.documents[0]["metadata"]["annotations"]["akv2k8s.spv.no/adopt"],
        "true"
    );
}

fn provider_class(objects: &str, secrets: &str) -> String {
    let objects = objects.replace('\n', "\n      ");
    format!(
        "apiVersion: secrets-store.csi.x-k8s.io/v1\nkind: SecretProviderClass\nmetadata: {{name: web, namespace: shop}}\nspec:\n  provider: azure\n  \
         parameters:\n    keyvaultName: kv1\n    objects: |\n      {objects}\n  secretObjects: {secrets}\n"
    )
}

#[test]
fn a_secret_provider_class_becomes_akvs_for_its_secrets_and_its_files_are_told() {
    let objects = "array:\n  - |\n    objectName: db\n    objectType: secret\n    objectEncoding: base64\n  - |\n    objectName: tls\n    objectType: secret\n    \
                   objectAlias: pair\n  - |\n    objectName: sign\n    objectType: key";
    let secrets = "[{secretName: out, type: Opaque, labels: {app: web}, data: [{objectName: db, key: p}]}, \
                   {secretName: pair, type: kubernetes.io/tls, data: [{objectName: pair, key: tls.key}, {objectName: pair, key: tls.crt}]}]";
    let converted = akvs(&provider_class(objects, secrets), None);
    let specs: Vec<_> = converted
        .documents
        .iter()
        .map(|document| document["spec"].to_string())
        .collect();
    assert_eq!(
        specs,
        [
            r#"{"output":{"secret":{"dataKey":"p","name":"out"},"transform":["base64decode"]},"vault":{"name":"kv1","object":{"name":"db","type":"secret"}}}"#,
            r#"{"output":{"secret":{"name":"pair","type":"kubernetes.io/tls"}},"vault":{"name":"kv1","object":{"name":"tls","type":"secret"}}}"#,
            r#"{"vault":{"name":"kv1","object":{"name":"sign","type":"key"}}}"#,
        ]
    );
    assert_eq!(converted.documents[0]["metadata"]["labels"]["app"], "web");
    assert_eq!(
        lost(&converted),
        ["sign: a file in a volume has no equivalent; its AKVS serves the env injector: web-sign@azurekeyvault"]
    );
}

#[test]
fn what_a_secret_provider_class_asks_for_and_an_akvs_cannot_do_is_told() {
    let db = "array: ['{objectName: db, objectType: secret}', '{objectName: user, objectType: secret}']";
    for (objects, secrets, told) in [
        (
            db,
            "[{secretName: o, type: kubernetes.io/basic-auth, data: [{objectName: db, key: password}, {objectName: user, key: username}]}]",
            "Secret o of type kubernetes.io/basic-auth from several objects",
        ),
        (
            db,
            "[{secretName: o, type: Opaque, data: [{objectName: none, key: k}]}]",
            "Secret o: none is not in parameters.objects",
        ),
        (
            "array: ['{objectName: db, objectType: secret, objectEncoding: hex}']",
            "[]",
            "db: objectEncoding hex",
        ),
        (
            "array: ['{objectName: db, objectType: other}']",
            "[]",
            "db: objectType \"other\"",
        ),
        (
            "array: ['{objectName: db, objectType: secret, objectVersionHistory: 3}']",
            "[]",
            "db: older versions",
        ),
        ("", "[]", "parameters.objects names nothing"),
    ] {
        let converted = akvs(&provider_class(objects, secrets), None);
        assert!(
            lost(&converted).iter().any(|lost| lost.starts_with(told)),
            "{told}: {converted:?}"
        );
        assert_eq!(converted.exit_code(), 2);
    }
}

#[test]
fn references_of_bank_vaults_become_references_to_akvs_of_json_values() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: shop}\nspec: {containers: [{name: c, env: [\
               {name: U, value: 'vault:secret/data/shop/db#user'}, {name: P, value: '>>vault:secret/data/shop/db#password'}, {name: X, value: x}]}]}\n";
    let converted = akvs(pod, Some("kv1"));
    assert_eq!(converted.exit_code(), 0, "{:?}", converted.notes);
    assert_eq!(converted.documents[0]["spec"]["vault"]["object"]["name"], "shop-db");
    let env = &converted.documents[1]["spec"]["containers"][0]["env"];
    let values: Vec<_> = env
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["value"].as_str().unwrap())
        .collect();
    assert_eq!(
        values,
        ["shop-db@azurekeyvault?user", "shop-db@azurekeyvault?password", "x"]
    );
    assert!(
        converted
            .notes
            .iter()
            .any(|note| note.text.starts_with("secret/data/shop/db is to be copied"))
    );
    for (from, to, told) in [
        ("#user", "#user#3", "version 3 has no equivalent"),
        (
            "vault:secret/data/shop/db#user",
            "x-${vault:secret/data/shop/db#user}",
            "only a whole value",
        ),
        ("kind: Pod", "kind: Secret", "references in a Secret"),
    ] {
        let converted = akvs(&pod.replace(from, to), Some("kv1"));
        assert!(
            lost(&converted).iter().any(|lost| lost.contains(told)),
            "{told}: {converted:?}"
        );
    }
    assert!(lost(&akvs(pod, None))[0].contains("--vault"));
}

fn akvs_manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: spv.no/v2beta1\nkind: AzureKeyVaultSecret\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

#[test]
fn akvs_of_one_secret_become_one_external_secret_and_back_again_the_same_akvs() {
    let text = [
        akvs_manifest("db-a", "{vault: {name: kv1, object: {name: a, type: secret}}, output: {transform: [base64decode], secret: {name: db, dataKey: a}}}"),
        akvs_manifest("db-k", "{vault: {name: kv1, object: {name: k, type: key}}, output: {keyFormat: jwk, secret: {name: db, dataKey: k}}}"),
        akvs_manifest("db-m", "{vault: {name: kv1, object: {name: m, type: multi-key-value-secret, contentType: application/x-json}}, output: {secret: {name: db}}}"),
    ]
    .join("---\n");
    let there = to_external_secrets(&documents(&text), None);
    assert_eq!((there.exit_code(), there.documents.len()), (0, 1), "{:?}", there.notes);
    let back = to_akvs(&there.documents, Some("kv1"));
    assert_eq!(back.exit_code(), 0);
    let plain = |document: &Value| {
        let akvs = manifests::read(document.clone()).unwrap();
        (akvs.metadata.name, akvs.spec)
    };
    let first: Vec<_> = documents(&text).iter().map(plain).collect();
    let second: Vec<_> = back.documents.iter().map(plain).collect();
    assert_eq!(first, second);
}

#[test]
fn what_an_akvs_does_and_an_external_secret_cannot_is_told() {
    for (spec, told) in [
        (
            "{vault: {name: kv1, object: {name: a, type: secret}}}",
            "without an output",
        ),
        (
            "{vault: {name: kv1, object: {name: a, type: secret}}, output: {configMap: {name: m, dataKey: k}}}",
            "a ConfigMap",
        ),
        (
            "{vault: {name: kv1, object: {name: a, type: secret}}, output: {transform: [trim], secret: {name: s, dataKey: k}}}",
            "its transform",
        ),
        (
            "{vault: {name: kv1, object: {name: a, type: certificate}}, output: {secret: {name: s, type: kubernetes.io/tls}}}",
            "type kubernetes.io/tls",
        ),
        (
            "{vault: {name: kv1, object: {name: a, type: key}}, output: {secret: {name: s, dataKey: k}}}",
            "a key has no equivalent",
        ),
        (
            "{vault: {name: kv1, object: {name: a, type: multi-key-value-secret, contentType: application/x-yaml}}, output: {secret: {name: s}}}",
            "a YAML value",
        ),
    ] {
        let converted = to_external_secrets(&documents(&akvs_manifest("a", spec)), None);
        let lost = lost(&converted);
        assert!(lost.len() == 1 && lost[0].starts_with(told), "{spec}: {lost:?}");
        assert_eq!((converted.exit_code(), converted.documents.len()), (2, 0));
    }
    let two_vaults = [
        akvs_manifest(
            "a",
            "{vault: {name: kv1, object: {name: a, type: secret}}, output: {secret: {name: s, dataKey: a}}}",
        ),
        akvs_manifest(
            "b",
            "{vault: {name: kv2, object: {name: b, type: secret}}, output: {secret: {name: s, dataKey: b}}}",
        ),
    ]
    .join("---\n");
    let converted = to_external_secrets(&documents(&two_vaults), None);
    assert!(lost(&converted)[0].contains("several vaults"), "{converted:?}");
}

#[test]
fn what_is_nothing_of_the_kind_is_told() {
    let converted = akvs("apiVersion: v1\nkind: Service\nmetadata: {name: s}\n", Some("kv1"));
    assert_eq!((converted.exit_code(), converted.documents.len()), (2, 0));
    assert_eq!(converted.notes[0].about, "Service s");
}

#[test]
fn names_are_made_of_what_is_there_and_told_apart() {
    assert_eq!(slug("DB_Pass.word--1_"), "db-pass-word-1");
    assert_eq!(
        (suffixed("db", "P_W"), suffixed("db", "__")),
        ("db-p-w".to_owned(), "db".to_owned())
    );
}

/// The names of what came of it, AKVS alone.
fn names(converted: &Converted) -> Vec<&str> {
    let akvs = converted.documents.iter().filter(|it| manifests::is_akvs(it));
    akvs.map(|it| text(it, "/metadata/name")).collect()
}

#[test]
fn two_paths_that_would_be_called_the_same_stay_two_and_one_path_stays_one() {
    let pod = |name: &str, path: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{containers: [{{name: c, env: [{{name: U, value: 'vault:secret/data/{path}#pw'}}]}}]}}\n"
        )
    };
    let text = [pod("a", "shop/db"), pod("b", "shop-db"), pod("c", "shop/db")].join("---\n");
    let converted = akvs(&text, Some("kv1"));
    assert_eq!(names(&converted), ["shop-db", "shop-db-2"]);
    let objects: Vec<_> = converted
        .documents
        .iter()
        .filter_map(|it| it.pointer("/spec/vault/object/name"))
        .collect();
    assert_eq!(objects, ["shop-db", "shop-db-2"]);
    let values: Vec<_> = converted
        .documents
        .iter()
        .filter_map(|it| it.pointer("/spec/containers/0/env/0/value"))
        .collect();
    assert_eq!(
        values,
        [
            "shop-db@azurekeyvault?pw",
            "shop-db-2@azurekeyvault?pw",
            "shop-db@azurekeyvault?pw"
        ]
    );
    let told = |it: &Note| it.text.contains("the name shop-db is another's already") && it.about == "Pod shop/b";
    assert!(converted.notes.iter().any(told), "{:?}", converted.notes);
}

#[test]
fn names_are_told_apart_from_those_of_other_documents_of_the_namespace() {
    let entries = "data: [{secretKey: db, remoteRef: {key: a}}, {secretKey: x, remoteRef: {key: b}}]";
    let first = external_secret(entries).replace("name: db, namespace", "name: app, namespace");
    let one = "data: [{secretKey: k, remoteRef: {key: c}}]";
    let second = external_secret(one)
        .replace(STORE, "")
        .replace("name: db, namespace", "name: app-db, namespace");
    let elsewhere = second.replace("namespace: shop", "namespace: other");
    let converted = akvs(&[first, second, elsewhere].join("---\n"), Some("kv1"));
    assert_eq!(names(&converted), ["app-db", "app-x", "app-db-2", "app-db"]);
    let told = |it: &Note| it.text == "AzureKeyVaultSecret app-db-2: the name app-db is another's already";
    assert!(converted.notes.iter().any(told), "{:?}", converted.notes);
}

#[test]
fn what_is_encoded_is_decoded_for_secrets_of_every_type() {
    let objects = "array: ['{objectName: o, objectType: secret, objectEncoding: base64}']";
    for (secret_type, key) in [
        ("kubernetes.io/tls", "tls.key"),
        ("kubernetes.io/dockerconfigjson", ".dockerconfigjson"),
        ("kubernetes.io/ssh-auth", "ssh-privatekey"),
    ] {
        let secrets = format!("[{{secretName: s, type: {secret_type}, data: [{{objectName: o, key: {key}}}]}}]");
        let converted = akvs(&provider_class(objects, &secrets), None);
        let output = &converted.documents[0]["spec"]["output"];
        assert_eq!(
            output["transform"],
            serde_json::json!(["base64decode"]),
            "{secret_type}"
        );
        if secret_type == "kubernetes.io/tls" {
            continue;
        }
        let back = to_external_secrets(&converted.documents, None);
        let entry = &back.documents[0]["spec"]["data"][0];
        assert_eq!(
            (&entry["secretKey"], &entry["remoteRef"]["decodingStrategy"]),
            (&key.into(), &"Base64".into())
        );
    }
    let mounted = akvs(&provider_class(objects, "[]"), None);
    assert!(lost(&mounted)[0].contains("in base64 as it is"), "{mounted:?}");
}
