use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Empty};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::*;
use crate::emulator;
use crate::image::{File, Platform};

const OCI: (&str, &str) = (
    "accept",
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json",
);

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().expect("text"))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// Sends one request; `target` is a whole URL, or a path of the registry.
async fn send(registry: &Registry, method: &str, target: &str, headers: &[(&str, &str)]) -> Answer {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = registry.ca_pem() {
        roots
            .add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM"))
            .expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_or_http()
        .enable_http1()
        .build();
    let url = if target.starts_with("http") {
        target.to_owned()
    } else {
        format!("{}://{}{target}", registry.shared.scheme, registry.address())
    };
    let mut request = hyper::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).expect("a request");
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let (parts, body) = client.request(request).await.expect("an answer").into_parts();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: body.collect().await.expect("a body").to_bytes(),
    }
}

fn app() -> Image {
    Image::scratch([File::program("/app", vec![1, 2, 3])]).entrypoint(["/app"])
}

async fn registry() -> Registry {
    Registry::start(Options::default()).await.expect("a registry")
}

#[tokio::test]
async fn an_image_is_read_by_tag_and_by_digest_down_to_its_configuration() {
    let registry = registry().await;
    let digest = registry.push("team/app", "1", &app(), Format::Oci).expect("pushed");
    for reference in ["1", &digest] {
        let path = format!("/v2/team/app/manifests/{reference}");
        let manifest = send(&registry, "GET", &path, &[OCI]).await;
        assert_eq!(manifest.status, 200);
        assert_eq!(manifest.header("docker-content-digest"), digest);
        assert_eq!(manifest.header("content-type"), Format::Oci.manifest());
        assert_eq!(image::digest(&manifest.body), digest);
        let head = send(&registry, "HEAD", &path, &[OCI]).await;
        assert_eq!(
            (head.status, head.header("docker-content-digest")),
            (200, digest.as_str())
        );
        assert!(head.body.is_empty());
        let config = manifest.json()["config"]["digest"]
            .as_str()
            .expect("a digest")
            .to_owned();
        let config = send(&registry, "GET", &format!("/v2/team/app/blobs/{config}"), &[]).await;
        assert_eq!(config.json()["config"]["Entrypoint"][0], "/app");
    }
    assert_eq!(registry.requests().len(), 6);
    assert_eq!(
        send(&registry, "GET", "/v2/team/app/manifests/2", &[]).await.status,
        404
    );
    let other = format!("/v2/other/app/manifests/{digest}");
    assert_eq!(
        send(&registry, "GET", &other, &[]).await.status,
        404,
        "not in this repository"
    );
}

#[tokio::test]
async fn a_list_names_platforms_in_both_formats_and_is_kept_from_those_who_do_not_accept_it() {
    let registry = registry().await;
    for format in [Format::Oci, Format::Docker] {
        let images = [app(), app().platform(Platform::linux("arm64"))];
        registry.push_index("app", "all", &images, format).expect("pushed");
        let list = send(&registry, "GET", "/v2/app/manifests/all", &[("accept", format.index())]).await;
        assert_eq!(list.header("content-type"), format.index());
        let arm = &list.json()["manifests"][1];
        assert_eq!(arm["platform"]["architecture"], "arm64");
        let path = format!("/v2/app/manifests/{}", arm["digest"].as_str().expect("a digest"));
        let manifest = send(&registry, "GET", &path, &[("accept", format.manifest())]).await;
        assert_eq!(manifest.header("content-type"), format.manifest());
        let refused = send(
            &registry,
            "GET",
            "/v2/app/manifests/all",
            &[("accept", format.manifest())],
        )
        .await;
        assert_eq!(
            (refused.status, refused.json()["errors"][0]["code"].as_str()),
            (404, Some("MANIFEST_UNKNOWN"))
        );
    }
}

#[tokio::test]
async fn a_password_is_asked_for_and_checked() {
    let registry = registry().await;
    registry.push("app", "1", &app(), Format::Oci).expect("pushed");
    registry.set_access(Access::basic("robot", "s3:cret"));
    let refused = send(&registry, "GET", "/v2/app/manifests/1", &[OCI]).await;
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").starts_with("Basic realm="));
    for (login, status) in [("robot:s3:cret", 200), ("robot:other", 401)] {
        let login = format!("Basic {}", STANDARD.encode(login));
        let answer = send(
            &registry,
            "GET",
            "/v2/app/manifests/1",
            &[OCI, ("authorization", &login)],
        )
        .await;
        assert_eq!(answer.status, status);
    }
    let schemes: Vec<_> = registry
        .requests()
        .into_iter()
        .map(|it| (it.scheme, it.status))
        .collect();
    let basic = || Some("Basic".to_owned());
    assert_eq!(schemes, [(None, 401), (basic(), 200), (basic(), 401)]);
}

