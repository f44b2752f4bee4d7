//! Every separation of `examples/tenancy` keeps tenants apart as it says.

use akv2k8s_testbed::helm::{Helm, id};
use akv2k8s_testbed::provision::Program;
use akv2k8s_testbed::stack::{Controller, Deployed, prepares};
use anyhow::{Context, ensure};

use crate::bed::{Azure, RELEASE, World, text};

const GRANTS: [&str; 3] = [
    "tenancy/grants/values.yaml",
    "tenancy/grants/teams.yaml",
    "tenancy/grants/denied.yaml",
];
const ONE_NAMESPACE: [&str; 2] = [
    "tenancy/one-namespace/values.yaml",
    "tenancy/one-namespace/secrets.yaml",
];
const BY_LABEL: [&str; 2] = ["tenancy/by-label/values.yaml", "tenancy/by-label/secrets.yaml"];
/// Any way to become somebody does.
const IDENTITY: &str = "identity/workload-identity/values.yaml";
/// `db-password`, in a namespace to be named.
const OBJECT: &str = "identity/db-password.yaml";

/// A cluster with a controller of these values at work in `namespace`, looking at vaults each second.
struct Bed {
    world: World,
    azure: Azure,
    _pod: Deployed,
    controller: Controller,
}

impl Bed {
    async fn start(namespace: &str, values: &str) -> anyhow::Result<Self> {
        let (world, azure) = (World::start().await?, Azure::start().await?);
        world.federate(namespace, &azure).await?;
        world.install(namespace, &[IDENTITY, values])?;
        let (pod, launch) = world.controller(namespace, &azure).await?;
        let controller = launch.arg("--azure-resync-period=1").start().await?;
        Ok(Self {
            world,
            azure,
            _pod: pod,
            controller,
        })
    }

    /// Nothing was done about an object, although another one was written, and followed for some looks at the vault.
    async fn is_untouched(&self, (namespace, name): (&str, &str), other: (&str, &str)) -> anyhow::Result<()> {
        for value in ["second", "third"] {
            self.azure.set("db-password", value)?;
            self.world
                .holds(other.0, other.1, value)
                .await
                .with_context(|| self.controller.log())?;
        }
        let akvs = self.world.akvs(namespace, name).await?;
        ensure!(akvs.status.is_none(), "{:?}", akvs.status);
        ensure!(akvs.metadata.finalizers.is_none_or(|it| it.is_empty()));
        ensure!(
            self.world.value(namespace, name).await?.is_none(),
            "its Secret is there"
        );
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_give_each_team_its_own_objects_of_a_shared_vault_and_deny_the_other_teams() -> anyhow::Result<()> {
    let [values, teams, denied] = GRANTS;
    let bed = Bed::start(RELEASE, values).await?;
    for team in ["team-a", "team-b"] {
        bed.azure.set(&format!("{team}-db-password"), &format!("of {team}"))?;
    }
    for file in [teams, denied] {
        bed.world.apply(file).await?;
    }
    for team in ["team-a", "team-b"] {
        bed.world
            .becomes(team, "db-password", "Synced")
            .await
            .with_context(|| bed.controller.log())?;
        bed.world.holds(team, "db-password", &format!("of {team}")).await?;
    }
    bed.world.becomes("team-b", "not-ours", "VaultNotGranted").await?;
    ensure!(bed.world.value("team-b", "not-ours").await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_one_namespace_leaves_others_alone_and_has_no_right_outside_it() -> anyhow::Result<()> {
    let [values, secrets] = ONE_NAMESPACE;
    let helm = Helm::of(Program::Helm3)?;
    for object in helm.objects(&text(values)?)? {
        ensure!(
            object["metadata"]["namespace"] == RELEASE,
            "{} belongs to the cluster",
            id(&object)
        );
    }
    let bed = Bed::start("shop", values).await?;
    bed.azure.set("db-password", "first")?;
    bed.world.apply(secrets).await?;
    bed.is_untouched(("bank", "db-password"), ("shop", "db-password")).await
}

/// Fails unless an env injector with these values, installed in `shop`, prepares the pods of `served`, and neither those of `bank` nor may read there.
async fn serves_only(served: &[&str], values: &str) -> anyhow::Result<()> {
    let (world, azure) = (World::start().await?, Azure::start().await?);
    azure.set("db-password", "s3cret")?;
    world.federate("shop", &azure).await?;
    for namespace in served {
        world.namespace(namespace).await?;
    }
    world.install_with("shop", &[IDENTITY], values)?;
    world.apply(ONE_NAMESPACE[1]).await?;
    for namespace in served.iter().chain(&["bank"]) {
        let line = format!("label namespace {namespace} azure-key-vault-env-injection=enabled");
        world.kubectl(&line).await?;
    }
    let (_pod, injector) = world.injector("shop", &azure).await?;
    for namespace in served {
        world.apply_in(namespace, OBJECT).await?;
        prepares(&world.cluster, namespace).await?;
        world.injects(&injector, namespace, "s3cret").await?;
    }
    let other = world.create_pod("bank").await?;
    ensure!(other["spec"]["containers"][0]["command"][0] == "env", "{other:#}");
    for (namespace, expected) in served.iter().map(|it| (*it, "yes")).chain([("bank", "no")]) {
        for (verb, resource) in [
            ("get", "pods"),
            ("get", "secrets"),
            ("get", "serviceaccounts"),
            ("list", "azurekeyvaultsecrets"),
            ("watch", "azurekeyvaultsecrets"),
        ] {
            let account = "system:serviceaccount:shop:akv2k8s-envinjector";
            let words = [
                "auth",
                "can-i",
                verb,
                resource,
                "--namespace",
                namespace,
                "--as",
                account,
            ];
            let answer = world.cluster.kubectl(&words).await?;
            ensure!(
                answer.stdout.trim() == expected,
                "{verb} {resource} of {namespace}: {answer:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_env_injector_of_one_namespace_prepares_the_pods_of_that_namespace_alone() -> anyhow::Result<()> {
    serves_only(&["shop"], "watchAllNamespaces: false").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_env_injector_of_several_namespaces_prepares_the_pods_of_those_alone() -> anyhow::Result<()> {
    serves_only(&["shop", "blog"], "watchNamespaces: [shop, blog]").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_labelled_objects_leaves_all_others_alone() -> anyhow::Result<()> {
    let [values, secrets] = BY_LABEL;
    let bed = Bed::start(RELEASE, values).await?;
    bed.azure.set("db-password", "first")?;
    bed.world.apply(secrets).await?;
    bed.is_untouched(("default", "not-labelled"), ("default", "labelled"))
        .await
}
