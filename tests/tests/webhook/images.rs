//! Containers without `command`: what their images start is asked of a real registry.

use akv2k8s_testbed::image::{Format, Image};
use akv2k8s_testbed::registry::{Access, Options, Registry};
use akv2k8s_testbed::wait::until;
use serde_json::{Value, json};

use crate::bed::{Bed, PATIENCE, WRAPPER, app, pod};

/// A container that leaves it to its image what it starts.
fn silent(image: &str, args: &Value) -> Value {
    let mut container = app("db@azurekeyvault");
    container["image"] = image.into();
    container["args"] = args.clone();
    container.as_object_mut().map(|it| it.remove("command"));
    container
}

/// The pod, once it was admitted: on a busy machine a look-up may be late, and the next attempt finds its answer.
async fn admitted(bed: &Bed, pod: &Value) -> anyhow::Result<Value> {
    let create = async || {
        let (created, pod, _) = bed.create(pod, &[]).await.ok()?;
        created.then_some(pod)
    };
    Ok(until("the pod to be admitted", PATIENCE, create).await?)
}

/// A registry with `app:1`, and an injector that trusts it.
async fn start(prefix: &str) -> anyhow::Result<(Registry, Bed)> {
    start_with(prefix, &[]).await
}

/// The same, and the injector has these variables, too.
async fn start_with(prefix: &str, more: &[(&str, &str)]) -> anyhow::Result<(Registry, Bed)> {
    let registry = Registry::start(Options::default()).await?;
    let image = Image::scratch([]).entrypoint(["/app", "$(HOME)"]).cmd(["--all"]);
    registry.push("app", "1", &image, Format::Oci)?;
    let folder = tempfile::tempdir()?;
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, registry.ca_pem().unwrap_or_default())?;
    let authorities = authorities.display().to_string();
    let own = [
        ("IMAGE_LOOKUP", "true"),
        ("IMAGE_LOOKUP_CA_FILE", authorities.as_str()),
        ("IMAGE_LOOKUP_LOCAL_REGISTRIES", registry.address()),
    ];
    let bed = Bed::new(prefix, &[&own, more].concat()).await?;
    bed.apply_akvs("db", "secret").await?;
    Ok((registry, bed))
}

#[tokio::test]
async fn what_the_image_starts_is_what_the_wrapper_is_told_to_start() -> anyhow::Result<()> {
    let (registry, bed) = start("images").await?;
    let image = format!("{}/app:1", registry.address());
    // The kubelet makes `$` of `$$`: the program gets its image's words as they are.
    for (name, args, expected) in [
        ("plain", json!(null), json!(["/app", "$$(HOME)", "--all"])),
        ("args", json!(["--one"]), json!(["/app", "$$(HOME)", "--one"])),
    ] {
        let pod = admitted(&bed, &pod(name, &json!([silent(&image, &args)]))).await?;
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["command"], json!([WRAPPER]));
        assert_eq!(container["args"], expected, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn with_a_command_no_registry_is_asked() -> anyhow::Result<()> {
    let (registry, bed) = start("images").await?;
    let mut container = app("db@azurekeyvault");
    container["image"] = format!("{}/app:1", registry.address()).into();
    let (created, _, said) = bed.create(&pod("loud", &json!([container])), &[]).await?;
    assert!(created, "{said}");
    assert!(registry.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_pod_with_too_many_images_is_told_so_and_no_registry_is_asked() -> anyhow::Result<()> {
    let (registry, bed) = start("images").await?;
    let containers = |count: usize| {
        let named = |number: usize| {
            let mut container = silent(&format!("{}/app:{number}", registry.address()), &json!(null));
            container["name"] = json!(format!("app-{number}"));
            container
        };
        json!((0..count).map(named).collect::<Vec<_>>())
    };
    let (created, _, said) = bed.create(&pod("many", &containers(17)), &[]).await?;
    assert!(
        !created && said.contains("ImageLookUpsExceeded") && said.contains("Set command"),
        "{said}"
    );
    assert!(registry.requests().is_empty());
    let (created, _, said) = bed.create(&pod("fewer", &containers(16)), &[]).await?;
    assert!(!created && !said.contains("ImageLookUpsExceeded"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_private_image_takes_the_pull_secret_of_the_service_account() -> anyhow::Result<()> {
    let (registry, bed) = start("images").await?;
    the_pull_secret_opens(&registry, &bed).await
}

#[tokio::test]
async fn so_it_does_without_the_broker_where_the_nodes_file_is_missing() -> anyhow::Result<()> {
    let settings = [("USE_AUTH_SERVICE", "false"), ("AUTH_TYPE", "azureCloudConfig")];
    let (registry, bed) = start_with("alone", &settings).await?;
    the_pull_secret_opens(&registry, &bed).await
}

async fn the_pull_secret_opens(registry: &Registry, bed: &Bed) -> anyhow::Result<()> {
    registry.set_access(Access::bearer("robot", "s3cret"));
    let container = silent(&format!("{}/app:1", registry.address()), &json!(null));
    let refused = pod("refused", &json!([container]));
    let said = until("the denial", PATIENCE, async || {
        let (created, _, said) = bed.create(&refused, &[]).await.ok()?;
        (!created && said.contains("ImagePullDenied")).then_some(said)
    })
    .await?;
    assert!(
        said.contains("app:1") && said.contains("command in the container"),
        "{said}"
    );

    let namespace = bed.namespace.name();
    let config = json!({"auths": {registry.address(): {"username": "robot", "password": "s3cret"}}}).to_string();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": namespace},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config},
    });
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": namespace},
        "imagePullSecrets": [{"name": "pull"}],
    });
    for object in [secret, account] {
        bed.cluster.kubectl_apply(&object.to_string()).await?;
    }
    let mut wanted = pod("admitted", &json!([container]));
    wanted["spec"]["serviceAccountName"] = "app".into();
    // The refusal of a moment ago was of other credentials.
    let (created, admitted, said) = bed.create(&wanted, &[]).await?;
    assert!(created, "{said}");
    assert_eq!(
        admitted["spec"]["containers"][0]["args"],
        json!(["/app", "$$(HOME)", "--all"])
    );
    Ok(())
}
