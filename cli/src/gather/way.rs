//! What stands between a ServiceAccount and a vault when the controller reads on its behalf: the controller's flags and grants, and
//! what the namespace admits.

use akv2k8s_shared::api::AzureKeyVaultSecret;
use akv2k8s_shared::doctor::Seen;
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{LocalSubjectAccessReview, ResourceAttributes, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::Component;
use super::controller::deployment;
use crate::args::{Installation, ServiceAccountName};
use crate::cluster::{Cluster, seen};
use crate::flags::{Flags, config_map};

/// The policy of `examples/isolation`.
pub(crate) const POLICY: &str = "akv2k8s-service-account-identities";

/// What is known of the way.
pub(crate) struct Way {
    pub(crate) account: ServiceAccountName,
    /// The AKVS of its namespace that name it.
    pub(crate) asks: Seen<Vec<String>>,
    pub(crate) namespace: Seen<Namespace>,
    pub(crate) controller: Seen<Controller>,
    /// Whether the policy that pins token requests is there.
    pub(crate) policy: Seen<()>,
    /// Whether the controller may ask for the account's token.
    pub(crate) may_request: Seen<bool>,
}

/// The controller as its Deployment says.
pub(crate) struct Controller {
    /// As whom it runs at the API server.
    pub(crate) user: String,
    /// Whether it reads vaults as ServiceAccounts.
    pub(crate) service_account_identities: bool,
    pub(crate) grants: Rules,
}

/// The controller's grants.
pub(crate) enum Rules {
    /// It was given none.
    None,
    /// Their text, with the name of the config map.
    Text(String, String),
    /// They are not to be had; why.
    Unknown(String),
}

/// Reads what there is for `account`.
pub(crate) async fn way(cluster: &Cluster, account: &ServiceAccountName, at: &Installation) -> anyhow::Result<Way> {
    let client = &cluster.client;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let controller = match deployment(client, &at.controller_namespace, Component::Controller).await? {
        Seen::Found(deployment) => Seen::Found(described(client, &at.controller_namespace, &deployment).await?),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    };
    let may_request = match &controller {
        Seen::Found(controller) => may_request(client, &controller.user, account).await?,
        Seen::Missing | Seen::NotAllowed => Seen::Missing,
    };
    Ok(Way {
        account: account.clone(),
        asks: asks(client, account).await?,
        namespace: seen(namespaces.get(&account.namespace).await, "the namespace")?,
        controller,
        policy: seen(policies.get(POLICY).await.map(drop), "the admission policy")?,
        may_request,
    })
}

/// The grants of the controller at `at`.
///
/// # Errors
/// The API server failed in another way than 403 or 404.
pub(crate) async fn rules(cluster: &Cluster, at: &Installation) -> anyhow::Result<Rules> {
    let namespace = &at.controller_namespace;
    Ok(
        match deployment(&cluster.client, namespace, Component::Controller).await? {
            Seen::Found(deployment) => described(&cluster.client, namespace, &deployment).await?.grants,
            Seen::Missing => Rules::Unknown(format!(
                "there is no controller in namespace {namespace} (--controller-namespace names another)"
            )),
            Seen::NotAllowed => Rules::Unknown(format!("no right to list deployments.apps in namespace {namespace}")),
        },
    )
}

async fn asks(client: &Client, account: &ServiceAccountName) -> anyhow::Result<Seen<Vec<String>>> {
    let objects: Api<AzureKeyVaultSecret> = Api::namespaced(client.clone(), &account.namespace);
    let all = objects.list(&ListParams::default()).await;
    let names = |it: &AzureKeyVaultSecret| it.spec.vault.service_account_name.as_ref() == Some(&account.name);
    let asking = all.map(|list| {
        list.items
            .iter()
            .filter(|it| names(it))
            .map(ResourceExt::name_any)
            .collect()
    });
    seen(asking, "the AzureKeyVaultSecrets")
}

async fn described(client: &Client, namespace: &str, deployment: &Deployment) -> anyhow::Result<Controller> {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let name = pod
        .and_then(|pod| pod.service_account_name.as_deref())
        .unwrap_or("default");
    let flags = Flags::of(pod);
    let grants = match flags.value("vault-grants") {
        None => Rules::None,
        Some(path) => match pod.and_then(|pod| config_map(pod, path)) {
            None => Rules::Unknown(format!("{path} comes from no ConfigMap")),
            Some((map, key)) => rules_in(client, namespace, &map, &key).await?,
        },
    };
    Ok(Controller {
        user: format!("system:serviceaccount:{namespace}:{name}"),
        service_account_identities: flags.is_on("service-account-identities"),
        grants,
    })
}

async fn rules_in(client: &Client, namespace: &str, name: &str, key: &str) -> anyhow::Result<Rules> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let place = format!("ConfigMap {namespace}/{name}");
    Ok(match seen(maps.get(name).await, &place)? {
        Seen::NotAllowed => Rules::Unknown(format!("no right to read {place}")),
        Seen::Missing => Rules::Unknown(format!("{place} does not exist")),
        Seen::Found(map) => match map.data.unwrap_or_default().remove(key) {
            Some(text) => Rules::Text(text, place),
            None => Rules::Unknown(format!("{place} has no key {key}")),
        },
    })
}

/// Asks the API server whether `user` may ask for the account's token.
async fn may_request(client: &Client, user: &str, account: &ServiceAccountName) -> anyhow::Result<Seen<bool>> {
    let reviews: Api<LocalSubjectAccessReview> = Api::namespaced(client.clone(), &account.namespace);
    let (prefix, _) = user.rsplit_once(':').unwrap_or_default();
    let groups = [
        "system:serviceaccounts".to_owned(),
        prefix.replace("serviceaccount:", "serviceaccounts:"),
        "system:authenticated".to_owned(),
    ];
    let mut review = LocalSubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(groups.into()),
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(account.namespace.clone()),
                verb: Some("create".to_owned()),
                resource: Some("serviceaccounts".to_owned()),
                subresource: Some("token".to_owned()),
                name: Some(account.name.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..LocalSubjectAccessReview::default()
    };
    review.metadata.namespace = Some(account.namespace.clone());
    let answer = seen(
        reviews.create(&PostParams::default(), &review).await,
        "an access review",
    )?;
    Ok(match answer {
        Seen::Found(review) => Seen::Found(review.status.is_some_and(|status| status.allowed)),
        Seen::Missing => Seen::Missing,
        Seen::NotAllowed => Seen::NotAllowed,
    })
}
