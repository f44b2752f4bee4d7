//! Certificates of somebody else's on the webhook's port, as `env_injector.certificate.custom` of the chart mounts them.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use crate::bed::{Bed, WRAPPER, app, pod};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_calls_by_a_certificate_of_somebody_elses_authority_which_stays_in_the_configuration()
-> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&key)?.pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    for (name, text) in [
        ("ca.crt", &authority_pem),
        ("tls.crt", &certificate.pem()),
        ("tls.key", &key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text)?;
    }

    let directory = folder.path().display().to_string();
    let bed = Bed::new("certificates", &[("TLS_CERT_DIR", &directory)]).await?;
    bed.apply_akvs("db", "secret").await?;
    let (is_created, prepared, said) = bed.create(&pod("app", &json!([app("db@azurekeyvault")])), &[]).await?;
    assert!(is_created, "{said}");
    assert_eq!(prepared["spec"]["containers"][0]["command"][0], WRAPPER);
    let bundle = bed.client_config().await?.ca_bundle.unwrap_or_default();
    assert_eq!(String::from_utf8(bundle.0)?, authority_pem);
    Ok(())
}
