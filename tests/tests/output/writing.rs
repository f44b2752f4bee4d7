//! Creating, changing and pruning.

use akv2k8s_controller::output::{self, Kind, Retry, Target};
use anyhow::Result;
use hyper::Request;
use hyper::header::{ACCEPT, HeaderValue};
use kube::Client;
use kube::api::{DeleteParams, PostParams};
use kube::client::Body;
use serde_json::json;

use super::bed::{Bed, map, secret, wants};

#[tokio::test]
async fn an_output_is_created_whole_and_a_second_pass_changes_nothing() -> Result<()> {
    let bed = Bed::new("create").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut desired = wants("db", &[("user", "u"), ("password", "p\n\"\u{1F511}"), ("empty", "")]);
    desired.labels = map(&[("app", "shop")]);
    desired.annotations = map(&[("example.com/note", "hello")]);
    let desired = [desired];
    assert_eq!(bed.synced(&mut a, &desired).await?, ["Created Secret db"]);

    let written = bed.secrets().get("db").await?;
    assert_eq!(
        bed.data("db").await?,
        map(&[("user", "u"), ("password", "p\n\"\u{1F511}"), ("empty", "")])
    );
    assert_eq!(written.type_.as_deref(), Some("Opaque"));
    assert_eq!(written.metadata.labels, Some(map(&[("app", "shop")])));
    assert_eq!(
        written.metadata.annotations,
        Some(map(&[("example.com/note", "hello")]))
    );
    let owners = json!([{"apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "name": "a", "uid": a.id.uid,
        "controller": false, "blockOwnerDeletion": true}]);
    assert_eq!(serde_json::to_value(written.metadata.owner_references)?, owners);

    assert_eq!(bed.synced(&mut a, &desired).await?, ["Unchanged Secret db"]);
    assert_eq!(
        bed.secrets().get("db").await?.metadata.resource_version,
        written.metadata.resource_version
    );
    Ok(())
}

#[tokio::test]
async fn a_config_map_takes_text_and_binary_data() -> Result<()> {
    let bed = Bed::new("configmap").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut desired = wants("settings", &[("text", "grün")]);
    desired.target.kind = Kind::ConfigMap;
    desired.secret_type = Some("Opaque".into());
    desired.binary = [(
        "blob".to_owned(),
        akv2k8s_shared::secret::SecretBytes::new(vec![0, 159, 146, 150]),
    )]
    .into();
    assert_eq!(bed.synced(&mut a, &[desired]).await?, ["Created ConfigMap settings"]);
    let written = bed.config_maps().get("settings").await?;
    assert_eq!(written.data, Some(map(&[("text", "grün")])));
    assert_eq!(written.binary_data.unwrap_or_default()["blob"].0, [0, 159, 146, 150]);
    Ok(())
}

/// Takes every trace of who wrote what out of Secret `db`.
async fn forget_managers(bed: &Bed) -> Result<()> {
    bed.patch_secret("somebody", json!({"metadata": {"managedFields": [{}]}}))
        .await?;
    assert_eq!(bed.secrets().get("db").await?.metadata.managed_fields, None);
    Ok(())
}

#[tokio::test]
async fn pruning_never_takes_keys_that_no_manager_owns() -> Result<()> {
    let bed = Bed::new("ownerless").await?;
    let mut a = bed.akvs("a", 1).await?;
    a.adopt = true;
    let theirs = json!({"metadata": {"name": "db"}, "stringData": {"theirs": "x"}});
    bed.create_secret("somebody", theirs).await?;
    forget_managers(&bed).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    assert_eq!(bed.data("db").await?, map(&[("password", "p"), ("theirs", "x")]));

    let mut retyped = wants("db", &[("tls.crt", "c"), ("tls.key", "k")]);
    retyped.secret_type = Some("kubernetes.io/tls".into());
    let trouble = bed.sync(&mut a, &[retyped], &[]).await?.trouble();
    assert!(trouble.starts_with("OutputTypeImmutable"), "{trouble}");

    let changes = bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(changes, ["Created Secret db2", "Released Secret db"]);
    assert_eq!(bed.data("db").await?, map(&[("theirs", "x")]));
    assert_eq!(bed.secrets().get("db").await?.metadata.owner_references, None);
    Ok(())
}

