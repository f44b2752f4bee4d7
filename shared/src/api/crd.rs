//! The `CustomResourceDefinition`, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

use super::columns::{ADDED, Column, definition};
use super::{v1, v1alpha1, v2alpha1, v2beta1};

/// First line of the YAML: how it came to be.
const HEADER: &str = "# Generated from the Rust types by `akv2k8s-controller crd`. Do not edit.\n";

/// Annotation of the definition: its [`REVISION`]. What has none is older, or another program's.
pub const REVISION_ANNOTATION: &str = "akv2k8s.spv.no/revision";
/// Counts the changes of the definition. A program never replaces a definition by an older one.
pub const REVISION: u32 = 1;

/// The `CustomResourceDefinition` of `azurekeyvaultsecrets.spv.no` with all its versions.
pub fn crd() -> CustomResourceDefinition {
    let mut crd = v2beta1::AzureKeyVaultSecret::crd();
    crd.metadata.annotations = Some([(REVISION_ANNOTATION.to_owned(), REVISION.to_string())].into());
    crd.spec.versions = [
        finish(v1alpha1::AzureKeyVaultSecret::crd(), &v1alpha1::COLUMNS),
        finish(v1::AzureKeyVaultSecret::crd(), &v1::COLUMNS),
        finish(v2alpha1::AzureKeyVaultSecret::crd(), &v2alpha1::COLUMNS),
        finish(v2beta1::AzureKeyVaultSecret::crd(), &v2beta1::COLUMNS),
    ]
    .concat();
    crd
}

/// The `CustomResourceDefinition` as it is committed in the chart.
///
/// # Panics
/// Never: what the types generate is made of maps, lists, texts and numbers, which YAML has.
pub fn crd_yaml() -> String {
    let yaml = serde_saphyr::to_string(&crd()).expect("maps, lists, texts and numbers serialise");
    format!("{HEADER}{yaml}")
}

/// The version of a derived definition, with what the derive macro leaves to do.
fn finish(of_one_version: CustomResourceDefinition, columns: &[Column]) -> Vec<CustomResourceDefinitionVersion> {
    let mut versions = of_one_version.spec.versions;
    for version in &mut versions {
        let columns = columns.iter().copied().chain(ADDED).map(definition);
        version.additional_printer_columns = Some(columns.collect());
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            refuse_null(schema);
        }
    }
    versions
}

/// Optional fields are absent, never null: the API server then drops a null (`output:` with nothing behind it) on arrival
/// instead of storing it, and CEL's `has()` means what it says.
fn refuse_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(allowed) = &mut schema.enum_ {
        allowed.retain(|value| !value.0.is_null());
    }
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        refuse_null(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        refuse_null(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        refuse_null(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the chart ships.
    const COMMITTED: &str = include_str!("../../../charts/akv2k8s/crds/azurekeyvaultsecrets.spv.no.yaml");

    #[test]
    fn the_committed_yaml_is_the_generated_one() {
        assert!(
            crd_yaml() == COMMITTED,
            "regenerate: cargo run -p akv2k8s-controller -- crd > charts/akv2k8s/crds/azurekeyvaultsecrets.spv.no.yaml"
        );
    }

    /// The names of all fields below `schema`.
    fn fields(schema: &serde_json::Value, found: &mut Vec<String>) {
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            found.push(name.clone());
            fields(below, found);
        }
        if schema["items"].is_object() {
            fields(&schema["items"], found);
        }
    }

    #[test]
    fn no_field_of_a_specification_names_a_namespace_an_address_or_an_authority() {
        for version in crd().spec.versions {
            let schema = serde_json::to_value(version.schema).unwrap();
            let mut found = Vec::new();
            fields(&schema["openAPIV3Schema"]["properties"]["spec"], &mut found);
            assert!(found.contains(&"vault".to_owned()) && found.contains(&"object".to_owned()));
            for name in found {
                let lower = name.to_lowercase();
                for word in [
                    "namespace",
                    "url",
                    "uri",
                    "host",
                    "endpoint",
                    "address",
                    "server",
                    "bundle",
                    "authority",
                    "proxy",
                    "template",
                ] {
                    assert!(!lower.contains(word), "{}: {name}", version.name);
                }
            }
        }
    }

    /// What revision 1 said. Once published, a change takes a new revision, and so a new line here.
    const SAID: [(u32, &str); 1] = [(1, "HM6uoV/0TtDxgOdEAjeKG90j9PeodVLI3CB+9Z1MoUc=")];

    #[test]
    fn whoever_changes_the_definition_counts() {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(serde_json::to_vec(&crd().spec).unwrap());
        let digest = base64::Engine::encode(&crate::encoding::BASE64, digest);
        assert_eq!(
            SAID.last(),
            Some(&(REVISION, digest.as_str())),
            "raise REVISION and add a line to SAID"
        );
    }

    #[test]
    fn every_version_has_the_same_fields_and_v2beta1_is_stored() {
        let versions = crd().spec.versions;
        let names: Vec<_> = versions
            .iter()
            .map(|version| (version.name.as_str(), version.served, version.storage))
            .collect();
        assert_eq!(
            names,
            [
                ("v1alpha1", true, false),
                ("v1", true, false),
                ("v2alpha1", true, false),
                ("v2beta1", true, true)
            ]
        );
        for version in &versions {
            assert_eq!(version.schema, versions[0].schema, "{}", version.name);
            assert!(
                version.subresources.as_ref().is_some_and(|it| it.status.is_some()),
                "{}",
                version.name
            );
        }
    }
}
