//! What the variables and the file say, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::diagnosis::Code;

fn cloud(variables: &[(&str, &str)]) -> Result<Cloud, Code> {
    Cloud::from_environment(&variables.iter().copied().collect()).map_err(|diagnosis| diagnosis.code)
}

#[test]
fn clouds_are_found_by_any_of_their_names_in_any_case() {
    for (name, suffix, authority) in [
        ("", "vault.azure.net", "https://login.microsoftonline.com/"),
        (
            "AzurePublicCloud",
            "vault.azure.net",
            "https://login.microsoftonline.com/",
        ),
        (
            "azureusgovernmentcloud",
            "vault.usgovcloudapi.net",
            "https://login.microsoftonline.us/",
        ),
        (
            "AzureUSGovernment",
            "vault.usgovcloudapi.net",
            "https://login.microsoftonline.us/",
        ),
        ("AZURECHINACLOUD", "vault.azure.cn", "https://login.chinacloudapi.cn/"),
        (
            "AzureGermanCloud",
            "vault.microsoftazure.de",
            "https://login.microsoftonline.de/",
        ),
    ] {
        let cloud = cloud(&[("AZURE_ENVIRONMENT", name)]).unwrap();
        assert_eq!(cloud.vault_suffix, suffix);
        assert_eq!(cloud.vault_audience, format!("https://{suffix}"));
        assert_eq!(cloud.authority_host.as_str(), authority);
        assert_eq!(cloud.imds_endpoint.as_str(), "http://169.254.169.254/");
    }
    assert_eq!(
        cloud(&[("AZURE_ENVIRONMENT", "AzureMoonCloud")]),
        Err(Code::CloudUnknown)
    );
    assert_eq!(
        cloud(&[("AZURE_ENVIRONMENT", "AzureStackCloud")]),
        Err(Code::CloudUnknown)
    );
}

#[test]
fn the_webhooks_authority_replaces_a_named_clouds_but_must_be_https() {
    let variables = [("AZURE_AUTHORITY_HOST", "https://login.partner.microsoftonline.cn")];
    assert_eq!(
        cloud(&variables).unwrap().authority_host.as_str(),
        "https://login.partner.microsoftonline.cn/"
    );
    assert_eq!(
        cloud(&[("AZURE_AUTHORITY_HOST", "http://login.example")]),
        Err(Code::CloudUnknown)
    );
}

const FILE: &str = r#"{
        "name": "Emulator", "managementPortalURL": "https://unused/",
        "activeDirectoryEndpoint": "https://login.localhost:8443/",
        "keyVaultEndpoint": "https://vault.localhost:8443/", "keyVaultDNSSuffix": "vault.localhost:8443",
        "resourceIdentifiers": {"keyVault": "https://vault.localhost", "graph": "N/A"},
        "imdsEndpoint": "http://127.0.0.1:8080"
    }"#;

#[test]
fn a_file_describes_a_cloud_with_ports() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), FILE).unwrap();
    let path = file.path().to_str().unwrap();
    let cloud = cloud(&[("AZURE_ENVIRONMENT_FILEPATH", path)]).unwrap();
    assert_eq!(cloud.name, "Emulator");
    assert_eq!(cloud.vault_audience, "https://vault.localhost");
    assert_eq!(cloud.imds_endpoint.as_str(), "http://127.0.0.1:8080/");
    let vault = VaultName::parse("kv-one").unwrap();
    assert_eq!(cloud.vault_url(&vault).as_str(), "https://kv-one.vault.localhost:8443/");
}