/// A client by way of somebody who does not pass on that a table is asked for.
fn without_tables(client: &Client) -> Client {
    let client = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let accept = request.headers().get(ACCEPT).and_then(|it| it.to_str().ok());
        if accept.is_some_and(|it| it.contains("as=Table")) {
            let plain = HeaderValue::from_static("application/json");
            request.headers_mut().insert(ACCEPT, plain);
        }
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(service, "default")
}

#[tokio::test]
async fn where_nobody_says_how_many_keys_there_are_no_secret_is_deleted() -> Result<()> {
    let mut bed = Bed::new("no-tables").await?;
    let mut a = bed.akvs("a", 1).await?;
    a.adopt = true;
    let theirs = json!({"metadata": {"name": "db"}, "stringData": {"theirs": "x"}});
    bed.create_secret("somebody", theirs).await?;
    forget_managers(&bed).await?;
    bed.client = without_tables(&bed.client);
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;

    let mut retyped = wants("db", &[("tls.crt", "c"), ("tls.key", "k")]);
    retyped.secret_type = Some("kubernetes.io/tls".into());
    let trouble = bed.sync(&mut a, &[retyped], &[]).await?.trouble();
    assert!(trouble.starts_with("OutputTypeImmutable"), "{trouble}");
    assert_eq!(bed.data("db").await?, map(&[("password", "p"), ("theirs", "x")]));

    let changes = bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(changes, ["Created Secret db2", "Released Secret db"]);
    assert_eq!(bed.data("db").await?, map(&[("theirs", "x")]));
    Ok(())
}

#[tokio::test]
async fn dropped_keys_and_renamed_outputs_are_pruned() -> Result<()> {
    let bed = Bed::new("prune").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("user", "u"), ("password", "p")])])
        .await?;
    assert_eq!(
        bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?,
        ["Updated Secret db"]
    );
    assert_eq!(bed.data("db").await?, map(&[("password", "p")]));

    let changes = bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(changes, ["Created Secret db2", "Deleted Secret db"]);
    bed.gone("db").await?;
    assert_eq!(bed.data("db2").await?, map(&[("password", "p")]));
    Ok(())
}

#[tokio::test]
async fn a_renamed_output_in_which_others_have_keys_loses_only_ours() -> Result<()> {
    let bed = Bed::new("rename").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    bed.patch_secret("kubectl-edit", json!({"stringData": {"theirs": "x"}}))
        .await?;
    let changes = bed.synced(&mut a, &[wants("db2", &[("password", "p")])]).await?;
    assert_eq!(changes, ["Created Secret db2", "Released Secret db"]);
    assert_eq!(bed.data("db").await?, map(&[("theirs", "x")]));
    assert_eq!(bed.secrets().get("db").await?.metadata.owner_references, None);
    assert!(!bed.meta(&secret("db")).await?.concerns_an_akvs());
    Ok(())
}

#[tokio::test]
async fn foreign_keys_labels_annotations_and_the_immutable_mark_survive() -> Result<()> {
    let bed = Bed::new("foreign").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "old")])]).await?;
    let theirs =
        json!({"metadata": {"labels": {"theirs": "l"}, "annotations": {"theirs": "a"}}, "stringData": {"theirs": "d"}});
    bed.patch_secret("kubectl-edit", theirs).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "new")])]).await?;
    assert_eq!(bed.data("db").await?, map(&[("password", "new"), ("theirs", "d")]));

    bed.patch_secret("kubectl-edit", json!({"immutable": true})).await?;
    assert_eq!(
        bed.synced(&mut a, &[wants("db", &[("password", "new")])]).await?,
        ["Unchanged Secret db"]
    );
    let pass = bed.sync(&mut a, &[wants("db", &[("password", "newer")])], &[]).await?;
    assert!(
        pass.trouble().starts_with("OutputImmutable: Secret db in namespace"),
        "{}",
        pass.trouble()
    );
    assert!(
        pass.trouble().contains("kubectl delete secret --namespace"),
        "{}",
        pass.trouble()
    );
    let now = bed.secrets().get("db").await?;
    assert_eq!(now.immutable, Some(true));
    assert_eq!(now.metadata.labels, Some(map(&[("theirs", "l")])));
    assert_eq!(now.metadata.annotations, Some(map(&[("theirs", "a")])));
    assert_eq!(bed.data("db").await?, map(&[("password", "new"), ("theirs", "d")]));
    Ok(())
}

