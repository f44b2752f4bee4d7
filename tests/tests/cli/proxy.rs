//! An API server behind a proxy.

use akv2k8s_testbed::tunnel::Tunnel;
use anyhow::Context;
use kube::config::Kubeconfig;
use serde_json::json;

use crate::bed::Bed;

/// Only what looks names up outside of this machine knows where it is; here that is the proxy.
const ELSEWHERE: &str = "api.proxied.test";

/// What is said when the API server was reached, and has no such object.
const REACHED: &str = "there is no AzureKeyVaultSecret";

/// The cluster's port.
fn port(bed: &Bed) -> anyhow::Result<u16> {
    let url: hyper::Uri = bed.stage.cluster.server_url().parse()?;
    url.port_u16().context("the API server has a port")
}

/// A kubeconfig for the cluster, with its API server at `host`, and with a proxy of its own or none.
fn kubeconfig(bed: &Bed, host: &str, proxy: Option<&str>) -> anyhow::Result<String> {
    let cluster = &bed.stage.cluster;
    let users = Kubeconfig::read_from(cluster.kubeconfig())?.auth_infos;
    let user = users.first().context("the kubeconfig has a user")?;
    let server = format!("https://{host}:{}", port(bed)?);
    let direct = cluster.kubeconfig_with(json!(user.auth_info)).with("server", &server);
    let direct = direct.with("tls-server-name", "localhost");
    let kubeconfig = match proxy {
        Some(proxy) => direct.with("proxy-url", proxy),
        None => direct,
    };
    bed.file("proxied.kubeconfig", &kubeconfig.to_string())
}

/// What `get` complains of, with these variables.
async fn complaint(bed: &mut Bed, variables: &[(&'static str, &str)]) -> anyhow::Result<String> {
    bed.variables = variables
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()))
        .collect();
    let said = bed.run(&["get", "none"]).await?;
    assert_eq!(said.code, Some(1), "{said:?}");
    Ok(said.err)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_is_reached_through_the_proxy_of_the_environment_unless_it_is_excepted() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-proxy").await?;
    let proxy = Tunnel::start(port(&bed)?).await?;
    let elsewhere = kubeconfig(&bed, ELSEWHERE, None)?;
    let through = [("KUBECONFIG", &*elsewhere), ("HTTPS_PROXY", proxy.url())];
    let said = complaint(&mut bed, &through).await?;
    assert!(said.contains(REACHED), "{said}");
    let asked = proxy.asked();
    let expected = format!("CONNECT {ELSEWHERE}:{} ", port(&bed)?);
    assert!(
        !asked.is_empty() && asked.iter().all(|it| it.starts_with(&expected)),
        "{asked:?}"
    );
    let basic = "proxy-authorization: basic dxnlcjpwyxnz";
    assert!(asked[0].to_ascii_lowercase().contains(basic), "{asked:?}");

    let excepted = [&through[..], &[("NO_PROXY", ".other,*.proxied.test")]].concat();
    let said = complaint(&mut bed, &excepted).await?;
    assert!(said.contains("dns error"), "nobody here knows that name: {said}");

    let here = kubeconfig(&bed, "127.0.0.1", None)?;
    let said = complaint(&mut bed, &[("KUBECONFIG", &here), ("HTTPS_PROXY", proxy.url())]).await?;
    assert!(said.contains(REACHED), "{said}");
    assert_eq!(proxy.asked().len(), asked.len(), "neither asked the proxy");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_is_reached_through_the_proxy_of_its_kubeconfig() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-proxy-url").await?;
    let port = port(&bed)?;
    for (proxy, expected) in [
        (Tunnel::start(port).await?, format!("CONNECT {ELSEWHERE}:{port} ")),
        (Tunnel::socks(port).await?, format!("{ELSEWHERE}:{port}")),
    ] {
        let elsewhere = kubeconfig(&bed, ELSEWHERE, Some(proxy.url()))?;
        // Neither of the two counts.
        let variables = [
            ("HTTPS_PROXY", "http://127.0.0.1:9"),
            ("NO_PROXY", "127.0.0.1,.proxied.test"),
        ];
        let said = complaint(&mut bed, &[&[("KUBECONFIG", &*elsewhere)], &variables[..]].concat()).await?;
        assert!(said.contains(REACHED), "{}: {said}", proxy.url());
        assert!(
            proxy.asked().iter().any(|it| it.starts_with(&expected)),
            "{:?}",
            proxy.asked()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_that_cannot_be_read_are_an_error_and_no_other_cluster_is_asked() -> anyhow::Result<()> {
    let mut bed = Bed::new("cli-no-proxy").await?;
    let here = kubeconfig(&bed, "127.0.0.1", None)?;
    let variables = [
        ("KUBECONFIG", &*here),
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", "a,,b"),
    ];
    let said = complaint(&mut bed, &variables).await?;
    assert!(
        said.contains("cannot use the kubeconfig") && said.contains("NO_PROXY"),
        "{said}"
    );
    Ok(())
}
