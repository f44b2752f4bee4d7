//! Everybody who gets nothing, and that no vault is asked for them.

use std::time::{Duration, Instant};

use akv2k8s_envinjector::server::Limits;
use akv2k8s_shared::injection::wire;
use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::stage::{PATIENCE, Stage};
use akv2k8s_testbed::wait::until;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bed::{Answer, Bed, Wish, prepared};

const DB: &str = "db@azurekeyvault";

/// A bed with one secret, which an AKVS `db` of the stage's namespace names.
async fn bed(prefix: &str) -> Bed {
    bed_with(prefix, Limits::default()).await
}

async fn bed_with(prefix: &str, limits: Limits) -> Bed {
    let wish = |_: &_| Wish {
        limits,
        ..Wish::default()
    };
    filled(Bed::with(prefix, wish).await.unwrap()).await
}

async fn filled(bed: Bed) -> Bed {
    bed.stage
        .vault("kv1")
        .set_secret("db", "s3cret", SecretOptions::default())
        .unwrap();
    bed.akvs("db", "kv1", "db").await.unwrap();
    bed
}

/// The answer is this refusal, and neither vault nor Entra was asked anything.
fn assert_denied(bed: &Bed, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.denial(), (status, code.to_owned()), "{:?}", answer.refusal());
    assert_eq!(bed.asked().total(), 0, "nobody was to be asked");
    let metric = format!("akv2k8s_broker_denials_total{{code=\"{code}\"}}");
    assert!(bed.metrics().contains(&metric), "{metric}");
}

#[tokio::test]
async fn a_pod_of_another_namespace_gets_nothing_of_ours() {
    let bed = bed("neighbour").await;
    let other = bed.namespace("enabled").await.unwrap();
    let pod = bed.pod_in(other.name(), &prepared("web")).await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_denied(&bed, &answer, 404, "AkvsNotFound");
    assert!(
        answer.refusal().retry && answer.retry_after.is_some(),
        "it may be applied a moment later"
    );
    let path = format!("{}/db@azurekeyvault", bed.stage.namespace.name());
    assert_denied(
        &bed,
        &bed.ask(&token, &[&path]).await.unwrap(),
        400,
        "BrokerRequestInvalid",
    );
}

#[tokio::test]
async fn who_asks_cannot_be_forged_in_the_body_nor_in_the_token() {
    let bed = bed("forged").await;
    let other = bed.namespace("enabled").await.unwrap();
    let pod = bed.pod_in(other.name(), &prepared("web")).await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    let namespace = bed.stage.namespace.name();
    for body in [
        json!({"references": [DB], "namespace": namespace}),
        json!({"references": [DB], "pod": "web"}),
        json!([DB]),
        json!({"references": DB}),
    ] {
        let answer = bed.post(&token, body.to_string().into()).await.unwrap();
        assert_denied(&bed, &answer, 400, "BrokerRequestInvalid");
    }

    let parts: Vec<_> = token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    let claims = URL_SAFE_NO_PAD.encode(claims.replace(other.name(), namespace));
    let forged = format!("{}.{claims}.{}", parts[0], parts[2]);
    assert_denied(&bed, &bed.ask(&forged, &[DB]).await.unwrap(), 401, "PodTokenRefused");
}

#[tokio::test]
async fn tokens_of_another_audience_or_of_no_pod_or_none_at_all_are_refused() {
    let bed = bed("tokens").await;
    let pod = bed.pod("web").await.unwrap();
    let issuer = bed.stage.cluster.issuer().await.unwrap();
    let account = bed
        .stage
        .cluster
        .service_account_token(bed.stage.namespace.name(), "default", "akv2k8s-envinjector");
    for token in [
        bed.token_for(&pod, "api://AzureADTokenExchange").await.unwrap(),
        bed.token_for(&pod, &issuer).await.unwrap(),
        account.await.unwrap(),
        "not.a.token".to_owned(),
        String::new(),
    ] {
        assert_denied(&bed, &bed.ask(&token, &[DB]).await.unwrap(), 401, "PodTokenRefused");
    }
    let without = Request::post(wire::PATH)
        .header("host", "broker")
        .body(Full::new(Bytes::new()));
    let answer = bed.send(without.unwrap()).await.unwrap();
    assert_denied(&bed, &answer, 401, "PodTokenRefused");
}

