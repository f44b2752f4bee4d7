//! From a release of akv2k8s' chart to ours and back, on a real API server without nodes: what is exchanged in place, what goes, and that
//! nothing of the users' is written. The old release is a description of ours (`upstream`), and no program of it runs.

use std::collections::BTreeSet;

use akv2k8s_testbed::helm::RELEASE;
use akv2k8s_testbed::provision::Program;
use anyhow::{Context, ensure};

use crate::installing::the_env_injector_fills_in_its_webhook;
use crate::kinds::PFX;
use crate::place::{Objects, Place, Switched};
use crate::users::Users;
use crate::values::{IN_ONE_NAMESPACE, OLD, WITH_CERT_MANAGER};

/// Objects that both releases have, and that must not be made anew: running pods, endpoints and federations hang on them.
const CONTROLLER: [&str; 3] = [
    "Deployment/akv2k8s-controller",
    "Service/akv2k8s-controller",
    "ServiceAccount/akv2k8s-controller",
];
const ENV_INJECTOR: [&str; 4] = [
    "Deployment/akv2k8s-envinjector",
    "MutatingWebhookConfiguration/akv2k8s-envinjector",
    "Service/akv2k8s-envinjector",
    "ServiceAccount/akv2k8s-envinjector",
];

/// With most values, objects of the old release alone.
const OLD_ONLY: [&str; 4] = [
    "ClusterRole/akv2k8s-envinjector-reader",
    "ClusterRoleBinding/akv2k8s-envinjector-reader",
    "Secret/akv2k8s-envinjector-ca",
    "Secret/akv2k8s-envinjector-tls",
];

/// Everything of the users' is as it was before.
pub(crate) async fn is_untouched(users: &Users, before: &Objects) -> anyhow::Result<()> {
    let now = users.all().await?;
    ensure!(now.keys().eq(before.keys()), "{:?}, of {:?}", now.keys(), before.keys());
    for (id, object) in &now {
        ensure!(
            *object == before[id],
            "{id} was written: {object}, before {}",
            before[id]
        );
    }
    Ok(())
}

/// Of each release its programs, and the webhook's way to them.
async fn is_ours(place: &Place) -> anyhow::Result<()> {
    for (deployment, image) in [(CONTROLLER[0], "controller"), (ENV_INJECTOR[0], "envinjector")] {
        let container = &place.there(deployment).await?["spec"]["template"]["spec"]["containers"][0];
        ensure!(
            container["image"] == format!("ghcr.io/akv2k8s-rs/{image}:0.1.0"),
            "{container}"
        );
        ensure!(
            container["readinessProbe"]["httpGet"]["scheme"] == "HTTP",
            "{container}"
        );
    }
    let webhook = place.there(ENV_INJECTOR[1]).await?["webhooks"].clone();
    ensure!(
        webhook[0]["matchConditions"].is_array() && webhook[1].is_null(),
        "{webhook}"
    );
    let config = &webhook[0]["clientConfig"];
    ensure!(
        config["caBundle"].is_null() && config["service"]["path"].is_null(),
        "{config}"
    );
    Ok(())
}

async fn is_theirs(place: &Place) -> anyhow::Result<()> {
    let container = &place.there(CONTROLLER[0]).await?["spec"]["template"]["spec"]["containers"][0];
    ensure!(
        container["image"] == "spvest/azure-keyvault-controller:1.8.4",
        "{container}"
    );
    let config = &place.there(ENV_INJECTOR[1]).await?["webhooks"][0]["clientConfig"];
    ensure!(
        config["caBundle"] == place.certificate && config["service"]["path"] == "/pods",
        "{config}"
    );
    Ok(())
}

/// What an upgrade says of pods that akv2k8s prepared.
const PODS_TO_RESTART: &str = "kubectl akv2k8s doctor --controller-namespace akv2k8s";

/// What is said of an upgrade that goes without the defaults of our chart.
const WITHOUT_DEFAULTS: &str = "upgrade with --values FILE, or with --reset-then-reuse-values";

async fn there_and_back(program: Program) -> anyhow::Result<()> {
    let place = Place::new(program).await?;
    let (_, defaults) = OLD[0];
    place.install_old(defaults)?;
    let users = Users::new(place.cluster, PFX).await?;
    let before = users.all().await?;

    // Values as they are before the edit that is documented, and the flag that is warned of.
    let with_image = format!("{defaults}controller: {{image: {{tag: 1.8.4}}}}\n");
    for (flag, values, words) in [
        (
            "--reset-values",
            with_image.as_str(),
            "Take controller.image.tag out of your values",
        ),
        ("--reuse-values", "", WITHOUT_DEFAULTS),
        (
            "--reuse-values",
            "workloadIdentity: {enabled: true, clientId: somebody}\n",
            WITHOUT_DEFAULTS,
        ),
    ] {
        let refused = place.upgrade_with(&[flag], values).err();
        let refused = format!("{:#}", refused.with_context(|| format!("{flag}: it was upgraded"))?);
        ensure!(refused.contains(words), "{flag}: {refused}");
        is_theirs(&place).await.context(flag)?;
    }

    let switched = place.switch(defaults).await?;
    ensure!(
        switched.said.contains(PODS_TO_RESTART),
        "{PODS_TO_RESTART:?} is not in {}",
        switched.said
    );
    ensure!(switched.gone() == OLD_ONLY, "{:?}", switched.gone());
    switched.keeps(&[&CONTROLLER[..], &ENV_INJECTOR].concat())?;
    is_ours(&place).await?;
    is_untouched(&users, &before).await?;

    // What the old chart renders has a value, the env injector has written another by now: both Helms put the old one back by themselves,
    // since the old release was installed by Helm 3.
    the_env_injector_fills_in_its_webhook(place.cluster).await?;
    goes_back(&place, &switched).await?;
    is_theirs(&place).await?;
    is_untouched(&users, &before).await?;
    place.uninstall()
}

