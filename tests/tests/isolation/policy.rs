//! What is left to our programs' users of the right to create tokens, asked of the API server directly.

use akv2k8s_testbed::controlplane::ControlPlane;
use akv2k8s_testbed::wait::until;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};

use crate::bed::{CLUSTER, PATIENCE, admitted};

const RIGHTS: &str = include_str!("../../../examples/install/controller-rbac.yaml");

/// What the controller asks for.
fn allowed() -> TokenRequestSpec {
    TokenRequestSpec {
        audiences: Some(vec!["api://AzureADTokenExchange".to_owned()]),
        expiration_seconds: Some(600),
        ..TokenRequestSpec::default()
    }
}

/// Asks for a token of the account `default`; gives the words of a refusal.
async fn ask(client: &kube::Client, namespace: &str, spec: TokenRequestSpec) -> Result<(), String> {
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let request = TokenRequest {
        spec: Some(spec),
        ..TokenRequest::default()
    };
    let answer = api
        .create_token_request("default", &PostParams::default(), &request)
        .await;
    answer.map(drop).map_err(|error| error.to_string())
}

/// A namespace that the platform team let in.
async fn admit(cluster: &ControlPlane, prefix: &str) -> anyhow::Result<String> {
    let namespace = format!("{prefix}-{}", std::process::id());
    cluster.kubectl_apply(&admitted(&namespace)).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client()?, &namespace);
    until("the account default", PATIENCE, async || {
        accounts.get("default").await.ok()
    })
    .await?;
    Ok(namespace)
}

/// What would be worth a theft in a namespace that let them in, each with words of the refusal.
async fn tempting(cluster: &ControlPlane, namespace: &str) -> anyhow::Result<Vec<(TokenRequestSpec, &'static str)>> {
    let secrets: Api<Secret> = Api::namespaced(cluster.client()?, namespace);
    let anchor = Secret {
        metadata: ObjectMeta {
            name: Some("anchor".to_owned()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    let anchor = secrets.create(&PostParams::default(), &anchor).await?;
    let bound_to = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: anchor.metadata.name,
        uid: anchor.metadata.uid,
    };
    let issuer = cluster.issuer().await?;
    let audiences = |names: Option<&[&str]>| TokenRequestSpec {
        audiences: names.map(|names| names.iter().map(|it| (*it).to_owned()).collect()),
        ..allowed()
    };
    let lasting = |seconds| TokenRequestSpec {
        expiration_seconds: seconds,
        ..allowed()
    };
    let bound = TokenRequestSpec {
        bound_object_ref: Some(bound_to),
        ..allowed()
    };
    let (audience, long) = ("the only audience is api://AzureADTokenExchange", "600 seconds at most");
    Ok(vec![
        (audiences(Some(&["https://elsewhere.example"])), audience),
        (audiences(Some(&[&issuer])), audience),
        (audiences(Some(&["api://AzureADTokenExchange", &issuer])), audience),
        (audiences(Some(&[])), audience),
        (audiences(None), audience),
        (lasting(Some(601)), long),
        (lasting(None), long),
        (bound, "bound to no object"),
    ])
}

#[expect(clippy::too_many_lines, reason = "one attack after the other on one cluster")]
#[tokio::test(flavor = "multi_thread")]
async fn our_programs_get_tokens_for_entra_only_and_only_where_they_were_let_in() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    cluster.kubectl_apply(RIGHTS).await?;
    cluster.kubectl_apply(CLUSTER).await?;
    let admitted = admit(cluster, "admitted").await?;
    let bound = admit(cluster, "unlabelled").await?;
    let label = "akv2k8s.spv.no/service-account-identities-";
    cluster
        .kubectl(&["label", "namespace", &bound, label])
        .await?
        .success()?;
    let labelled = admit(cluster, "unbound").await?;
    let role = "rolebinding/akv2k8s-service-account-identities";
    cluster
        .kubectl(&["delete", role, "--namespace", &labelled])
        .await?
        .success()?;
    let stranger = cluster.namespace("stranger").await?;
    let controller = cluster.client_as_service_account("akv2k8s", "akv2k8s-controller")?;
    let injector = cluster.client_as_service_account("akv2k8s", "akv2k8s-envinjector")?;

    // Rights, policy and label take effect a moment after they were written.
    until("the controller to be let in", PATIENCE, async || {
        ask(&controller, &admitted, allowed()).await.ok()
    })
    .await?;
    let long = TokenRequestSpec {
        expiration_seconds: Some(3600),
        ..allowed()
    };
    until("the policy to be in force", PATIENCE, async || {
        ask(&controller, &admitted, long.clone()).await.err()
    })
    .await?;
    for (namespace, words) in [
        (&bound, "kubectl label namespace"),
        (&labelled, "cannot create resource"),
    ] {
        until(&format!("{namespace} to be refused"), PATIENCE, async || {
            ask(&controller, namespace, allowed())
                .await
                .err()
                .filter(|it| it.contains(words))
        })
        .await?;
    }

    let tempting = tempting(cluster, &admitted).await?;
    for (account, client) in [("controller", &controller), ("env injector", &injector)] {
        until(&format!("the {account} to be let in"), PATIENCE, async || {
            ask(client, &admitted, allowed()).await.ok()
        })
        .await?;
        for (spec, words) in &tempting {
            let refusal = ask(client, &admitted, spec.clone())
                .await
                .expect_err(&format!("{account}: {spec:?}"));
            assert!(
                refusal.contains("ValidatingAdmissionPolicy") && refusal.contains(words),
                "{account}: {spec:?}: {refusal}"
            );
        }
    }
    // A namespace of which nobody ever spoke, and the right to look at ServiceAccounts.
    let refusal = ask(&controller, stranger.name(), allowed())
        .await
        .expect_err("not let in");
    assert!(
        refusal.contains("cannot create resource \"serviceaccounts/token\""),
        "{refusal}"
    );
    let accounts = |namespace: &str| Api::<ServiceAccount>::namespaced(controller.clone(), namespace);
    assert!(accounts(&admitted).get_metadata("default").await.is_ok());
    assert!(accounts(stranger.name()).get_metadata("default").await.is_err());
    assert!(
        accounts(&admitted).list_metadata(&ListParams::default()).await.is_err(),
        "only those it is told the name of"
    );
    // A Secret of this type would be filled with a token that never ends.
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for type_ in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some("stolen".to_owned()),
                annotations: Some([("kubernetes.io/service-account.name".to_owned(), "default".to_owned())].into()),
                ..ObjectMeta::default()
            },
            type_: Some(type_.to_owned()),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(controller.clone(), stranger.name());
        until(&format!("{type_} to be refused"), PATIENCE, async || {
            let answer = secrets.create(&dry_run, &secret).await;
            answer
                .err()
                .filter(|error| error.to_string().contains("credentials for the API server"))
        })
        .await?;
        let plain = Secret { type_: None, ..secret };
        assert!(secrets.create(&dry_run, &plain).await.is_ok(), "its own Secrets");
    }
    // Others are not concerned.
    cluster
        .service_account_token(stranger.name(), "default", "https://elsewhere.example")
        .await?;
    assert!(ask(&controller, &admitted, allowed()).await.is_ok());
    Ok(())
}
