//! The real program with fewer rights: each set as the file that a user would apply.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::{SecretOptions, VaultHandle};
use akv2k8s_testbed::stack::{Controller, NAMESPACE, Stack};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{Event, Secret};
use k8s_openapi::api::rbac::v1::Role;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

pub(crate) const EVERYWHERE: &str = include_str!("../../../examples/install/controller-rbac.yaml");
pub(crate) const ONE_NAMESPACE: &str = include_str!("../../../examples/install/one-namespace-rbac.yaml");
const NOT_WATCHING: &str = include_str!("../../../examples/install/without-watching-secrets-rbac.yaml");

/// A stack with these rights, and what is done in its one namespace.
pub(crate) struct Bed {
    pub(crate) stack: Stack,
    vault: VaultHandle,
    pub(crate) objects: Api<AzureKeyVaultSecret>,
    pub(crate) secrets: Api<Secret>,
}

impl Bed {
    pub(crate) async fn with(rights: &str) -> anyhow::Result<Self> {
        let stack = Stack::with_rights(rights).await?;
        let vault = stack.vault("kv1");
        vault.set_secret("db", "one", SecretOptions::default())?;
        let client = stack.cluster.client()?;
        Ok(Self {
            vault,
            objects: Api::namespaced(client.clone(), NAMESPACE),
            secrets: Api::namespaced(client, NAMESPACE),
            stack,
        })
    }

    async fn controller(&self, flags: &[&str]) -> anyhow::Result<Controller> {
        let launch = self.stack.controller().arg("--azure-resync-period=1");
        flags.iter().fold(launch, |launch, flag| launch.arg(flag)).start().await
    }

    pub(crate) async fn wait_for_reason(&self, name: &str, reason: &str) -> anyhow::Result<()> {
        let what = format!("{name} to become {reason}");
        let told = async || {
            let akvs = self.objects.get(name).await.ok()?;
            let status = akvs.status?;
            let current = status.observed_generation == akvs.metadata.generation;
            let ready = condition::get(&status.conditions, condition::READY)?;
            (current && ready.reason == reason).then_some(())
        };
        Ok(until(&what, PATIENCE, told).await?)
    }

    async fn wait_for_value(&self, value: &str) -> anyhow::Result<()> {
        let holds = async || {
            let data = self.secrets.get_opt("db").await.ok()??.data?;
            (data.get("v")?.0 == value.as_bytes()).then_some(())
        };
        Ok(until(&format!("Secret db to hold {value:?}"), PATIENCE, holds).await?)
    }

    async fn edit(&self, value: &str) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"stringData": {"v": value}}));
        self.secrets.patch("db", &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Whatever the controller needs it has: created, rotated, told by events, renamed, pruned, deleted.
    async fn play(&self) -> anyhow::Result<()> {
        apply(&self.objects, "db", "db", "Opaque").await?;
        self.wait_for_value("one").await?;
        self.wait_for_reason("db", "Synced").await?;
        self.vault.set_secret("db", "two", SecretOptions::default())?;
        self.wait_for_value("two").await?;
        let events = Api::<Event>::namespaced(self.stack.cluster.client()?, NAMESPACE);
        until("an event", PATIENCE, async || {
            let events = events.list(&ListParams::default()).await.ok()?;
            let ours = events.items.iter().any(|it| it.reason.as_deref() == Some("Synced"));
            ours.then_some(())
        })
        .await?;
        apply(&self.objects, "other", "renamed-from", "Opaque").await?;
        self.wait_for_reason("other", "Synced").await?;
        apply(&self.objects, "other", "renamed-to", "Opaque").await?;
        self.wait_until_gone("renamed-from").await?;
        self.wait_for_reason("other", "Synced").await?;
        self.objects.delete("other", &DeleteParams::default()).await?;
        self.wait_until_gone("renamed-to").await
    }

    async fn wait_until_gone(&self, name: &str) -> anyhow::Result<()> {
        let gone = async || self.secrets.get_opt(name).await.ok()?.is_none().then_some(());
        Ok(until(&format!("Secret {name} to go"), PATIENCE, gone).await?)
    }
}

/// Creates or changes the AKVS `name` as whoever the API's client is.
pub(crate) async fn apply(
    objects: &Api<AzureKeyVaultSecret>,
    name: &str,
    secret: &str,
    secret_type: &str,
) -> anyhow::Result<()> {
    let object = json!({
        "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name},
        "spec": {
            "vault": {"name": "kv1", "object": {"name": "db", "type": "secret"}},
            "output": {"secret": {"name": secret, "dataKey": "v", "type": secret_type}},
        },
    });
    let apply = PatchParams::apply("test").force();
    objects.patch(name, &apply, &Patch::Apply(object)).await?;
    Ok(())
}

