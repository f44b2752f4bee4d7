//! Names, formats, platforms, redirects.

use akv2k8s_testbed::image::{Format, Image};
use akv2k8s_testbed::registry::{Options, Registry, Tls};
use serde_json::json;

use crate::bed::{Bed, ask, config, lookup, nowhere, query, started, starting, trusting};

#[tokio::test]
async fn both_formats_are_read_by_tag_and_by_digest() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for format in [Format::Oci, Format::Docker] {
        let program = format!("/{format:?}");
        let digest = bed
            .registry
            .push("team/app", "1", &starting(&program, "amd64"), format)?;
        for name in [format!("team/app@{digest}"), format!("team/app:2@{digest}")] {
            assert_eq!(bed.ask(&name).await?, started(&program), "{name}");
        }
        let fresh = Bed::start().await?;
        fresh
            .registry
            .push("team/app", "latest", &starting(&program, "amd64"), format)?;
        assert_eq!(fresh.ask("team/app").await?, started(&program));
    }
    Ok(())
}

#[tokio::test]
async fn an_image_may_have_only_one_of_entrypoint_and_cmd_or_neither() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    for (tag, image, expected) in [
        (
            "entrypoint",
            Image::scratch([]).entrypoint(["/app", "-x"]),
            config(&["/app", "-x"], &[]),
        ),
        ("cmd", Image::scratch([]).cmd(["sh"]), config(&[], &["sh"])),
        ("neither", Image::scratch([]), config(&[], &[])),
    ] {
        bed.registry.push("app", tag, &image, Format::Oci)?;
        assert_eq!(bed.ask(&format!("app:{tag}")).await?, expected, "{tag}");
    }
    Ok(())
}

#[tokio::test]
async fn a_list_is_read_for_the_platforms_that_the_pod_may_run_on() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let images = [
        starting("/amd", "amd64"),
        starting("/arm", "arm64"),
        starting("/z", "s390x"),
    ];
    bed.registry.push_index("app", "1", &images, Format::Oci)?;
    for (architecture, program) in [("arm64", "/arm"), ("amd64", "/amd")] {
        let mut selected = query(&bed.image("app:1"));
        selected.node_selector = [("kubernetes.io/arch".to_owned(), architecture.to_owned())].into();
        assert_eq!(ask(&bed.lookup, &selected).await?, started(program));

        let mut affine = query(&bed.image("app:1"));
        let expression = json!({"key": "kubernetes.io/arch", "operator": "In", "values": [architecture]});
        let terms = json!([{"matchExpressions": [expression]}]);
        affine.node_affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        assert_eq!(ask(&bed.lookup, &affine).await?, started(program));
    }
    Ok(())
}

#[tokio::test]
async fn a_list_for_arm_alone_works_without_a_node_selector() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    bed.registry
        .push_index("app", "1", &[starting("/arm", "arm64")], Format::Docker)?;
    assert_eq!(bed.ask("app:1").await?, started("/arm"));
    Ok(())
}

#[tokio::test]
async fn images_of_a_list_that_start_the_same_program_need_no_node_selector() -> anyhow::Result<()> {
    let bed = Bed::start().await?;
    let images = [
        starting("/app", "amd64"),
        starting("/app", "arm64"),
        starting("/z", "s390x"),
    ];
    bed.registry.push_index("app", "1", &images, Format::Oci)?;
    assert_eq!(bed.ask("app:1").await?, started("/app"));
    Ok(())
}

#[tokio::test]
async fn blobs_are_fetched_from_where_the_registry_keeps_them_without_its_credentials() -> anyhow::Result<()> {
    // It keeps them under another name.
    let bed = Bed::with(|settings| {
        let other = settings
            .local
            .iter()
            .map(|it| it.to_string().replace("127.0.0.1", "localhost"));
        settings
            .local
            .extend(other.filter_map(|it| it.parse().ok()).collect::<Vec<_>>());
    })
    .await?;
    bed.registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    bed.registry.set_access(akv2k8s_testbed::registry::Access::public());
    bed.registry.redirect_blobs(true);
    assert_eq!(bed.ask("app:1").await?, started("/app"));
    let requests = bed.registry.requests();
    let schemes = |path: &str| {
        let of_path = requests.iter().filter(|it| it.path.starts_with(path));
        of_path.map(|it| it.scheme.clone()).collect::<Vec<_>>()
    };
    assert_eq!(schemes("/storage/"), [None]);
    assert_eq!(schemes("/v2/app/blobs/"), [Some("Bearer".to_owned())]);
    Ok(())
}

#[tokio::test]
async fn a_registry_without_tls_is_asked_when_the_installation_lists_it() -> anyhow::Result<()> {
    let options = Options {
        tls: Tls::Plain,
        ..Options::default()
    };
    let registry = Registry::start(options).await?;
    registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
    let mut settings = trusting(&registry);
    settings.pull_secrets = false;
    let image = query(&format!("{}/app:1", registry.address()));
    let strict = lookup(settings.clone(), nowhere()?, None)?;
    let refused = ask(&strict, &image).await.unwrap_err();
    assert_eq!(refused.code.as_str(), "RegistryUnavailable");
    assert!(registry.requests().is_empty());
    settings.insecure = registry.address().parse().into_iter().collect();
    let lenient = lookup(settings, nowhere()?, None)?;
    assert_eq!(ask(&lenient, &image).await?, started("/app"));
    Ok(())
}