#[tokio::test]
async fn the_type_changes_by_recreation_when_every_key_is_ours() -> Result<()> {
    let bed = Bed::new("type").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("username", "u"), ("password", "p")])])
        .await?;
    let before = bed.secrets().get("db").await?.metadata.uid;
    let typed = || {
        let mut typed = wants("db", &[("username", "u"), ("password", "p")]);
        typed.secret_type = Some("kubernetes.io/basic-auth".into());
        typed
    };
    assert_eq!(bed.synced(&mut a, &[typed()]).await?, ["Recreated Secret db"]);
    let after = bed.secrets().get("db").await?;
    assert_eq!(after.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_ne!(after.metadata.uid, before);
    assert_eq!(bed.data("db").await?, map(&[("username", "u"), ("password", "p")]));

    bed.patch_secret("kubectl-edit", json!({"stringData": {"theirs": "x"}}))
        .await?;
    let pass = bed.sync(&mut a, &[wants("db", &[("password", "p")])], &[]).await?;
    assert!(pass.trouble().starts_with("OutputTypeImmutable"), "{}", pass.trouble());
    assert_eq!(bed.secrets().get("db").await?.metadata.uid, after.metadata.uid);
    Ok(())
}

#[tokio::test]
async fn types_that_give_rights_are_never_written_even_for_a_user_without_rights_on_secrets() -> Result<()> {
    let bed = Bed::new("types").await?;
    let mut a = bed.akvs("a", 1).await?;
    let tenant = bed.cluster.client_as("tenant", &["system:authenticated"])?;
    let theirs: kube::Api<k8s_openapi::api::core::v1::Secret> = kube::Api::namespaced(tenant, bed.namespace.name());
    for refused in ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"] {
        let mut desired = wants("token", &[("token", "x")]);
        desired.secret_type = Some(refused.into());
        desired.annotations = map(&[("kubernetes.io/service-account.name", "default")]);
        let pass = bed.sync(&mut a, &[desired], &[]).await?;
        assert!(pass.trouble().starts_with("OutputTypeRefused"), "{}", pass.trouble());
        assert!(bed.secrets().get_opt("token").await?.is_none());
    }
    // The same request by the tenant is forbidden, so the controller must not do it for them.
    let direct =
        serde_json::from_value(json!({"metadata": {"name": "token"}, "type": "kubernetes.io/service-account-token"}))?;
    let error = theirs.create(&PostParams::default(), &direct).await.err();
    assert!(
        matches!(&error, Some(kube::Error::Api(status)) if status.code == 403),
        "{error:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_object_replaced_between_looking_and_writing_is_left_alone() -> Result<()> {
    let bed = Bed::new("uid").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.synced(&mut a, &[wants("db", &[("password", "p")])]).await?;
    let desired = [wants("db", &[("password", "new")])];
    let observed = bed.observe(&a, &desired).await?;
    bed.secrets().delete("db", &DeleteParams::default()).await?;

    let applied = output::apply(&bed.client, &bed.store, &a.plan(&desired, &observed, &[])).await;
    assert_eq!(
        applied.failed.iter().map(|e| e.retry).collect::<Vec<_>>(),
        [Retry::Observe]
    );
    assert!(
        bed.secrets().get_opt("db").await?.is_none(),
        "an apply must not create what was just deleted"
    );

    bed.create_secret(
        "somebody",
        json!({"metadata": {"name": "db"}, "stringData": {"password": "theirs"}}),
    )
    .await?;
    let applied = output::apply(&bed.client, &bed.store, &a.plan(&desired, &observed, &[])).await;
    assert_eq!(
        applied.failed.iter().map(|e| e.retry).collect::<Vec<_>>(),
        [Retry::Observe]
    );
    assert_eq!(bed.data("db").await?, map(&[("password", "theirs")]));
    Ok(())
}

