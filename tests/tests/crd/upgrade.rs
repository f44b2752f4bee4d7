//! Objects that were stored before our definition came: readable in every version, and still updatable.
//!
//! The tests run on copies of both definitions under other names, since the shared API server has ours already.

use std::time::Duration;

use akv2k8s_shared::api::{AzureKeyVaultSecret, crd_yaml, parse};
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::crd::install_definition;
use akv2k8s_testbed::wait::until;
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use super::VERSIONS;

/// The definition as akv2k8s has it, written down from its description: no rules, and fields that only some versions have.
const UPSTREAM: &str = include_str!("upstream.yaml");

/// A cluster that had akv2k8s before.
struct Upgrade {
    client: Client,
    namespace: Namespace,
    /// Lower-case letters that set this test's copy of the definition apart.
    copy: &'static str,
}

impl Upgrade {
    /// Installs the definition of akv2k8s.
    async fn begin(copy: &'static str) -> anyhow::Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        let namespace = control_plane.namespace(copy).await?;
        let upgrade = Self {
            client: control_plane.client()?,
            namespace,
            copy,
        };
        upgrade.install(UPSTREAM).await?;
        Ok(upgrade)
    }

    /// Replaces it by ours.
    async fn finish(&self) -> anyhow::Result<()> {
        self.install(&crd_yaml()).await?;
        // Established it was before: the new definition is served once the API server refuses what ours refuses.
        until("the new definition", Duration::from_secs(30), async || {
            let spec = json!({"vault": {"name": "-", "object": {"name": "s", "type": "secret"}}});
            self.create_dry("v2beta1", &spec).await.err()
        })
        .await?;
        Ok(())
    }

    async fn install(&self, yaml: &str) -> anyhow::Result<()> {
        let yaml = yaml
            .replace("spv.no", &self.group())
            .replace("azurekeyvaultsecret", &format!("{}secret", self.copy))
            .replace("AzureKeyVaultSecret", &self.kind())
            .replace("- akvs", &format!("- {}", self.copy))
            .replace("- all", &format!("- {}", self.copy));
        install_definition(&self.client, &serde_yaml::from_str(&yaml)?).await
    }

    fn group(&self) -> String {
        format!("{}.test", self.copy)
    }

    fn kind(&self) -> String {
        format!("{}Secret", self.copy)
    }

    fn resource(&self, version: &str) -> ApiResource {
        let kind = GroupVersionKind::gvk(&self.group(), version, &self.kind());
        ApiResource::from_gvk_with_plural(&kind, &format!("{}secrets", self.copy))
    }

    fn api(&self, version: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), self.namespace.name(), &self.resource(version))
    }

    async fn create(&self, version: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
        let object = DynamicObject::new(name, &self.resource(version)).data(json!({"spec": spec}));
        self.api(version).create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn create_dry(&self, version: &str, spec: &Value) -> kube::Result<DynamicObject> {
        let object = DynamicObject::new("dry", &self.resource(version)).data(json!({"spec": spec}));
        self.api(version)
            .create(
                &PostParams {
                    dry_run: true,
                    ..PostParams::default()
                },
                &object,
            )
            .await
    }

    async fn patch(&self, name: &str, patch: &Value) -> kube::Result<DynamicObject> {
        self.api("v1")
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
    }

    async fn patch_status(&self, name: &str, status: &Value) -> kube::Result<DynamicObject> {
        let patch = json!({"status": status});
        self.api("v2beta1")
            .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
    }

    /// The object read in `version`, in our type.
    async fn read(&self, version: &str, name: &str) -> anyhow::Result<AzureKeyVaultSecret> {
        let mut value = serde_json::to_value(self.api(version).get(name).await?)?;
        value["kind"] = "AzureKeyVaultSecret".into();
        Ok(serde_json::from_value(value)?)
    }
}

fn plain_spec() -> Value {
    json!({
        "vault": {"name": "My-Vault", "object": {"name": "s", "type": "secret"}},
        "output": {"secret": {"name": "s", "dataKey": "k"}},
    })
}

/// The message of a refusal.
fn refusal(answer: kube::Result<DynamicObject>) -> String {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 422 => status.message,
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("accepted"),
    }
}

