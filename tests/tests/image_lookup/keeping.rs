//! How often a registry is asked.

use akv2k8s_testbed::image::Format;
use akv2k8s_testbed::registry::{Access, Fault};
use futures::future::join_all;

use crate::bed::{Bed, ask, query, started, starting};

#[tokio::test]
async fn three_hundred_pods_ask_once() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    let answers = join_all((0..300).map(|_| bed.ask("app:1"))).await;
    assert!(
        answers
            .into_iter()
            .all(|answer| answer.is_ok_and(|it| it == started("/app")))
    );
    let requests = bed.requests();
    assert_eq!(
        requests.len(),
        3,
        "HEAD of the tag, manifest, configuration: {requests:#?}"
    );
    assert_eq!(bed.ask("app:1").await?, started("/app"));
    assert!(bed.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn one_token_serves_a_whole_look_up() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push_index(
        "app",
        "1",
        &[starting("/app", "amd64"), starting("/app", "arm64")],
        Format::Oci,
    )?;
    bed.registry.set_access(Access::public());
    assert_eq!(bed.ask("app:1").await?, started("/app"));
    let requests = bed.requests();
    let count = |part: &str| requests.iter().filter(|it| it.contains(part)).count();
    assert_eq!(count(" /token 200"), 1, "{requests:#?}");
    assert_eq!(count(" 401"), 1, "{requests:#?}");
    // The tag, the list, and manifest and configuration of two images.
    assert_eq!(requests.len(), 1 + 1 + 6, "{requests:#?}");
    Ok(())
}

#[tokio::test]
async fn what_has_a_digest_is_not_read_again_under_another_tag() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    bed.registry.push("app", "2", &starting("/app", "amd64"), Format::Oci)?;
    bed.ask("app:1").await?;
    bed.requests();
    assert_eq!(bed.ask("app:2").await?, started("/app"));
    assert_eq!(bed.requests(), ["HEAD /v2/app/manifests/2 200"]);
    Ok(())
}

#[tokio::test]
async fn a_tag_that_moved_is_noticed() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/old", "amd64"), Format::Oci)?;
    assert_eq!(bed.ask("app:1").await?, started("/old"));
    bed.registry.push("app", "1", &starting("/new", "amd64"), Format::Oci)?;
    let mut always = query(&bed.image("app:1"));
    always.pull_policy = Some("Always".to_owned());
    let moved = akv2k8s_testbed::wait::until("the new program", std::time::Duration::from_mins(2), async || {
        ask(&bed.lookup, &always)
            .await
            .ok()
            .filter(|found| *found == started("/new"))
    });
    moved.await?;
    Ok(())
}

#[tokio::test]
async fn failures_are_not_asked_for_again_at_once() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    assert!(bed.ask("app:none").await.is_err());
    bed.requests();
    assert!(bed.ask("app:none").await.is_err());
    assert!(bed.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_registry_that_recovers_is_asked_again_without_a_restart() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    bed.registry.set_fault(Some(Fault::Status(503, None)));
    assert!(bed.ask("app:1").await.is_err());
    bed.registry.set_fault(None);
    let recovered = akv2k8s_testbed::wait::until("an answer", std::time::Duration::from_mins(2), async || {
        bed.ask("app:1").await.ok()
    });
    assert_eq!(recovered.await?, started("/app"));
    Ok(())
}
