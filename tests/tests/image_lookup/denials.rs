//! What cannot be looked up, and what the pod's author reads.

use std::time::Duration;

use akv2k8s_envinjector::admission::ImageQuery;
use akv2k8s_envinjector::registry::Registries;
use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use akv2k8s_testbed::hardened;
use akv2k8s_testbed::image::{Format, Image};
use akv2k8s_testbed::registry::{Access, Fault, Options, Registry};
use akv2k8s_testbed::wait::until;
use futures::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::bed::{Bed, ask, lookup, nowhere, query, started, starting};

/// Every denial says which image, and that `command` helps (but for a name that is none).
fn assert_denied(denial: &Diagnosis, code: Code, cause: &str) {
    assert_eq!(denial.code, code, "{denial}");
    assert!(denial.cause.contains(cause), "{denial}");
    if code != Code::ImageNameInvalid {
        assert!(denial.fix.contains("et command in the container"), "{denial}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_is_said_so_and_nobody_is_asked() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let denial = ask(&bed.lookup, &query("https://ghcr.io/app")).await.unwrap_err();
    assert_denied(&denial, Code::ImageNameInvalid, "It cannot be read");
    assert!(bed.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn an_image_that_is_not_there_is_not_found() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    let denial = bed.ask("app:2").await.unwrap_err();
    assert_denied(&denial, Code::ImageNotFound, "no such image");
    assert!(denial.what.contains(&bed.image("app:2")), "{denial}");
    Ok(())
}

#[tokio::test]
async fn without_credentials_a_private_image_is_denied() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    for access in [Access::basic("robot", "s3cret"), Access::bearer("robot", "s3cret")] {
        bed.registry.set_access(access);
        let fresh = lookup(crate::bed::trusting(&bed.registry), nowhere()?, None)?;
        let denial = ask(&fresh, &query(&bed.image("app:1"))).await.unwrap_err();
        assert_denied(&denial, Code::ImagePullDenied, "does not let it be read");
        // The API server of this look-up is one that nobody can reach; hardened, it is not asked.
        let was_asked = denial.cause.contains("ServiceAccount 'default'");
        assert_eq!(was_asked, !hardened::is_on(), "{denial}");
    }
    Ok(())
}

#[tokio::test]
async fn a_registry_in_trouble_is_unavailable() -> anyhow::Result<()> {
    for (fault, cause) in [
        (Fault::Status(429, Some(60)), "slow down"),
        (Fault::Status(503, None), "503"),
        (Fault::Status(302, None), "redirects to what is no https address"),
    ] {
        let bed = Bed::start().await?;
        bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
        bed.registry.set_fault(Some(fault));
        assert_denied(&bed.ask("app:1").await.unwrap_err(), Code::RegistryUnavailable, cause);
    }
    Ok(())
}

#[tokio::test]
async fn a_registry_that_is_silent_costs_no_more_than_the_deadline() -> anyhow::Result<()> {
    let bed = Bed::with(|settings| settings.deadline = Duration::from_millis(500)).await?;
    bed.registry.set_fault(Some(Fault::Silence));
    let start = Instant::now();
    let denial = bed.ask("app:1").await.unwrap_err();
    assert_denied(&denial, Code::RegistryUnavailable, "within 500ms");
    // Far more than the deadline, for a busy machine: without one it would never end.
    assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_registry_whose_authority_is_unknown_is_not_asked_anything() -> anyhow::Result<()> {
    let bed = Bed::with(|settings| settings.authorities = None).await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    let denial = bed.ask("app:1").await.unwrap_err();
    assert_denied(&denial, Code::RegistryUnavailable, "certificate");
    assert!(denial.fix.contains("IMAGE_LOOKUP_CA_FILE"), "{denial}");
    assert!(bed.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn the_injectors_own_machine_and_its_link_are_not_asked_under_any_name() -> anyhow::Result<()> {
    let bed = Bed::with(|settings| settings.local.clear()).await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    let (_, port) = bed.registry.address().rsplit_once(':').unwrap_or_default();
    for host in [
        "127.0.0.1",
        "localhost",
        "registry.localhost",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        let denial = ask(&bed.lookup, &query(&format!("{host}:{port}/app:1")))
            .await
            .unwrap_err();
        assert_denied(&denial, Code::RegistryNotAllowed, "address of this machine or its link");
        assert!(denial.fix.contains("IMAGE_LOOKUP_LOCAL_REGISTRIES"), "{denial}");
    }
    assert!(bed.requests().is_empty());

    // Nor when a registry that may be asked redirects there: it keeps its blobs under the name localhost.
    let listed = Bed::start().await?;
    listed
        .registry
        .push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    listed.registry.redirect_blobs(true);
    assert_denied(
        &listed.ask("app:1").await.unwrap_err(),
        Code::RegistryNotAllowed,
        "localhost: 127.0.0.1",
    );
    let requests = listed.requests();
    assert!(requests.iter().all(|it| !it.contains("/storage/")), "{requests:?}");
    Ok(())
}

/// A registry that never answers beside one that does, and who asks both.
struct Crowd {
    silent: Bed,
    good: Registry,
    lookup: Registries,
}

impl Crowd {
    async fn start() -> anyhow::Result<Self> {
        let silent = Bed::start().await?;
        silent.registry.set_fault(Some(Fault::Silence));
        let good = Registry::start(Options::default()).await?;
        good.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
        let mut settings = crate::bed::trusting(&silent.registry);
        settings.local.insert(good.address().parse()?);
        let both = [silent.registry.ca_pem(), good.ca_pem()].into_iter().flatten();
        settings.authorities = Some(both.collect::<String>().into_bytes());
        settings.pull_secrets = false;
        settings.deadline = Duration::from_secs(20);
        let lookup = lookup(settings, nowhere()?, None)?;
        Ok(Self { silent, good, lookup })
    }
}

/// The question of a pod in `namespace`.
fn of(namespace: &str, image: &str) -> ImageQuery {
    ImageQuery {
        namespace: namespace.to_owned(),
        ..query(image)
    }
}

/// Waits until one namespace has taken all that it gets of a registry that never answers.
async fn all_places_are_taken(silent: &Bed) -> anyhow::Result<()> {
    let taken = until("all places to be taken", Duration::from_mins(1), async || {
        (silent.registry.requests().len() >= 16).then_some(())
    });
    Ok(taken.await?)
}

#[tokio::test]
async fn a_namespace_with_many_images_waits_for_itself_and_not_others_for_it() -> anyhow::Result<()> {
    let Crowd { silent, good, lookup } = Crowd::start().await?;
    let many: Vec<_> = (0..100)
        .map(|number| of("greedy", &silent.image(&format!("app:{number}"))))
        .collect();
    let greedy = join_all(many.iter().map(|query| ask(&lookup, query)));
    let calm = of("calm", &format!("{}/app:1", good.address()));
    let calm = async {
        // Once the others have taken all that they get.
        all_places_are_taken(&silent).await?;
        anyhow::Ok(ask(&lookup, &calm).await)
    };
    let (greedy, calm) = tokio::join!(greedy, calm);
    assert_eq!(calm??, started("/app"));
    let codes: Vec<_> = greedy.into_iter().map(|it| it.unwrap_err().code).collect();
    let count = |code| codes.iter().filter(|it| **it == code).count();
    assert_eq!(
        (count(Code::ImageLookUpsExceeded), count(Code::RegistryUnavailable)),
        (84, 16)
    );
    assert_eq!(silent.requests().len(), 16);
    Ok(())
}

#[tokio::test]
async fn who_asks_for_an_image_that_a_busy_namespace_waits_to_ask_for_is_not_kept_waiting() -> anyhow::Result<()> {
    let Crowd { silent, good, lookup } = Crowd::start().await?;
    let shared = format!("{}/app:1", good.address());
    let many: Vec<_> = (0..16)
        .map(|number| of("greedy", &silent.image(&format!("app:{number}"))))
        .collect();
    let waiting = of("greedy", &shared);
    let greedy = async {
        let all = join_all(many.iter().map(|query| ask(&lookup, query)));
        let last = async {
            all_places_are_taken(&silent).await?;
            anyhow::Ok(ask(&lookup, &waiting).await)
        };
        tokio::join!(all, last).1
    };
    let idle = async {
        all_places_are_taken(&silent).await?;
        // The other one waits for a place by now.
        tokio::time::sleep(Duration::from_millis(500)).await;
        anyhow::Ok(ask(&lookup, &of("idle", &shared)).await)
    };
    let (greedy, idle) = tokio::join!(greedy, idle);
    assert_eq!(idle??, started("/app"));
    assert_denied(&greedy?.unwrap_err(), Code::ImageLookUpsExceeded, "Too many others");
    Ok(())
}

#[tokio::test]
async fn platforms_that_start_different_programs_take_a_node_selector() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let images = [starting("/amd", "amd64"), starting("/arm", "arm64")];
    bed.registry.push_index("app", "1", &images, Format::Oci)?;
    let denial = bed.ask("app:1").await.unwrap_err();
    assert_denied(
        &denial,
        Code::ImagePlatformUnclear,
        "amd64 and arm64 start different programs",
    );
    assert!(denial.fix.contains("kubernetes.io/arch"), "{denial}");
    Ok(())
}

#[tokio::test]
async fn a_list_without_the_pods_platform_says_what_there_is() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry.push_index(
        "app",
        "1",
        &[starting("/z", "s390x"), starting("/p", "ppc64le")],
        Format::Oci,
    )?;
    let denial = bed.ask("app:1").await.unwrap_err();
    assert_denied(&denial, Code::ImagePlatformUnclear, "linux/ppc64le, linux/s390x");
    let mut windows = query(&bed.image("app:1"));
    windows.node_selector = [("kubernetes.io/os".to_owned(), "windows".to_owned())].into();
    let denial = ask(&bed.lookup, &windows).await.unwrap_err();
    assert_denied(&denial, Code::ImagePlatformUnclear, "admits neither");
    Ok(())
}

#[tokio::test]
async fn what_a_registry_gives_is_checked_against_its_digest() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let image = starting("/app", "amd64");
    bed.registry.push("app", "1", &image, Format::Oci)?;
    let [_, config, _] = image.blobs(Format::Oci)?;
    let forged = String::from_utf8(config.bytes)?.replace("/app", "/ape").into_bytes();
    bed.registry.corrupt_blob("app", &config.digest, forged);
    let denial = bed.ask("app:1").await.unwrap_err();
    assert_denied(&denial, Code::ImageUnusable, "not what its manifest names");
    Ok(())
}

#[tokio::test]
async fn hostile_images_are_refused_and_the_next_one_is_read() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let raw = |config: serde_json::Value| Image::scratch([]).raw_config(json!({"config": config}).to_string());
    for (tag, image, cause) in [
        ("nul", raw(json!({"Cmd": ["a\0b"]})), "NUL"),
        ("words", raw(json!({"Cmd": vec!["x"; 5_000]})), "512 words"),
        ("huge", raw(json!({"Env": ["x".repeat(2 << 20)]})), "larger than 1 MiB"),
        ("text", Image::scratch([]).raw_config("no JSON"), "not the JSON"),
    ] {
        bed.registry.push("app", tag, &image, Format::Oci)?;
        let denial = bed.ask(&format!("app:{tag}")).await.unwrap_err();
        assert_denied(&denial, Code::ImageUnusable, cause);
    }
    let oci = "application/vnd.oci.image.manifest.v1+json";
    for (tag, manifest, cause) in [
        (
            "old",
            json!({"schemaVersion": 1, "fsLayers": []}).to_string(),
            "schema 1",
        ),
        ("padded", format!("{{}}{}", " ".repeat(5 << 20)), "too large"),
        ("nothing", "{}".to_owned(), "not the JSON"),
    ] {
        bed.registry.push_manifest("app", tag, oci, manifest.into_bytes());
        let denial = bed.ask(&format!("app:{tag}")).await.unwrap_err();
        assert_denied(&denial, Code::ImageUnusable, cause);
    }
    bed.registry
        .push("app", "good", &starting("/app", "amd64"), Format::Oci)?;
    assert_eq!(bed.ask("app:good").await?, started("/app"));
    Ok(())
}
