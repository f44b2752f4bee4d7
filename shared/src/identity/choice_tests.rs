//! Every value of `AUTH_TYPE`, with complete, partial and contradictory surroundings.

use super::*;

const CLIENT: (&str, &str) = ("AZURE_CLIENT_ID", "c-1");
const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "t-1");
const SECRET: (&str, &str) = ("AZURE_CLIENT_SECRET", "canary");
const CERTIFICATE: (&str, &str) = ("AZURE_CERTIFICATE_PATH", "/c.pfx");
const USER: (&str, &str) = ("AZURE_USERNAME", "u");
const PASSWORD: (&str, &str) = ("AZURE_PASSWORD", "canary");
const FILE: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/token");

fn with_az(auth_type: AuthType, variables: &[(&str, &str)], az: bool) -> Result<Choice, Box<Diagnosis>> {
    let files = Files {
        azure_cli: az.then(|| "/usr/bin/az".into()),
        ..Files::default()
    };
    choose(auth_type, &variables.iter().copied().collect(), &files)
}

fn chosen(auth_type: AuthType, variables: &[(&str, &str)]) -> Result<Choice, Box<Diagnosis>> {
    with_az(auth_type, variables, false)
}

fn method(auth_type: AuthType, variables: &[(&str, &str)]) -> Method {
    chosen(auth_type, variables).map(|choice| choice.info().method).unwrap()
}

fn refused(auth_type: AuthType, variables: &[(&str, &str)]) -> Diagnosis {
    match chosen(auth_type, variables) {
        Ok(choice) => panic!("{:?}", choice.info()),
        Err(diagnosis) => *diagnosis,
    }
}

#[test]
fn environment_follows_upstreams_order() {
    let all = [CLIENT, TENANT, SECRET, CERTIFICATE, USER, PASSWORD, FILE];
    for (variables, expected) in [
        (&all[..], Method::ClientSecret),
        (
            &[CLIENT, TENANT, CERTIFICATE, USER, PASSWORD, FILE],
            Method::ClientCertificate,
        ),
        (&[CLIENT, TENANT, USER, PASSWORD, FILE], Method::UsernamePassword),
        (&[CLIENT, TENANT, FILE], Method::WorkloadIdentity),
        (&[CLIENT, TENANT], Method::ManagedIdentity),
        (&[CLIENT], Method::ManagedIdentity),
        (&[], Method::ManagedIdentity),
    ] {
        assert_eq!(method(AuthType::Environment, variables), expected, "{variables:?}");
    }
}

#[test]
fn microsofts_order_has_workload_identity_before_the_nodes() {
    let all = [CLIENT, TENANT, SECRET, CERTIFICATE, USER, PASSWORD, FILE];
    for (variables, expected) in [
        (&all[..], Method::ClientSecret),
        (&[CLIENT, TENANT, FILE], Method::WorkloadIdentity),
        (&[CLIENT, SECRET, FILE], Method::ManagedIdentity),
        (&[], Method::ManagedIdentity),
    ] {
        assert_eq!(
            method(AuthType::EnvironmentAzidentity, variables),
            expected,
            "{variables:?}"
        );
    }
}

#[test]
fn a_method_that_was_asked_for_is_the_only_one_that_counts() {
    let all = [CLIENT, TENANT, SECRET, CERTIFICATE, USER, PASSWORD, FILE];
    for (auth_type, expected) in [
        (AuthType::ClientSecret, Method::ClientSecret),
        (AuthType::ClientCertificate, Method::ClientCertificate),
        (AuthType::WorkloadIdentity, Method::WorkloadIdentity),
        (AuthType::ManagedIdentity, Method::ManagedIdentity),
    ] {
        assert_eq!(method(auth_type, &all), expected);
    }
    let cli = with_az(AuthType::AzureCli, &all, true).unwrap();
    assert_eq!(cli.info().method, Method::AzureCli);
    assert_eq!(
        (&cli.info().client_id, cli.info().tenant_id.as_deref()),
        (&None, Some("t-1"))
    );
}