/// The API server refused nothing.
pub(crate) fn nothing_was_forbidden(controller: &Controller) -> anyhow::Result<()> {
    let log = controller.log();
    let line = log.lines().find(|line| line.to_lowercase().contains("forbidden"));
    ensure!(line.is_none(), "a right is missing: {line:?}");
    Ok(())
}

pub(crate) async fn readiness(controller: &Controller) -> anyhow::Result<(u16, String)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<hyper::body::Bytes>>();
    let answer = client.get(format!("{}/readyz", controller.http()).parse()?).await?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_one_namespace_needs_no_cluster_wide_right() -> anyhow::Result<()> {
    let bed = Bed::with(ONE_NAMESPACE).await?;
    let controller = bed.controller(&["--watch-all-namespaces=false", "--v=4"]).await?;
    bed.play().await?;
    bed.edit("by hand").await?;
    bed.wait_for_value("two").await?;
    nothing_was_forbidden(&controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_list_and_watch_of_secrets_an_edit_is_put_right_with_the_next_change() -> anyhow::Result<()> {
    let bed = Bed::with(NOT_WATCHING).await?;
    let controller = bed.controller(&["--watch-outputs=false", "--v=4"]).await?;
    bed.play().await?;
    bed.edit("by hand").await?;
    bed.vault.set_secret("db", "three", SecretOptions::default())?;
    bed.wait_for_value("three").await?;
    nothing_was_forbidden(&controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_make_a_secret_of_a_powerful_type_cannot_have_the_controller_make_it() -> anyhow::Result<()> {
    let bed = Bed::with(EVERYWHERE).await?;
    let cluster = &bed.stack.cluster;
    let tenant = json!([
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
         "metadata": {"name": "tenant", "namespace": NAMESPACE},
         "rules": [{"apiGroups": ["spv.no"], "resources": ["azurekeyvaultsecrets"], "verbs": ["*"]}]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
         "metadata": {"name": "tenant", "namespace": NAMESPACE},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
         "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}]},
    ]);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": tenant});
    cluster.kubectl_apply(&list.to_string()).await?;
    let client = cluster.client_as("tenant", &["system:authenticated"])?;
    let (objects, secrets) = (
        Api::<AzureKeyVaultSecret>::namespaced(client.clone(), NAMESPACE),
        Api::<Secret>::namespaced(client, NAMESPACE),
    );
    let controller = bed.controller(&[]).await?;
    let types = ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];
    for (number, secret_type) in types.into_iter().enumerate() {
        let name = format!("token-{number}");
        let secret = serde_json::from_value(json!({"metadata": {"name": name}, "type": secret_type}))?;
        let refused = secrets.create(&PostParams::default(), &secret).await;
        ensure!(refused.is_err(), "the tenant needs no controller for that");
        // The API server learns of the role a moment after it was made.
        until("the tenant's right", PATIENCE, async || {
            apply(&objects, &name, &name, secret_type).await.ok()
        })
        .await?;
        bed.wait_for_reason(&name, "OutputTypeRefused").await?;
        ensure!(bed.secrets.get_opt(&name).await?.is_none(), "{name} was written");
    }
    nothing_was_forbidden(&controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_may_not_read_the_lease_names_the_right_and_starts_once_it_has_it() -> anyhow::Result<()> {
    let bed = Bed::with(EVERYWHERE).await?;
    let roles = Api::<Role>::namespaced(bed.stack.cluster.client()?, NAMESPACE);
    let role = roles.get("akv2k8s-controller-leader").await?;
    roles
        .delete("akv2k8s-controller-leader", &DeleteParams::default())
        .await?;
    let controller = bed.controller(&[]).await?;
    let named = async || {
        let (status, body) = readiness(&controller).await.ok()?;
        (status == 503 && body.contains("\"leases\"")).then_some(body)
    };
    let body = until("the missing right in /readyz", PATIENCE, named).await?;
    ensure!(!body.contains("standby"), "{body}");
    for part in [
        "ApiServerForbidden",
        "cannot get",
        "Grant get, create and update on leases",
    ] {
        ensure!(body.contains(part), "{part:?} is not in {body}");
    }
    let told = controller.log().matches("the lease cannot be read or written").count();
    ensure!(told == 1, "told {told} times");

    let again = Role {
        metadata: kube::api::ObjectMeta {
            resource_version: None,
            uid: None,
            ..role.metadata
        },
        ..role
    };
    roles.create(&PostParams::default(), &again).await?;
    apply(&bed.objects, "db", "db", "Opaque").await?;
    bed.wait_for_value("one").await?;
    let (status, body) = readiness(&controller).await.context("readyz")?;
    ensure!(status == 200 && body == "ok\n", "{status} {body}");
    Ok(())
}