#[tokio::test]
async fn objects_stored_through_any_version_are_readable_through_all() -> anyhow::Result<()> {
    let upgrade = Upgrade::begin("stored").await?;
    for version in VERSIONS {
        upgrade.create(version, version, &plain_spec()).await?;
        upgrade
            .patch_status(
                version,
                &json!({
                    "secretName": "s",
                    "secretHash": "d41d8cd98f00b204e9800998ecf8427e",
                    "lastAzureUpdate": "2024-05-01T12:00:00Z",
                }),
            )
            .await?;
    }
    upgrade.finish().await?;
    for name in VERSIONS {
        for version in VERSIONS {
            let akvs = upgrade.read(version, name).await?;
            let request = parse(&akvs).map_err(|diagnosis| anyhow::anyhow!("{diagnosis}"))?;
            let status = akvs.status.unwrap_or_default();
            let context = format!("{name} through {version}");
            assert_eq!(
                request.object.to_string(),
                "secret 's' in vault 'my-vault'",
                "{context}"
            );
            assert_eq!(status.secret_name.as_deref(), Some("s"), "{context}");
            assert_eq!(
                status.secret_hash.as_deref(),
                Some("d41d8cd98f00b204e9800998ecf8427e"),
                "{context}"
            );
            assert_eq!(
                status.last_azure_update.map(|it| it.0.as_second()),
                Some(1_714_564_800),
                "{context}"
            );
        }
    }
    Ok(())
}

/// The stored version of upstream has no `transforms`, so the API server dropped these steps on arrival; nothing can bring them
/// back but applying the manifest again.
#[tokio::test]
async fn steps_written_through_v1alpha1_were_lost_and_are_kept_from_now_on() -> anyhow::Result<()> {
    let upgrade = Upgrade::begin("steps").await?;
    let mut spec = plain_spec();
    spec["output"]["transforms"] = json!(["trim"]);
    upgrade.create("v1alpha1", "old", &spec).await?;
    let steps = async |name: &str| -> anyhow::Result<Vec<String>> {
        let akvs = upgrade.read("v2beta1", name).await?;
        Ok(akvs.spec.output.map(|output| output.transforms).unwrap_or_default())
    };
    assert_eq!(steps("old").await?, Vec::<String>::new());

    upgrade.finish().await?;
    assert_eq!(steps("old").await?, Vec::<String>::new());
    upgrade.create("v1alpha1", "new", &spec).await?;
    upgrade.patch("old", &json!({"spec": spec})).await?;
    for name in ["old", "new"] {
        upgrade.patch_status(name, &json!({"secretName": "s"})).await?;
        assert_eq!(steps(name).await?, ["trim"], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn objects_that_the_rules_refuse_can_still_be_labelled_reported_on_and_corrected() -> anyhow::Result<()> {
    let upgrade = Upgrade::begin("ratchet").await?;
    let spec = json!({
        "vault": {"name": "my_vault", "object": {"name": "a.b", "type": "multi-key-value-secret", "version": "latest"}},
        "output": {"transform": ["rot13"], "secret": {"name": "Upper"}},
    });
    upgrade.create("v2beta1", "broken", &spec).await?;
    let keyless = json!({
        "vault": {"name": "my-vault", "object": {"name": "s", "type": "secret"}},
        "output": {"secret": {"name": "s"}},
    });
    upgrade.create("v1alpha1", "keyless", &keyless).await?;

    upgrade.finish().await?;
    let again = refusal(upgrade.create_dry("v2beta1", &spec).await);
    assert!(again.contains("write the vault's short name"), "{again}");

    for name in ["broken", "keyless"] {
        upgrade
            .patch(name, &json!({"metadata": {"labels": {"team": "a"}}}))
            .await?;
        let condition = json!({
            "type": "Ready", "status": "False", "reason": "InvalidSpec", "message": "spec.vault.name cannot be used.",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        upgrade
            .patch_status(name, &json!({"conditions": [condition], "observedGeneration": 1}))
            .await?;
        let akvs = upgrade.read("v2beta1", name).await?;
        assert_eq!(akvs.metadata.labels.map(|it| it["team"].clone()).as_deref(), Some("a"));
        assert_eq!(akvs.status.map(|it| it.conditions.len()), Some(1));
    }

    // One fault at a time can be put right; another fault cannot take its place.
    upgrade
        .patch("broken", &json!({"spec": {"output": {"secret": {"name": "lower"}}}}))
        .await?;
    let worse = refusal(
        upgrade
            .patch("broken", &json!({"spec": {"vault": {"name": "my.vault"}}}))
            .await,
    );
    assert!(
        worse.contains("write the vault's short name") && !worse.contains("'version'"),
        "{worse}"
    );
    upgrade
        .patch("broken", &json!({"spec": {"vault": {"name": "my-vault"}}}))
        .await?;

    let still = refusal(
        upgrade
            .patch("keyless", &json!({"spec": {"output": {"secret": {"dataKey": ""}}}}))
            .await,
    );
    assert!(still.contains("output.secret.dataKey is missing"), "{still}");
    upgrade
        .patch(
            "keyless",
            &json!({"spec": {"output": {"secret": {"dataKey": "password"}}}}),
        )
        .await?;
    Ok(())
}
