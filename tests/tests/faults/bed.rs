//! What the tests here share.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition, crd};
use akv2k8s_shared::diagnosis::Code;
use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::crd::install_definition;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use tokio::sync::OnceCell;

/// A stage whose API server checks no names: objects like those stored before our definition came can be made.
pub(crate) async fn stage(prefix: &str) -> anyhow::Result<Stage> {
    static LOOSENED: OnceCell<()> = OnceCell::const_new();
    let stage = Stage::new(prefix).await?;
    let loosen = async || {
        let client = ControlPlane::shared().await?.client()?;
        install_definition(&client, &without_rules()?).await
    };
    LOOSENED.get_or_try_init(loosen).await?;
    Ok(stage)
}

/// Our definition with types and enumerations only: no rules, no patterns, no lengths.
fn without_rules() -> anyhow::Result<CustomResourceDefinition> {
    let mut definition = serde_json::to_value(crd())?;
    strip(&mut definition);
    Ok(serde_json::from_value(definition)?)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| match name.as_str() {
                "x-kubernetes-validations" => false,
                // Also the name of a property somewhere: then its value is a schema.
                "pattern" | "minLength" | "maxLength" => member.is_object(),
                _ => true,
            });
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// What must survive a fault: a Secret's data, and the version that tells whether anybody wrote to it.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot(Value);

/// The Secret `name` as it is now.
pub(crate) async fn snapshot(stage: &Stage, name: &str) -> anyhow::Result<Snapshot> {
    let secret: Secret = stage.secret(name).await?.with_context(|| format!("no Secret {name}"))?;
    Ok(Snapshot(serde_json::to_value(secret)?))
}

/// The data of the ConfigMap `name`.
pub(crate) async fn config_map(stage: &Stage, name: &str) -> anyhow::Result<ConfigMap> {
    Ok(stage.api::<ConfigMap>().get(name).await?)
}

/// Waits until the AKVS `name` tells `code`: a condition with cause and fix, and one event. Gives the condition's message.
pub(crate) async fn told(stage: &Stage, name: &str, code: Code) -> anyhow::Result<String> {
    let akvs = stage.wait_for_reason(name, code.as_str()).await?;
    let ready = find(&akvs, condition::READY).context("Ready")?;
    ensure!(ready.status == "False", "{name}: Ready is {}", ready.status);
    let message = ready.message.clone();
    for part in ["Cause: ", "Fix: "] {
        let rest = message
            .split_once(part)
            .map(|(_, rest)| rest.trim())
            .unwrap_or_default();
        ensure!(rest.len() > 10, "{name}: no {part}in {message:?}");
    }
    let other = find(&akvs, condition::STALLED).or(find(&akvs, condition::RECONCILING));
    ensure!(
        other.is_some_and(|it| it.status == "True" && it.reason == code.as_str()),
        "{name}: neither Stalled nor Reconciling says {code}"
    );
    until(
        &format!("an event that tells {code} about {name}"),
        PATIENCE,
        async || (tellings(stage, name, code).await.ok()? > 0).then_some(()),
    )
    .await?;
    Ok(message)
}

fn find<'a>(akvs: &'a AzureKeyVaultSecret, type_: &str) -> Option<&'a akv2k8s_shared::api::Condition> {
    condition::get(&akvs.status.as_ref()?.conditions, type_)
}

/// How often events have told `code` about the AKVS `name`, a series counted whole.
pub(crate) async fn tellings(stage: &Stage, name: &str, code: Code) -> anyhow::Result<usize> {
    let selector = format!("involvedObject.kind=AzureKeyVaultSecret,involvedObject.name={name},type=Warning");
    let events = stage
        .api::<Event>()
        .list(&ListParams::default().fields(&selector))
        .await?;
    let telling = events.items.iter().filter(|event| {
        let message = event.message.as_deref().unwrap_or_default();
        message.contains("Cause: ")
            && (event.reason.as_deref() == Some(code.as_str()) || message.contains(code.as_str()))
    });
    let counts = telling.map(|event| event.count.and_then(|it| usize::try_from(it).ok()).unwrap_or(1));
    Ok(counts.sum())
}

/// What Kubernetes shows of one AKVS to everybody who may look at it: the object with its status, and its events.
pub(crate) async fn shown(
    objects: &Api<AzureKeyVaultSecret>,
    events: &Api<Event>,
    name: &str,
) -> anyhow::Result<String> {
    let object = serde_json::to_string(&objects.get(name).await?)?;
    let selector = format!("involvedObject.name={name}");
    let events = events.list(&ListParams::default().fields(&selector)).await?;
    Ok(format!("{object}\n{}", serde_json::to_string(&events.items)?))
}

/// An AKVS that writes the secret `object` of `vault` to key `v` of a Secret of the given name.
pub(crate) fn plain(vault: &str, object: &str, secret: &str) -> String {
    format!(
        "{{vault: {{name: {vault}, object: {{name: {object}, type: secret}}}}, output: {{secret: {{name: {secret}, dataKey: v}}}}}}"
    )
}