#[tokio::test]
async fn an_object_that_appears_while_it_is_created_is_left_as_it_was() -> Result<()> {
    let bed = Bed::new("appears").await?;
    let a = bed.akvs("a", 1).await?;
    let desired = [wants("db", &[("password", "p")])];
    let observed = bed.observe(&a, &desired).await?;
    let theirs = json!({"metadata": {"name": "db"}, "stringData": {"other": "theirs"}});
    let before = bed.create_secret("somebody", theirs).await?;
    let applied = output::apply(&bed.client, &bed.store, &a.plan(&desired, &observed, &[])).await;
    assert!(applied.written.is_empty());
    assert_eq!(
        applied.failed.iter().map(|e| e.retry).collect::<Vec<_>>(),
        [Retry::Observe]
    );
    // Not even for a moment was anything added that a crash could leave there.
    assert_eq!(bed.secrets().get("db").await?, before);
    Ok(())
}

#[tokio::test]
async fn missing_rights_are_named() -> Result<()> {
    let bed = Bed::new("rights").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.kubectl(&["create", "role", "looks", "--verb=get", "--resource=secrets"], "")
        .await?;
    bed.kubectl(&["create", "rolebinding", "looks", "--role=looks", "--user=looker"], "")
        .await?;
    let everything = bed.client.clone();
    let bed = Bed {
        client: bed.cluster.client_as("looker", &["system:authenticated"])?,
        ..bed
    };
    let pass = bed.sync(&mut a, &[wants("db", &[("password", "p")])], &[]).await?;
    let expected = "Grant create and patch on secrets in namespace";
    assert!(
        pass.trouble().starts_with("ApiServerForbidden") && pass.trouble().contains(expected),
        "{}",
        pass.trouble()
    );
    let nobody = Bed {
        client: bed.cluster.client_as("nobody", &["system:authenticated"])?,
        ..bed
    };
    let error = nobody
        .observe(&a, &[wants("db", &[])])
        .await
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    assert!(error.contains("The controller may not get Secret db"), "{error}");
    drop(everything);
    Ok(())
}

#[tokio::test]
async fn a_refusal_of_the_api_server_is_passed_on_without_any_value() -> Result<()> {
    let bed = Bed::new("refusal").await?;
    let mut a = bed.akvs("a", 1).await?;
    let mut desired = wants("registry", &[(".dockerconfigjson", "canary-7f3a not json")]);
    desired.secret_type = Some("kubernetes.io/dockerconfigjson".into());
    let pass = bed.sync(&mut a, &[desired], &[]).await?;
    let trouble = pass.trouble();
    assert!(
        trouble.starts_with("OutputRejected") && trouble.contains("data[.dockerconfigjson]"),
        "{trouble}"
    );
    assert!(!trouble.contains("canary"), "{trouble}");

    // A policy that repeats the value: Kubernetes would show it to whoever reads the status.
    let key = [wants("db", &[("canary-7f3a/illegal", "canary-7f3a/illegal")])];
    let trouble = bed.sync(&mut a, &key, &[]).await?.trouble();
    assert!(
        trouble.starts_with("OutputRejected") && !trouble.contains("canary"),
        "{trouble}"
    );
    Ok(())
}

#[tokio::test]
async fn one_output_that_fails_does_not_hinder_the_other() -> Result<()> {
    let bed = Bed::new("both").await?;
    let mut a = bed.akvs("a", 1).await?;
    bed.create_secret("somebody", json!({"metadata": {"name": "db"}}))
        .await?;
    let mut settings = wants("settings", &[("password", "p")]);
    settings.target = Target {
        kind: Kind::ConfigMap,
        name: "settings".into(),
    };
    let pass = bed
        .sync(&mut a, &[wants("db", &[("password", "p")]), settings], &[])
        .await?;
    assert_eq!(pass.changes(), ["Created ConfigMap settings"]);
    assert!(pass.trouble().starts_with("OutputNotOwned"), "{}", pass.trouble());
    Ok(())
}