#[tokio::test]
async fn the_token_of_a_deleted_pod_is_refused_even_when_another_has_its_name() {
    let bed = bed("deleted").await;
    let pod = bed.pod("web").await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    bed.delete(&pod).await.unwrap();
    let again = bed.pod("web").await.unwrap();
    assert_denied(&bed, &bed.ask(&token, &[DB]).await.unwrap(), 401, "PodTokenRefused");
    let fresh = bed.token(&again).await.unwrap();
    assert_eq!(bed.ask(&fresh, &[DB]).await.unwrap().values()[DB], "s3cret");
}

#[tokio::test]
async fn a_pod_that_was_recognised_is_forgotten_soon_after_it_was_deleted() {
    let bed = bed("forgotten").await;
    let pod = bed.pod("web").await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    bed.ask(&token, &[DB]).await.unwrap().values();
    bed.delete(&pod).await.unwrap();
    let refused = async || {
        let answer = bed.ask(&token, &[DB]).await.ok()?;
        (answer.status == 401).then_some(())
    };
    let limit = Duration::from_secs(10) + PATIENCE;
    until("the deleted pod to be refused", limit, refused).await.unwrap();
}

#[tokio::test]
async fn a_pod_that_nobody_prepared_is_refused() {
    let bed = bed("unprepared").await;
    let mut plain = prepared("plain");
    plain["spec"]["containers"][0]["command"] = json!(["app"]);
    let mut half = prepared("half");
    half["spec"]["initContainers"] = json!([]);
    for pod in [plain, half] {
        let pod = bed.pod_in(bed.stage.namespace.name(), &pod).await.unwrap();
        let token = bed.token(&pod).await.unwrap();
        assert_denied(&bed, &bed.ask(&token, &[DB]).await.unwrap(), 403, "PodNotPrepared");
    }
}

#[tokio::test]
async fn a_namespace_without_the_label_gets_nothing() {
    let bed = bed("label").await;
    let other = bed.namespace("disabled").await.unwrap();
    let pod = bed.pod_in(other.name(), &prepared("web")).await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_denied(&bed, &answer, 403, "InjectionNotEnabled");
    assert!(answer.refusal().fix.contains(other.name()), "{:?}", answer.refusal());
}

#[tokio::test]
async fn a_namespace_that_is_not_served_gets_nothing() {
    let wish = |stage: &Stage| Wish {
        served: Some([stage.namespace.name().to_owned()].into()),
        ..Wish::default()
    };
    let bed = filled(Bed::with("served", wish).await.unwrap()).await;
    let other = bed.unseen_namespace("enabled").await.unwrap();
    let pod = bed.pod_in(other.name(), &prepared("web")).await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    let start = Instant::now();
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_denied(&bed, &answer, 403, "InjectionNotEnabled");
    for again in join_all((0..20).map(|_| bed.ask(&token, &[DB]))).await {
        assert_denied(&bed, &again.unwrap(), 403, "InjectionNotEnabled");
    }
    let questions = (bed.reviews(), bed.looks());
    let periods = start.elapsed().as_secs() / 5;
    assert!((1..=1 + periods).contains(&questions.0), "{questions:?}");
    assert_eq!(questions.1, 0, "there is no right to look at its pods");
    let refusal = answer.refusal();
    assert!(!refusal.retry, "no time makes it served: {refusal:?}");
    for part in [other.name(), "--watch-namespaces"] {
        assert!(
            refusal.message.contains(part) || refusal.fix.contains(part),
            "{part}: {refusal:?}"
        );
    }
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    assert_eq!(bed.ask(&token, &[DB]).await.unwrap().values()[DB], "s3cret");
}

#[tokio::test]
async fn direct_references_are_not_resolved() {
    let bed = bed("direct").await;
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let answer = bed.ask(&token, &["azurekeyvault://kv1/secrets/db"]).await.unwrap();
    assert_denied(&bed, &answer, 403, "ReferenceInvalid");
}

#[tokio::test]
async fn a_service_account_as_reader_is_not_replaced_by_our_own_identity() {
    let bed = bed("reader").await;
    let spec = "{vault: {name: kv1, serviceAccountName: reader, object: {name: db, type: secret}}}";
    bed.stage.apply("as-reader", spec).await.unwrap();
    let known = async || bed.cluster.specs(bed.stage.namespace.name()).get("as-reader").cloned();
    until("the broker to know it", PATIENCE, known).await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let answer = bed.ask(&token, &["as-reader@azurekeyvault"]).await.unwrap();
    assert_denied(&bed, &answer, 409, "ServiceAccountIdentitiesOff");
}

