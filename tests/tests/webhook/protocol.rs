//! The ports.

use akv2k8s_testbed::wait::until;
use serde_json::json;

use crate::bed::{Bed, PATIENCE, WRAPPER, app, pod};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_review_is_refused_with_a_reason() -> anyhow::Result<()> {
    let bed = Bed::new("malformed", &[]).await?;
    let too_long = vec![b' '; 5 * 1024 * 1024];
    let reviews = format!("POST {}", bed.path().await?);
    for (line, body, expected) in [
        (&*reviews, &b"{"[..], ["400", "the body is no JSON"]),
        (&*reviews, b"{}", ["400", "no AdmissionReview"]),
        (&*reviews, &too_long, ["413", "longer than"]),
        ("GET /pods", b"", ["405", ""]),
        ("GET /elsewhere", b"", ["404", ""]),
        ("GET /healthz", b"", ["200", "ok"]),
        ("GET /readyz", b"", ["200", "ok"]),
    ] {
        let answer = bed.ask(line, body).await?;
        let right = answer.starts_with(&format!("HTTP/1.1 {}", expected[0])) && answer.contains(expected[1]);
        assert!(right, "{line}: {answer}");
    }
    let old = json!({
        "apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview",
        "request": {
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "namespace": bed.namespace.name(),
            "operation": "CREATE", "object": pod("x", &json!([app("probe@azurekeyvault")])),
        },
    });
    let answer = bed.ask(&reviews, old.to_string().as_bytes()).await?;
    assert!(
        answer.contains("admission.k8s.io/v1beta1") && answer.contains("JSONPatch"),
        "{answer}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_stops_it_is_not_ready_and_serves_on() -> anyhow::Result<()> {
    // Longer than the test can take.
    let mut bed = Bed::new("draining", &[("DRAIN_SECONDS", "600")]).await?;
    assert!(bed.get("/readyz").await?.starts_with("HTTP/1.1 200"));
    bed.stop();
    until("it to be unready", PATIENCE, async || {
        bed.get("/readyz").await.ok()?.starts_with("HTTP/1.1 503").then_some(())
    })
    .await?;
    for number in 0..5 {
        let (created, after, said) = bed
            .create(
                &pod(&format!("late-{number}"), &json!([app("probe@azurekeyvault")])),
                &[],
            )
            .await?;
        assert!(created, "{said}");
        assert_eq!(after["spec"]["containers"][0]["command"], json!([WRAPPER]));
    }
    Ok(())
}

#[tokio::test]
async fn wrappers_of_akv2k8s_1_are_told_what_to_do_on_the_plain_port_too() -> anyhow::Result<()> {
    let bed = Bed::new("plain-port", &[]).await?;
    let answer = bed.get("/auth/shop/web?secret=akv2k8s-web").await?;
    assert!(answer.starts_with("HTTP/1.1 410 "), "{answer}");
    assert!(
        answer.contains("WrapperOutdated") && answer.contains("kubectl rollout restart"),
        "{answer}"
    );
    Ok(())
}