#[test]
fn partial_sets_are_named_with_what_each_lacks() {
    for (variables, code, parts) in [
        (
            &[SECRET, TENANT][..],
            Code::EnvironmentIncomplete,
            &["AZURE_CLIENT_ID"][..],
        ),
        (
            &[SECRET, USER],
            Code::EnvironmentIncomplete,
            &["AZURE_CLIENT_ID and AZURE_TENANT_ID", "AZURE_PASSWORD"],
        ),
        (
            &[CLIENT, TENANT, USER],
            Code::EnvironmentIncomplete,
            &["AZURE_PASSWORD"],
        ),
        (
            &[CLIENT, TENANT, PASSWORD],
            Code::EnvironmentIncomplete,
            &["AZURE_USERNAME"],
        ),
        (
            &[CERTIFICATE, CLIENT],
            Code::EnvironmentIncomplete,
            &["client certificate", "AZURE_TENANT_ID"],
        ),
        (&[FILE, CLIENT], Code::WorkloadIdentityIncomplete, &["AZURE_TENANT_ID"]),
    ] {
        let diagnosis = refused(AuthType::Environment, variables);
        assert_eq!(diagnosis.code, code, "{variables:?}");
        for part in parts {
            assert!(diagnosis.to_string().contains(part), "{part}: {diagnosis}");
        }
        assert!(!diagnosis.to_string().contains("canary"), "{diagnosis}");
    }
    for (auth_type, variables, code) in [
        (
            AuthType::ClientSecret,
            &[CLIENT, TENANT, FILE][..],
            Code::EnvironmentIncomplete,
        ),
        (
            AuthType::ClientCertificate,
            &[CLIENT, TENANT],
            Code::EnvironmentIncomplete,
        ),
        (
            AuthType::WorkloadIdentity,
            &[CLIENT, SECRET, TENANT],
            Code::WorkloadIdentityIncomplete,
        ),
        (AuthType::AzureCli, &[], Code::AzureCliMissing),
    ] {
        assert_eq!(refused(auth_type, variables).code, code, "{auth_type:?}");
    }
}

#[test]
fn an_application_without_any_proof_is_remembered_for_when_no_metadata_service_answers() {
    let failure = || Diagnosis::of(Code::ImdsUnreachable, "No token.", &[]);
    let choice = chosen(AuthType::Environment, &[CLIENT, TENANT]).unwrap();
    let explained = choice.caveat.explain(failure());
    assert_eq!(explained.code, Code::EnvironmentIncomplete);
    assert!(explained.cause.contains("AZURE_CLIENT_SECRET"), "{explained}");
    let plain = chosen(AuthType::Environment, &[CLIENT]).unwrap();
    assert_eq!(plain.caveat.explain(failure()).code, Code::ImdsUnreachable);
}

#[test]
fn every_link_of_the_chain_keeps_its_reason() {
    let failure = || Diagnosis::of(Code::ImdsUnreachable, "No token.", &[]);
    let choice = chosen(AuthType::EnvironmentAzidentity, &[]).unwrap();
    assert_eq!(choice.not_used().len(), 3, "{:?}", choice.not_used());
    let explained = choice.caveat.explain(failure());
    assert_eq!(explained.code, Code::NoMethodWorked);
    for part in [
        "Environment: ",
        "Workload identity: ",
        "Azure CLI: az is not on the PATH.",
        "This is not an Azure node",
    ] {
        assert!(explained.cause.contains(part), "{part}: {explained}");
    }
    let begun = chosen(AuthType::EnvironmentAzidentity, &[FILE]).unwrap();
    assert_eq!(begun.caveat.explain(failure()).code, Code::WorkloadIdentityIncomplete);
}

#[test]
fn the_azure_cli_is_the_last_link_where_it_is_there() {
    let choice = with_az(AuthType::EnvironmentAzidentity, &[], true).unwrap();
    assert_eq!(choice.info().method, Method::ManagedIdentity);
    assert_eq!(choice.otherwise().unwrap().info().method, Method::AzureCli);
    let production = with_az(
        AuthType::EnvironmentAzidentity,
        &[("AZURE_TOKEN_CREDENTIALS", "prod")],
        true,
    )
    .unwrap();
    assert!(production.otherwise().is_none());
    let development = with_az(
        AuthType::EnvironmentAzidentity,
        &[("AZURE_TOKEN_CREDENTIALS", "dev")],
        true,
    )
    .unwrap();
    assert_eq!(development.info().method, Method::AzureCli);
    let nothing = refused(AuthType::EnvironmentAzidentity, &[("AZURE_TOKEN_CREDENTIALS", "dev")]);
    assert_eq!(nothing.code, Code::NoMethodWorked);
}

#[test]
fn a_secret_that_hides_workload_identity_is_told() {
    let choice = chosen(AuthType::EnvironmentAzidentity, &[CLIENT, TENANT, SECRET, FILE]).unwrap();
    assert!(choice.not_used()[0].contains("hides"), "{:?}", choice.not_used());
    assert!(
        chosen(AuthType::Environment, &[CLIENT, TENANT, SECRET])
            .unwrap()
            .not_used()
            .is_empty()
    );
}