#[tokio::test]
async fn requests_that_are_too_large_are_refused() {
    let bed = bed("large").await;
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let body = vec![b' '; wire::MAX_REQUEST + 1];
    assert_denied(
        &bed,
        &bed.post(&token, body.into()).await.unwrap(),
        413,
        "BrokerRequestInvalid",
    );
    let many = vec![DB; wire::MAX_REFERENCES + 1];
    assert_denied(
        &bed,
        &bed.ask(&token, &many).await.unwrap(),
        400,
        "BrokerRequestInvalid",
    );
}

#[tokio::test]
async fn a_pod_that_asks_too_often_has_to_wait_and_others_have_not() {
    let bed = bed("often").await;
    let busy = bed.token(&bed.pod("busy").await.unwrap()).await.unwrap();
    let calm = bed.token(&bed.pod("calm").await.unwrap()).await.unwrap();
    // The share is 30 at once, and one every two seconds.
    let answers = join_all((0..100).map(|_| bed.ask(&busy, &[]))).await;
    let answers = answers.into_iter().map(Result::unwrap);
    let denied = answers.into_iter().find(|it| it.status != 200);
    let denied = denied.expect("the share has an end");
    assert_denied(&bed, &denied, 429, "BrokerBusy");
    assert!(denied.refusal().retry && denied.retry_after.is_some());
    bed.ask(&calm, &[]).await.unwrap().values();
}

#[tokio::test]
async fn a_token_that_was_refused_costs_the_api_server_one_question_in_five_seconds() {
    let bed = bed("refused").await;
    let pod = bed.pod("web").await.unwrap();
    let token = bed.token(&pod).await.unwrap();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 256]));
    let start = Instant::now();
    assert_denied(&bed, &bed.ask(&forged, &[DB]).await.unwrap(), 401, "PodTokenRefused");
    let answers = join_all((0..50).map(|_| bed.ask(&forged, &[DB]))).await;
    for answer in answers {
        assert_denied(&bed, &answer.unwrap(), 401, "PodTokenRefused");
    }
    let periods = start.elapsed().as_secs() / 5;
    assert!(
        (1..=1 + periods).contains(&bed.reviews()),
        "{} questions",
        bed.reviews()
    );
    // What cannot be a token of ours costs none.
    let before = bed.reviews();
    for token in [
        "x".repeat(9000),
        bed.token_for(&pod, "api://AzureADTokenExchange").await.unwrap(),
    ] {
        assert_denied(&bed, &bed.ask(&token, &[DB]).await.unwrap(), 401, "PodTokenRefused");
    }
    assert_eq!(bed.reviews(), before);
}

#[tokio::test]
async fn a_request_for_many_values_weighs_more_than_one_for_few() {
    let bed = bed("weight").await;
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    // 2,000 names with paths of three steps count as 23 requests and one more, of the 30 there are.
    let many: Vec<_> = (0..2000)
        .map(|number| format!("x{number}@azurekeyvault?a.b.c"))
        .collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let start = Instant::now();
    let mut asked = 0;
    let denied = loop {
        let answer = bed.ask(&token, &many).await.unwrap();
        asked += 1;
        if answer.status != 404 {
            break answer;
        }
    };
    assert_denied(&bed, &denied, 429, "BrokerBusy");
    let paid_back = start.elapsed().as_secs() / 48;
    assert!(asked <= 2 + paid_back, "{asked} requests");
    let long = format!("{}@azurekeyvault", "x".repeat(wire::MAX_REFERENCE));
    let other = bed.token(&bed.pod("other").await.unwrap()).await.unwrap();
    assert_denied(
        &bed,
        &bed.ask(&other, &[&long]).await.unwrap(),
        400,
        "BrokerRequestInvalid",
    );
}

