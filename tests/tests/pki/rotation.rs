//! Who trusts whom while the clock moves.

use crate::bed::{Bed, DAY, NAME, Server};

#[tokio::test]
async fn a_serving_certificate_is_exchanged_under_way_before_it_ends() {
    let bed = Bed::new("serving").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let (server, bundle) = (Server::start(&pki).await, pki.bundle());
    let first = bed.connect(&server, NAME, &bundle).await.unwrap();
    bed.advance(DAY * 91);
    let ended = bed.connect(&server, NAME, &bundle).await.unwrap_err();
    assert!(ended.contains("expired"), "{ended}");
    pki.look().await.unwrap();
    let second = bed.connect(&server, NAME, &bundle).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(pki.bundle(), bundle, "the authorities stay");
}

#[tokio::test]
async fn a_pod_trusts_us_after_one_promotion_and_no_more_after_two() {
    let bed = Bed::new("promotion").await.unwrap();
    let (ours, other) = (bed.replica().await.unwrap(), bed.replica().await.unwrap());
    let (server, server_of_other) = (Server::start(&ours).await, Server::start(&other).await);
    let bundle = ours.bundle();

    bed.advance(DAY * (5 * 365 - 179));
    ours.look().await.unwrap();
    assert_ne!(ours.bundle(), bundle);
    bed.connect(&server, NAME, &bundle).await.unwrap();
    other.look().await.unwrap();
    bed.connect(&server_of_other, NAME, &bundle).await.unwrap();

    bed.advance(DAY * (5 * 365));
    ours.look().await.unwrap();
    let refused = bed.connect(&server, NAME, &bundle).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    bed.connect(&server, NAME, &ours.bundle()).await.unwrap();
}

#[tokio::test]
async fn our_certificate_is_for_our_names_only() {
    let bed = Bed::new("names").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let server = Server::start(&pki).await;
    bed.connect(&server, "127.0.0.1", &pki.bundle()).await.unwrap();
    let refused = bed.connect(&server, "other.svc", &pki.bundle()).await.unwrap_err();
    assert!(refused.contains("not valid for name"), "{refused}");
}