#[test]
fn a_managed_identity_can_be_named_in_three_ways() {
    for (variables, expected) in [
        (&[][..], UserAssigned::None),
        (&[CLIENT], UserAssigned::ClientId("c-1".to_owned())),
        (
            &[("AZURE_MANAGED_IDENTITY_OBJECT_ID", "o")],
            UserAssigned::ObjectId("o".to_owned()),
        ),
        (
            &[("AZURE_MANAGED_IDENTITY_RESOURCE_ID", "/r")],
            UserAssigned::ResourceId("/r".to_owned()),
        ),
    ] {
        let choice = chosen(AuthType::ManagedIdentity, variables).unwrap();
        assert!(choice.plan == Plan::ManagedIdentity(expected), "{variables:?}");
    }
}

#[test]
fn microsofts_and_upstreams_names_of_certificate_variables_mean_the_same() {
    let file = |variables: &[(&str, &str)]| match chosen(AuthType::ClientCertificate, variables).unwrap().plan {
        Plan::ClientCertificate(file) => file,
        _ => panic!("no certificate"),
    };
    let upstream = file(&[CLIENT, TENANT, CERTIFICATE, ("AZURE_CERTIFICATE_PASSWORD", "p")]);
    let microsoft = file(&[
        CLIENT,
        TENANT,
        ("AZURE_CLIENT_CERTIFICATE_PATH", "/c.pfx"),
        ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "p"),
    ]);
    assert!(upstream == microsoft && upstream.password.is_some());
    let chain = file(&[
        CLIENT,
        TENANT,
        CERTIFICATE,
        ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true"),
    ]);
    assert!(chain.send_chain && !upstream.send_chain);
}

#[test]
fn quotes_that_came_along_are_found_before_entra_wonders() {
    for variable in [("AZURE_CLIENT_ID", "\"c-1\""), ("AZURE_TENANT_ID", "'t-1'")] {
        let diagnosis = refused(AuthType::WorkloadIdentity, &[CLIENT, TENANT, FILE, variable]);
        assert_eq!(diagnosis.code, Code::VariableMalformed);
        assert!(diagnosis.to_string().contains(variable.0), "{diagnosis}");
    }
    let tenant = refused(AuthType::ClientSecret, &[CLIENT, SECRET, ("AZURE_TENANT_ID", "a/b")]);
    assert_eq!(tenant.code, Code::TenantNotFound);
}

fn of_file(json: Result<&str, &str>, variables: &[(&str, &str)]) -> Result<Choice, Box<Diagnosis>> {
    let files = Files {
        cloud_config: Some(FoundFile {
            path: "/etc/kubernetes/azure.json".into(),
            content: json.map(SecretBytes::from).map_err(str::to_owned),
        }),
        ..Files::default()
    };
    choose(AuthType::AzureCloudConfig, &variables.iter().copied().collect(), &files)
}

#[test]
fn the_cloud_config_file_names_identity_and_cloud_and_variables_do_not_count() {
    let json = r#"{"cloud": "AzureChinaCloud", "tenantId": "t-9", "aadClientId": "c-9", "aadClientSecret": "s"}"#;
    let choice = of_file(
        Ok(json),
        &[CLIENT, TENANT, SECRET, ("AZURE_ENVIRONMENT", "AzurePublicCloud")],
    )
    .unwrap();
    assert_eq!(choice.cloud().vault_suffix, "vault.azure.cn");
    let info = choice.info();
    assert_eq!(info.method, Method::ClientSecret);
    assert_eq!(
        (info.client_id.as_deref(), info.tenant_id.as_deref()),
        (Some("c-9"), Some("t-9"))
    );
    assert!(choice.reason().contains("azure.json"), "{}", choice.reason());
    let open = r#"{"useManagedIdentityExtension": true}"#;
    let choice = of_file(Ok(open), &[("AZURE_ENVIRONMENT", "AzureUSGovernmentCloud")]).unwrap();
    assert_eq!(choice.cloud().vault_suffix, "vault.usgovcloudapi.net");
}

#[test]
fn a_missing_cloud_config_file_says_where_it_was_looked_for_and_what_else_there_is() {
    let missing = of_file(Err("No such file or directory (os error 2)"), &[])
        .err()
        .unwrap();
    assert_eq!(missing.code, Code::CloudConfigUnreadable);
    let text = missing.to_string();
    for part in [
        "/etc/kubernetes/azure.json",
        "No such file or directory",
        "AUTH_TYPE",
        "workloadIdentity",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let tenant = of_file(
        Ok(r#"{"aadClientId": "c", "aadClientSecret": "s", "tenantId": "a/b"}"#),
        &[],
    );
    assert_eq!(tenant.err().unwrap().code, Code::TenantNotFound);
}