#[test]
fn container_registries_are_those_of_the_cloud() {
    let registries = |cloud: Cloud| cloud.registries.map(|it| (it.suffix, it.audience));
    for (name, suffix, audience) in [
        ("AzurePublicCloud", "azurecr.io", "https://management.azure.com"),
        (
            "AzureUSGovernment",
            "azurecr.us",
            "https://management.usgovcloudapi.net",
        ),
        ("AzureChinaCloud", "azurecr.cn", "https://management.chinacloudapi.cn"),
    ] {
        let expected = Some((suffix.to_owned(), audience.to_owned()));
        assert_eq!(registries(Cloud::named(name).unwrap()), expected, "{name}");
    }
    assert_eq!(registries(Cloud::named("AzureGermanCloud").unwrap()), None);
    let of_file = |suffix: &str, management: &str| {
        let keys = format!("{{\"containerRegistryDNSSuffix\": {suffix}, \"resourceManagerEndpoint\": {management},");
        registries(Cloud::parse(FILE.replacen('{', &keys, 1).as_bytes()).unwrap())
    };
    let management = "\"https://management.local/\"";
    let expected = Some(("azurecr.local:5000".to_owned(), "https://management.local".to_owned()));
    assert_eq!(of_file("\".azurecr.local:5000\"", management), expected);
    for suffix in [
        "null",
        "\"\"",
        "\"N/A\"",
        "\"x@evil.com\"",
        "\"a/b\"",
        "\"a?b\"",
        "\"a:443\"",
    ] {
        assert_eq!(of_file(suffix, management), None, "{suffix}");
    }
    for management in ["null", "\"N/A\"", "\"http://management.local\""] {
        assert_eq!(of_file("\"azurecr.local\"", management), None, "{management}");
    }
}

#[test]
fn a_file_can_point_to_managed_hsms() {
    for suffix in [
        "managedhsm.azure.net",
        "managedhsm.usgovcloudapi.net",
        "managedhsm.azure.cn",
    ] {
        let json = FILE
            .replace("vault.localhost:8443\",", &format!("{suffix}\","))
            .replace("\"https://vault.localhost\"", "\"N/A\"");
        let cloud = Cloud::parse(json.as_bytes()).unwrap();
        let hsm = VaultName::parse("hsm-one").unwrap();
        assert_eq!(cloud.vault_url(&hsm).as_str(), format!("https://hsm-one.{suffix}/"));
        assert_eq!(cloud.vault_audience, format!("https://{suffix}"));
    }
}

#[test]
fn ad_fs_is_named_in_place_of_being_asked_wrongly() {
    let adfs = FILE.replace("login.localhost:8443/", "adfs.local.azurestack.external/adfs/");
    let diagnosis = Cloud::parse(adfs.as_bytes()).unwrap_err();
    assert!(diagnosis.cause.contains("AD FS"), "{diagnosis}");
}

#[test]
fn a_file_that_would_send_tokens_elsewhere_is_refused() {
    for (good, bad) in [
        ("https://login.localhost:8443/", "http://login.localhost:8443/"),
        ("\"vault.localhost:8443\"", "\"vault.localhost:8443/evil\""),
        ("\"vault.localhost:8443\"", "\"\""),
        ("\"vault.localhost:8443\"", "\"x@evil.com\""),
        ("\"vault.localhost:8443\"", "\"a?b\""),
        ("\"https://vault.localhost\"", "\"vault\""),
        ("http://127.0.0.1:8080", "ftp://127.0.0.1"),
        ("http://127.0.0.1:8080", "https://imds.example"),
        (
            "https://login.localhost:8443/",
            "https://adfs.local.azurestack.external/adfs/",
        ),
        ("https://login.localhost:8443/", "https://login.localhost:8443/common"),
        ("\"keyVaultDNSSuffix\"", "\"other\""),
    ] {
        assert!(FILE.contains(good), "{good}");
        assert!(Cloud::parse(FILE.replace(good, bad).as_bytes()).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_suffix_is_accepted_every_vault_of_it_is_under_it(suffix in "[ -~]{0,20}") {
        let json = serde_json::json!({
            "activeDirectoryEndpoint": "https://login.example/", "keyVaultDNSSuffix": suffix,
        });
        if let Ok(cloud) = Cloud::parse(json.to_string().as_bytes()) {
            let url = cloud.vault_url(&VaultName::parse("kv1").unwrap());
            prop_assert!(url.host_str().unwrap().starts_with("kv1."));
            prop_assert_eq!(url.path(), "/");
            prop_assert_eq!(url.scheme(), "https");
        }
    }

    #[test]
    fn no_file_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Cloud::parse(&bytes);
    }
}