/// Afterwards there is what the old release consisted of, and nothing else of ours: what both have is the same object as before.
async fn goes_back(place: &Place, switched: &Switched) -> anyhow::Result<()> {
    let back = ["rollback", RELEASE, "1", "--namespace", RELEASE];
    place.ours.run(&back, "").context("roll back")?;
    let both: BTreeSet<_> = switched.before.keys().chain(switched.after.keys()).collect();
    let again = place.get(both).await?;
    ensure!(again.keys().eq(switched.before.keys()), "back: {:?}", again.keys());
    for (id, object) in switched.after.iter().filter(|(id, _)| again.contains_key(*id)) {
        ensure!(
            again[id]["metadata"]["uid"] == object["metadata"]["uid"],
            "{id} was made anew by the way back"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_takes_a_release_of_akv2k8s_over_in_place_and_gives_it_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_takes_a_release_of_akv2k8s_over_in_place_and_gives_it_back() -> anyhow::Result<()> {
    there_and_back(Program::Helm4).await
}

/// What goes with the values `name`.
fn what_goes(name: &str) -> Vec<&'static str> {
    match name {
        // Of one replica that must stay none could be drained. All else is cert-manager's, or said in the values.
        WITH_CERT_MANAGER => vec!["PodDisruptionBudget/akv2k8s-envinjector"],
        IN_ONE_NAMESPACE => vec![
            "Role/akv2k8s-envinjector",
            "Role/akv2k8s-envinjector-reader",
            "RoleBinding/akv2k8s-envinjector",
            "RoleBinding/akv2k8s-envinjector-reader",
        ],
        // There the env injector's could not be switched off.
        "monitored" => [&OLD_ONLY[..], &["ServiceMonitor/akv2k8s-envinjector"]].concat(),
        _ => OLD_ONLY.to_vec(),
    }
}

/// What stays with the values `name` besides what stays with all.
fn what_stays(name: &str) -> &'static [&'static str] {
    match name {
        "service principal in env" => &["Secret/akv2k8s-controller-env", "Secret/akv2k8s-env"],
        "pod identity" => &[
            "AzurePodIdentityException/akv2k8s-controller-exception",
            "AzurePodIdentityException/akv2k8s-env-injector-exception",
        ],
        "managed identity in values" => &["ConfigMap/akv2k8s-azureconfig"],
        "restricted init container" => &[
            "PodDisruptionBudget/akv2k8s-envinjector",
            "Secret/akv2k8s-envinjector-webhook-env",
        ],
        WITH_CERT_MANAGER => &[
            "Certificate/akv2k8s-envinjector-ca",
            "Certificate/akv2k8s-envinjector-tls",
            "ClusterRoleBinding/akv2k8s-envinjector-reader",
            "Issuer/akv2k8s-envinjector-ca",
            "Issuer/akv2k8s-envinjector-selfsign",
        ],
        IN_ONE_NAMESPACE => &[
            "Role/akv2k8s-controller",
            "RoleBinding/akv2k8s-controller",
            "Secret/akv2k8s-controller-env",
        ],
        "monitored" => &["ServiceMonitor/akv2k8s-controller"],
        _ => &[],
    }
}

/// cert-manager goes on with the authority that it has: with another specification it would make another one, or wait for somebody's
/// decision (`CannotRegenerateKey`). The webhook's own certificate it may make anew.
fn authority_is_kept(switched: &Switched) -> anyhow::Result<()> {
    for id in [
        "Certificate/akv2k8s-envinjector-ca",
        "Issuer/akv2k8s-envinjector-ca",
        "Issuer/akv2k8s-envinjector-selfsign",
    ] {
        let (before, after) = (&switched.before[id], &switched.after[id]);
        ensure!(
            before["spec"] == after["spec"],
            "{id}: {} in place of {}",
            after["spec"],
            before["spec"]
        );
    }
    let renewed = &switched.after["Certificate/akv2k8s-envinjector-tls"]["spec"]["privateKey"];
    ensure!(renewed["rotationPolicy"] == "Always", "{renewed}");
    Ok(())
}

async fn with_every_values_file(program: Program) -> anyhow::Result<()> {
    let place = Place::new(program).await?;
    place.install_old("")?;
    let users = Users::new(place.cluster, PFX).await?;
    let before = users.all().await?;
    for (name, values) in OLD {
        place.uninstall()?;
        place.install_old(values).context(*name)?;
        let switched = place.switch(values).await.context(*name)?;
        ensure!(
            switched.gone() == what_goes(name),
            "{name}: gone: {:?}",
            switched.gone()
        );
        switched.keeps(&CONTROLLER).context(*name)?;
        switched.keeps(what_stays(name)).context(*name)?;
        if *name != IN_ONE_NAMESPACE {
            switched.keeps(&ENV_INJECTOR).context(*name)?;
        }
        if *name == WITH_CERT_MANAGER {
            authority_is_kept(&switched)?;
        }
        is_untouched(&users, &before).await.context(*name)?;
        goes_back(&place, &switched).await.context(*name)?;
        is_untouched(&users, &before)
            .await
            .with_context(|| format!("{name}, back"))?;
    }
    place.uninstall()
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_3_takes_releases_with_every_values_file_of_users_over_in_place_and_gives_them_back() -> anyhow::Result<()>
{
    with_every_values_file(Program::Helm3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_4_takes_releases_with_every_values_file_of_users_over_in_place_and_gives_them_back() -> anyhow::Result<()>
{
    with_every_values_file(Program::Helm4).await
}
