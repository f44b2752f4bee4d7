//! The real program with several namespaces, by Roles alone.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::helm::objects;
use akv2k8s_testbed::stack::{Controller, Launch, Stack};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::rights::{ONE_NAMESPACE, apply, nothing_was_forbidden, readiness};

/// A stack, and a controller's rights in namespaces one by one.
struct Bed {
    stack: Stack,
    client: kube::Client,
}

impl Bed {
    /// The controller has its Lease, and nothing else, anywhere.
    async fn new() -> anyhow::Result<Self> {
        let mut all = objects(ONE_NAMESPACE)?;
        all.retain(|it| !is_role_of_objects(it));
        let stack = Stack::with_rights(&list(&all)).await?;
        let client = stack.cluster.client()?;
        stack.vault("kv1").set_secret("db", "one", SecretOptions::default())?;
        Ok(Self { stack, client })
    }

    async fn create(&self, namespace: &str) -> anyhow::Result<()> {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        self.stack.cluster.kubectl_apply(&object.to_string()).await?;
        Ok(())
    }

    /// Gives the controller the Role of one namespace in `namespace`, but for `verbs` on Secrets.
    async fn grant(&self, namespace: &str, but: &[&str]) -> anyhow::Result<()> {
        let mut granted = objects(ONE_NAMESPACE)?;
        granted.retain(is_role_of_objects);
        for role in &mut granted {
            role["metadata"]["namespace"] = json!(namespace);
            let rules = role["rules"].as_array_mut().into_iter().flatten();
            for verbs in rules
                .filter(|it| it["resources"][0] == "secrets")
                .filter_map(|it| it["verbs"].as_array_mut())
            {
                verbs.retain(|verb| !but.iter().any(|it| verb == it));
            }
        }
        self.stack.cluster.kubectl_apply(&list(&granted)).await?;
        Ok(())
    }

    fn objects(&self, namespace: &str) -> Api<AzureKeyVaultSecret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// A launch of a controller of two namespaces.
    fn controller(&self) -> Launch {
        self.stack.controller().arg("--watch-namespaces=shop,bank")
    }

    fn secrets(&self, namespace: &str) -> Api<Secret> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn apply(&self, namespace: &str) -> anyhow::Result<()> {
        apply(&self.objects(namespace), "db", "db", "Opaque").await
    }

    async fn wait_for_secret(&self, namespace: &str) -> anyhow::Result<()> {
        let holds = async || {
            let data = self.secrets(namespace).get_opt("db").await.ok()??.data?;
            (data.get("v")?.0 == b"one").then_some(())
        };
        Ok(until(&format!("Secret {namespace}/db"), PATIENCE, holds).await?)
    }

    async fn wait_until_gone(&self, namespace: &str) -> anyhow::Result<()> {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let gone = async || namespaces.get_opt(namespace).await.ok()?.is_none().then_some(());
        Ok(until(&format!("namespace {namespace} to go"), PATIENCE, gone).await?)
    }
}

fn is_role_of_objects(object: &Value) -> bool {
    object["kind"] != "ServiceAccount" && object["metadata"]["name"] == "akv2k8s-controller"
}

fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// Waits until `/readyz` is 200 and names exactly these watches.
async fn wait_for_troubles(controller: &Controller, subjects: &[&str]) -> anyhow::Result<String> {
    let told = async || {
        let (status, body) = readiness(controller).await.ok()?;
        let all = subjects
            .iter()
            .all(|it| body.contains(&format!("\n{it}: ApiServerForbidden: ")));
        (status == 200 && all && body.lines().count() == subjects.len() + 1).then_some(body)
    };
    match until(&format!("/readyz to name {subjects:?}"), PATIENCE, told).await {
        Ok(body) => Ok(body),
        Err(error) => Err(error).context(format!("{:?}", readiness(controller).await?)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_three_namespaces_two_are_served_by_roles_alone_and_the_third_is_left_alone() -> anyhow::Result<()> {
    let bed = Bed::new().await?;
    for namespace in ["shop", "bank", "web"] {
        bed.create(namespace).await?;
        bed.grant(namespace, &[]).await?;
        bed.apply(namespace).await?;
    }
    let controller = bed.controller().arg("--v=4").start().await?;
    wait_for_troubles(&controller, &[]).await?;
    for namespace in ["shop", "bank"] {
        bed.wait_for_secret(namespace).await?;
        // It is watched, too.
        let edit = Patch::Merge(json!({"stringData": {"v": "by hand"}}));
        bed.secrets(namespace)
            .patch("db", &PatchParams::default(), &edit)
            .await?;
        bed.wait_for_secret(namespace).await?;
    }
    ensure!(bed.secrets("web").get_opt("db").await?.is_none(), "web got a Secret");
    ensure!(bed.objects("web").get("db").await?.status.is_none(), "web got a status");
    nothing_was_forbidden(&controller)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_may_not_be_read_is_told_and_holds_up_no_other() -> anyhow::Result<()> {
    let bed = Bed::new().await?;
    for namespace in ["shop", "bank"] {
        bed.create(namespace).await?;
        bed.apply(namespace).await?;
    }
    bed.grant("shop", &[]).await?;
    let controller = bed.controller().start().await?;
    bed.wait_for_secret("shop").await?;
    let watches = ["azurekeyvaultsecrets", "secrets", "configmaps"].map(|it| format!("watch of {it} in bank"));
    let body = wait_for_troubles(&controller, &watches.each_ref().map(String::as_str)).await?;
    let fix = "Grant list and watch on secrets in bank to the controller's ServiceAccount";
    ensure!(body.contains(fix), "{body}");
    ensure!(controller.log().contains(fix), "{}", controller.log());
    ensure!(bed.secrets("bank").get_opt("db").await?.is_none(), "bank got a Secret");

    // What may be read is enough to sync; Secrets are looked at one by one then.
    bed.grant("bank", &["list", "watch"]).await?;
    bed.wait_for_secret("bank").await?;
    wait_for_troubles(
        &controller,
        &["watch of secrets in bank", "watch of configmaps in bank"],
    )
    .await?;

    bed.grant("bank", &[]).await?;
    wait_for_troubles(&controller, &[]).await?;
    bed.secrets("bank").delete("db", &DeleteParams::default()).await?;
    bed.wait_for_secret("bank").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_comes_later_or_anew_is_served() -> anyhow::Result<()> {
    let bed = Bed::new().await?;
    bed.create("shop").await?;
    bed.grant("shop", &[]).await?;
    bed.apply("shop").await?;
    let controller = bed.controller().start().await?;
    bed.wait_for_secret("shop").await?;
    for _ in 0..2 {
        bed.create("bank").await?;
        bed.grant("bank", &[]).await?;
        bed.apply("bank").await?;
        bed.wait_for_secret("bank").await?;
        wait_for_troubles(&controller, &[]).await?;
        let namespaces = Api::<Namespace>::all(bed.client.clone());
        namespaces.delete("bank", &DeleteParams::default()).await?;
        bed.wait_until_gone("bank").await?;
    }
    bed.secrets("shop").delete("db", &DeleteParams::default()).await?;
    bed.wait_for_secret("shop").await
}
