//! Where the process is at home: what holds for identities that do not say otherwise. Pure.

use super::choice::{Files, cloud_of_config, parsed_config};
use super::{AuthType, Cloud};
use crate::diagnosis::Diagnosis;
use crate::environment::Environment;
use crate::environment::common::AZURE_TENANT_ID;

/// A cloud, and a tenant of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The cloud.
    pub cloud: Cloud,
    /// The tenant; `None`: nothing names one.
    pub tenant_id: Option<String>,
}

/// With [`AuthType::AzureCloudConfig`] what the file says, and the variables where it says nothing; else the variables.
///
/// # Errors
/// The file cannot be used, or a cloud is not known. It is not guessed then: another cloud is another Entra.
pub(super) fn home(auth_type: AuthType, environment: &Environment, files: &Files) -> Result<Home, Box<Diagnosis>> {
    let by_variable = environment.get(AZURE_TENANT_ID);
    if auth_type != AuthType::AzureCloudConfig {
        return Ok(Home {
            cloud: Cloud::found(environment, files)?,
            tenant_id: by_variable.map(str::to_owned),
        });
    }
    let file = parsed_config(files)?;
    if file.cloud().is_none() && file.tenant_id().is_none() {
        // An empty file, say, that is only being written: it does not mean the public cloud.
        file.stated()?;
    }
    Ok(Home {
        cloud: cloud_of_config(environment, files, &file)?,
        tenant_id: file.tenant_id().or(by_variable).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;
    use crate::identity::choice::FoundFile;

    fn at_home(
        auth_type: AuthType,
        file: Result<&str, &str>,
        variables: &[(&str, &str)],
    ) -> Result<(String, Option<String>), Code> {
        let files = Files {
            cloud_config: Some(FoundFile {
                path: "/etc/kubernetes/azure.json".into(),
                content: file.map(Into::into).map_err(str::to_owned),
            }),
            ..Files::default()
        };
        home(auth_type, &variables.iter().copied().collect(), &files)
            .map(|it| (it.cloud.name, it.tenant_id))
            .map_err(|diagnosis| diagnosis.code)
    }

    /// A file that names neither cloud nor tenant.
    const SILENT: &str = r#"{"useManagedIdentityExtension": true}"#;

    #[test]
    fn the_nodes_file_says_where_it_is_and_variables_where_it_does_not() {
        let (config, variables) = (AuthType::AzureCloudConfig, AuthType::Environment);
        let tenant = ("AZURE_TENANT_ID", "t-variable");
        let government = ("AZURE_ENVIRONMENT", "AzureUSGovernmentCloud");
        let china = r#"{"cloud": "AzureChinaCloud", "tenantId": "t-file", "useManagedIdentityExtension": true}"#;
        for (auth_type, file, set, cloud, tenant_id) in [
            (config, china, &[][..], "AzureChinaCloud", Some("t-file")),
            (config, china, &[tenant, government], "AzureChinaCloud", Some("t-file")),
            (
                config,
                SILENT,
                &[tenant, government],
                "AzureUSGovernmentCloud",
                Some("t-variable"),
            ),
            (config, SILENT, &[], "AzurePublicCloud", None),
            (
                variables,
                china,
                &[tenant, government],
                "AzureUSGovernmentCloud",
                Some("t-variable"),
            ),
            (variables, "{", &[], "AzurePublicCloud", None),
        ] {
            let expected = (cloud.to_owned(), tenant_id.map(str::to_owned));
            assert_eq!(at_home(auth_type, Ok(file), set), Ok(expected), "{file} {set:?}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_no_reason_to_go_to_another_cloud() {
        for file in [
            Err("No such file"),
            Ok("{\"cloud\": \"AzureChin"),
            Ok(""),
            Ok("{}"),
            Ok("[]"),
        ] {
            let code = at_home(AuthType::AzureCloudConfig, file, &[("AZURE_TENANT_ID", "t")]);
            assert_eq!(code, Err(Code::CloudConfigUnreadable), "{file:?}");
        }
        let unknown = at_home(AuthType::AzureCloudConfig, Ok(r#"{"cloud": "AzureMoonCloud"}"#), &[]);
        assert_eq!(unknown, Err(Code::CloudUnknown));
    }
}