#[tokio::test]
async fn a_token_is_for_one_repository_and_ends_when_it_is_revoked() {
    let registry = registry().await;
    registry.push("a/one", "1", &app(), Format::Oci).expect("pushed");
    registry.push("a/two", "1", &app(), Format::Oci).expect("pushed");
    registry.set_access(Access::bearer("robot", "s3cret"));
    let refused = send(&registry, "GET", "/v2/a/one/manifests/1", &[OCI]).await;
    let address = registry.address();
    let challenge =
        format!("Bearer realm=\"https://{address}/token\",service=\"{address}\",scope=\"repository:a/one:pull\"");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, challenge.as_str())
    );

    let ask = format!("/token?service={address}&scope=repository:a/one:pull");
    assert_eq!(
        send(&registry, "GET", &ask, &[]).await.status,
        401,
        "without the password"
    );
    let login = format!("Basic {}", STANDARD.encode("robot:s3cret"));
    let token = send(&registry, "GET", &ask, &[("authorization", &login)]).await.json();
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let read = async |path| {
        send(&registry, "GET", path, &[OCI, ("authorization", &bearer)])
            .await
            .status
    };
    assert_eq!(read("/v2/a/one/manifests/1").await, 200);
    assert_eq!(read("/v2/a/two/manifests/1").await, 401);
    registry.revoke_tokens();
    assert_eq!(read("/v2/a/one/manifests/1").await, 401);
}

#[tokio::test]
async fn a_redirected_blob_is_given_only_without_the_registrys_token() {
    let registry = registry().await;
    let digest = registry.push_blob("team/app", b"anything".to_vec());
    registry.redirect_blobs(true);
    let redirect = send(&registry, "GET", &format!("/v2/team/app/blobs/{digest}"), &[]).await;
    assert_eq!(redirect.status, 307);
    let location = redirect.header("location");
    assert!(location.starts_with("https://localhost:"), "{location}");
    assert_eq!(send(&registry, "GET", location, &[]).await.body, "anything");
    assert_eq!(
        send(&registry, "GET", location, &[("authorization", "Bearer x")])
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn faults_and_hostile_content_are_served_as_asked() {
    let registry = registry().await;
    let manifest = registry.push_manifest("app", "1", Format::Oci.manifest(), b"{\"config\": 7".to_vec());
    let answer = send(&registry, "GET", &format!("/v2/app/manifests/{manifest}"), &[OCI]).await;
    assert_eq!(answer.body, "{\"config\": 7");
    let blob = registry.push_blob("app", b"true".to_vec());
    registry.corrupt_blob("app", &blob, b"false".to_vec());
    assert_eq!(
        send(&registry, "GET", &format!("/v2/app/blobs/{blob}"), &[]).await.body,
        "false"
    );
    registry.set_fault(Some(Fault::Status(429, Some(7))));
    let throttled = send(&registry, "GET", "/v2/", &[]).await;
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, "7"));
    registry.set_fault(None);
    assert_eq!(send(&registry, "GET", "/v2/", &[]).await.status, 200);
}

#[tokio::test]
async fn an_emulators_authority_can_vouch_for_it_and_it_can_do_without() {
    let emulator = Emulator::start(emulator::Options::default())
        .await
        .expect("an emulator");
    let options = Options {
        tls: Tls::Of(&emulator),
        ..Options::default()
    };
    let registry = Registry::start(options).await.expect("a registry");
    assert_eq!(registry.ca_pem(), Some(emulator.ca_pem()));
    assert_eq!(send(&registry, "GET", "/v2/", &[]).await.status, 200);
    let options = Options {
        tls: Tls::Plain,
        ..Options::default()
    };
    let registry = Registry::start(options).await.expect("a registry");
    assert_eq!(send(&registry, "GET", "/v2/", &[]).await.status, 200);
}
