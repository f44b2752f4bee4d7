//! Several replicas, one truth.

use akv2k8s_envinjector::pki::Pki;
use akv2k8s_shared::diagnosis::Code;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::bed::{Bed, DAY, NAME, SECRET, Server};

#[tokio::test]
async fn replicas_that_start_at_the_same_moment_agree() {
    let bed = Bed::new("race").await.unwrap();
    let replicas = join_all((0..8).map(|_| bed.replica())).await;
    let replicas: Vec<_> = replicas.into_iter().map(Result::unwrap).collect();
    let bundle = replicas[0].bundle();
    assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
    for replica in &replicas {
        assert_eq!(replica.bundle(), bundle);
        let server = Server::start(replica).await;
        bed.connect(&server, NAME, &bundle).await.unwrap();
    }
    assert_eq!(bed.secrets().list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn replicas_that_rotate_at_the_same_moment_agree_and_rotate_once() {
    let bed = Bed::new("rotate").await.unwrap();
    let replicas = join_all((0..6).map(|_| bed.replica())).await;
    let replicas: Vec<_> = replicas.into_iter().map(Result::unwrap).collect();
    let before = bed.kept("next.crt").await.unwrap();
    bed.advance(DAY * (5 * 365 - 100));
    for look in join_all(replicas.iter().map(Pki::look)).await {
        look.unwrap();
    }
    assert_eq!(
        bed.kept("current.crt").await.unwrap(),
        before,
        "the next authority was promoted once"
    );
    let bundle = replicas[0].bundle();
    assert!(bundle.starts_with(&before));
    assert!(replicas.iter().all(|it| it.bundle() == bundle));
}

#[tokio::test]
async fn a_secret_that_was_deleted_comes_back_with_the_same_authorities() {
    let bed = Bed::new("deleted").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let bundle = pki.bundle();
    bed.secrets().delete(SECRET, &DeleteParams::default()).await.unwrap();
    pki.look().await.unwrap();
    assert_eq!(bed.replica().await.unwrap().bundle(), bundle);
}

#[tokio::test]
async fn a_secret_that_was_emptied_is_filled_by_who_knows_what_was_in_it_and_by_nobody_else() {
    let bed = Bed::new("emptied").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let bundle = pki.bundle();
    let nothing = Patch::Merge(json!({"data": null}));
    bed.secrets()
        .patch(SECRET, &PatchParams::default(), &nothing)
        .await
        .unwrap();
    let problem = bed.replica().await.err().expect("no authority is made in its place");
    assert_eq!(problem.code, Code::ServingCertificateUnusable);
    assert_eq!(bed.kept("current.crt").await.unwrap(), "");
    pki.look().await.unwrap();
    assert_eq!(bed.replica().await.unwrap().bundle(), bundle);
}

#[tokio::test]
async fn a_look_at_which_nothing_is_due_writes_nothing() {
    let bed = Bed::new("idle").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let version = async |secrets: Api<Secret>| secrets.get(SECRET).await.unwrap().resource_version();
    let before = version(bed.secrets()).await;
    bed.advance(DAY * 59);
    pki.look().await.unwrap();
    assert_eq!(version(bed.secrets()).await, before);
    bed.advance(DAY);
    pki.look().await.unwrap();
    assert_ne!(version(bed.secrets()).await, before);
}