#[tokio::test]
async fn an_answer_that_nobody_can_use_is_not_given() {
    let bed = bed("answer").await;
    let (vault, namespace) = (bed.stage.vault("kv1"), bed.stage.namespace.name());
    vault
        .set_secret("large", &"x".repeat(24_000), SecretOptions::default())
        .unwrap();
    let akvs = |number: usize| {
        json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret",
            "metadata": {"name": format!("large{number}"), "namespace": namespace},
            "spec": {"vault": {"name": "kv1", "object": {"name": "large", "type": "secret"}}},
        })
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": (0..100).map(akvs).collect::<Vec<_>>()});
    bed.stage.cluster.kubectl_apply(&list.to_string()).await.unwrap();
    let known = async || (bed.cluster.specs(namespace).len() > 100).then_some(());
    until("the broker to know them", PATIENCE, known).await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    // Two ways to write the same.
    let references = |ending: &str| {
        (0..100)
            .map(|number| format!("large{number}@azurekeyvault{ending}"))
            .collect()
    };
    let all: [Vec<String>; 2] = ["", "?"].map(references);
    let all: Vec<_> = all.iter().flatten().map(String::as_str).collect();
    let start = Instant::now();
    assert_eq!(
        bed.ask(&token, &all[..100]).await.unwrap().values().len(),
        100,
        "2.4 MB are given"
    );
    let denied = bed.ask(&token, &all).await.unwrap();
    assert_eq!(denied.denial(), (409, "EnvironmentTooLarge".to_owned()));
    let minutes = start.elapsed().as_secs() / 60;
    assert!(bed.reads() <= 1 + minutes, "it is one object: {} reads", bed.reads());
}

#[tokio::test]
async fn before_the_broker_has_seen_the_cluster_everybody_is_asked_to_come_again() {
    let wish = |_: &_| Wish {
        watches: false,
        ..Wish::default()
    };
    let bed = Bed::with("unsynced", wish).await.unwrap();
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let answer = bed.ask(&token, &[DB]).await.unwrap();
    assert_denied(&bed, &answer, 503, "ApiServerUnavailable");
    assert!(answer.refusal().retry && answer.retry_after.is_some());
}

#[tokio::test]
async fn wrappers_of_akv2k8s_1_are_told_what_to_do() {
    let bed = bed("old").await;
    let request = Request::get("/auth/shop/web?secret=x")
        .header("host", "broker")
        .body(Full::new(Bytes::new()));
    let answer = bed.send(request.unwrap()).await.unwrap();
    assert_eq!(answer.denial(), (410, "WrapperOutdated".to_owned()));
    assert!(answer.refusal().fix.contains("kubectl rollout restart"));
    let request = Request::get(wire::PATH)
        .header("host", "broker")
        .body(Full::new(Bytes::new()));
    assert_eq!(bed.send(request.unwrap()).await.unwrap().status, 405);
}

/// Limits that a test can wait for.
fn tight() -> Limits {
    Limits {
        connections: 64,
        handshake: Duration::from_secs(3),
        idle: Duration::from_secs(3),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_half_a_request_is_sent_away() {
    let bed = bed_with("slow", tight()).await;
    let mut silent = TcpStream::connect(("127.0.0.1", bed.port)).await.unwrap();
    let half = async || bed.connect().await.ok();
    let mut half = until("a connection", PATIENCE, half).await.unwrap();
    half.write_all(b"POST /v1/values HTTP/1.1\r\nHost: br").await.unwrap();
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the silent connection is still open");
    // How it ends is the server's affair.
    let end = tokio::time::timeout(PATIENCE, half.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the half request is still open");
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let served = async || bed.ask(&token, &[DB]).await.ok();
    until("another to be served", PATIENCE, served).await.unwrap().values();
}

#[tokio::test]
async fn many_idle_connections_keep_nobody_out_for_long() {
    let bed = bed_with("many", tight()).await;
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let mut idle = Vec::new();
    for _ in 0..150 {
        idle.push(TcpStream::connect(("127.0.0.1", bed.port)).await.unwrap());
    }
    let served = async || bed.ask(&token, &[DB]).await.ok();
    let answer = until("a place to become free", PATIENCE, served).await.unwrap();
    assert_eq!(answer.values()[DB], "s3cret");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let bed = bed("halting").await;
    let token = bed.token(&bed.pod("web").await.unwrap()).await.unwrap();
    let mut stream = bed.connect().await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: broker\r\nAuthorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{",
        wire::PATH
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let limit = Duration::from_secs(10) + PATIENCE;
    let read = tokio::time::timeout(limit, stream.read(&mut answer)).await;
    let read = read.expect("an answer without the body").unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
