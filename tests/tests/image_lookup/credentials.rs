//! Pull secrets of the pod and of its ServiceAccount, read from a real API server, and this program's own identity.

use std::collections::BTreeSet;

use akv2k8s_envinjector::admission::ImageQuery;
use akv2k8s_envinjector::registry::{HostPort, Registries, Settings};
use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_testbed::controlplane::{ControlPlane, Namespace};
use akv2k8s_testbed::emulator::{self, Emulator};
use akv2k8s_testbed::image::Format;
use akv2k8s_testbed::registry::{Access, Options, Registry, Tls};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::{ask, lookup, nowhere, query, started, starting, trusting};

const USER: &str = "robot";
const PASSWORD: &str = "s3:cret";

/// A private image, and a namespace of its own.
struct Private {
    registry: Registry,
    cluster: &'static ControlPlane,
    namespace: Namespace,
}

impl Private {
    async fn start(access: Access) -> anyhow::Result<Self> {
        let registry = Registry::start(Options::default()).await?;
        registry.push("team/app", "1", &starting("/app", "amd64"), Format::Oci)?;
        registry.set_access(access);
        let cluster = ControlPlane::shared().await?;
        let namespace = cluster.namespace("pull").await?;
        Ok(Self {
            registry,
            cluster,
            namespace,
        })
    }

    fn lookup(&self, change: impl FnOnce(&mut Settings)) -> anyhow::Result<Registries> {
        let mut settings = trusting(&self.registry);
        change(&mut settings);
        lookup(settings, self.cluster.client()?, None)
    }

    fn query(&self, pull_secrets: &[&str]) -> ImageQuery {
        ImageQuery {
            namespace: self.namespace.name().to_owned(),
            pull_secrets: pull_secrets.iter().map(|it| (*it).to_owned()).collect(),
            ..query(&format!("{}/team/app:1", self.registry.address()))
        }
    }

    async fn apply(&self, object: Value) -> anyhow::Result<()> {
        let mut object = object;
        object["apiVersion"] = json!("v1");
        object["metadata"]["namespace"] = json!(self.namespace.name());
        self.cluster.kubectl_apply(&object.to_string()).await?;
        Ok(())
    }

    /// A pull secret with a login for `place`.
    async fn pull_secret(&self, name: &str, place: &str, user: &str, password: &str) -> anyhow::Result<()> {
        let login = json!({"username": user, "password": password});
        let config = json!({"auths": {place: login}}).to_string();
        let data = json!({".dockerconfigjson": config});
        let kind = "kubernetes.io/dockerconfigjson";
        self.apply(json!({"kind": "Secret", "metadata": {"name": name}, "type": kind, "stringData": data}))
            .await
    }
}

#[tokio::test]
async fn the_pods_own_pull_secret_opens_the_image() -> anyhow::Result<()> {
    for access in [Access::basic(USER, PASSWORD), Access::bearer(USER, PASSWORD)] {
        let bed = Private::start(access).await?;
        let lookup = bed.lookup(|_| {})?;
        let denial = ask(&lookup, &bed.query(&["pull"])).await.unwrap_err();
        assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
        assert!(
            denial.cause.contains("pull secret 'pull'") && denial.cause.contains("does not exist"),
            "{denial}"
        );

        bed.pull_secret("pull", bed.registry.address(), USER, PASSWORD).await?;
        assert_eq!(ask(&lookup, &bed.query(&["pull"])).await?, started("/app"));
        // What is kept is not for those who have no such secret.
        let denial = ask(&lookup, &bed.query(&[])).await.unwrap_err();
        assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
    }
    Ok(())
}

#[tokio::test]
async fn the_service_accounts_pull_secret_counts_beside_the_pods() -> anyhow::Result<()> {
    let bed = Private::start(Access::bearer(USER, PASSWORD)).await?;
    bed.pull_secret("other", "ghcr.io", "nobody", "nothing").await?;
    bed.pull_secret(
        "pull",
        &format!("https://{}/v2/", bed.registry.address()),
        USER,
        PASSWORD,
    )
    .await?;
    let account =
        json!({"kind": "ServiceAccount", "metadata": {"name": "app"}, "imagePullSecrets": [{"name": "pull"}]});
    bed.apply(account).await?;
    let mut query = bed.query(&["other"]);
    query.service_account = "app".to_owned();
    assert_eq!(ask(&bed.lookup(|_| {})?, &query).await?, started("/app"));
    Ok(())
}

#[tokio::test]
async fn a_wrong_login_does_not_hide_the_right_one() -> anyhow::Result<()> {
    for access in [Access::basic(USER, PASSWORD), Access::bearer(USER, PASSWORD)] {
        let bed = Private::start(access).await?;
        let team = format!("{}/team", bed.registry.address());
        bed.pull_secret("wrong", &team, "old", "canary").await?;
        bed.pull_secret("right", bed.registry.address(), USER, PASSWORD).await?;
        let lookup = bed.lookup(|_| {})?;
        assert_eq!(ask(&lookup, &bed.query(&["wrong", "right"])).await?, started("/app"));
        let denial = ask(&lookup, &bed.query(&["wrong"])).await.unwrap_err();
        assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
        assert!(!denial.to_string().contains("canary"), "{denial}");
    }
    Ok(())
}

#[tokio::test]
async fn pull_secrets_of_the_old_kind_are_read_and_broken_ones_named() -> anyhow::Result<()> {
    let bed = Private::start(Access::basic(USER, PASSWORD)).await?;
    // printf 'robot:s3:cret' | base64
    let cfg = json!({bed.registry.address(): {"auth": "cm9ib3Q6czM6Y3JldA==", "email": "e@example.com"}}).to_string();
    bed.apply(json!({
        "kind": "Secret", "metadata": {"name": "old"}, "type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": cfg},
    }))
    .await?;
    bed.apply(json!({"kind": "Secret", "metadata": {"name": "broken"}, "stringData": {".dockerconfigjson": "canary"}}))
        .await?;
    let lookup = bed.lookup(|_| {})?;
    assert_eq!(ask(&lookup, &bed.query(&["old"])).await?, started("/app"));
    let denial = ask(&lookup, &bed.query(&["broken"])).await.unwrap_err();
    assert!(
        denial.cause.contains("'broken'") && denial.cause.contains("no Docker configuration"),
        "{denial}"
    );
    assert!(!denial.to_string().contains("canary"), "{denial}");
    Ok(())
}

#[tokio::test]
async fn an_installation_may_read_no_pull_secrets_at_all() -> anyhow::Result<()> {
    let bed = Private::start(Access::basic(USER, PASSWORD)).await?;
    bed.pull_secret("pull", bed.registry.address(), USER, PASSWORD).await?;
    let lookup = bed.lookup(|settings| settings.pull_secrets = false)?;
    let denial = ask(&lookup, &bed.query(&["pull"])).await.unwrap_err();
    assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
    assert!(denial.cause.contains("IMAGE_LOOKUP_PULL_SECRETS=false"), "{denial}");
    Ok(())
}

#[tokio::test]
async fn credentials_never_travel_without_tls() -> anyhow::Result<()> {
    let cluster = ControlPlane::shared().await?;
    let options = Options {
        tls: Tls::Plain,
        ..Options::default()
    };
    let bed = Private {
        registry: Registry::start(options).await?,
        cluster,
        namespace: cluster.namespace("pull").await?,
    };
    bed.registry
        .push("team/app", "1", &starting("/app", "amd64"), Format::Oci)?;
    bed.registry.set_access(Access::basic(USER, PASSWORD));
    bed.pull_secret("pull", bed.registry.address(), USER, PASSWORD).await?;
    let lookup = bed.lookup(|settings| settings.insecure = bed.registry.address().parse().into_iter().collect())?;
    let denial = ask(&lookup, &bed.query(&["pull"])).await.unwrap_err();
    assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
    assert!(bed.registry.requests().iter().all(|request| request.scheme.is_none()));
    Ok(())
}

/// A registry of the emulator's cloud, and whoever variables make of this program.
struct Azure {
    registry: Registry,
    emulator: Emulator,
    directory: TempDir,
}

impl Azure {
    async fn start() -> anyhow::Result<Self> {
        let emulator = Emulator::start(emulator::Options::default()).await?;
        emulator.entra().add_resource("https://management.azure.com");
        let options = Options {
            tls: Tls::Of(&emulator),
            ..Options::default()
        };
        let registry = Registry::start(options).await?;
        registry.push("app", "1", &starting("/app", "amd64"), Format::Oci)?;
        registry.set_access(Access::azure());
        let directory = TempDir::new()?;
        emulator.write_ca_file(&directory.path().join("ca.pem"))?;
        let mut cloud = emulator.cloud();
        cloud["containerRegistryDNSSuffix"] = json!(format!("azurecr.localhost:{}", port(&registry)));
        std::fs::write(directory.path().join("cloud.json"), cloud.to_string())?;
        Ok(Self {
            registry,
            emulator,
            directory,
        })
    }

    fn lookup(&self, auth_type: AuthType, variables: &[(&str, &str)]) -> anyhow::Result<Registries> {
        let path = |name| self.directory.path().join(name).display().to_string();
        let (cloud, trust) = (path("cloud.json"), path("ca.pem"));
        let own = [
            ("AZURE_ENVIRONMENT_FILEPATH", cloud.as_str()),
            ("SSL_CERT_FILE", &trust),
        ];
        let environment: Environment = own.into_iter().chain(variables.iter().copied()).collect();
        let http = HttpClient::from_environment(&environment, Limits::default())?;
        let provider = Provider::new(environment.clone(), auth_type, path("azure.json").into(), http);
        let settings = Settings {
            pull_secrets: false,
            deadline: std::time::Duration::from_mins(1),
            local: self.places(),
            ..Settings::default()
        };
        Ok(Registries::new(&environment, settings, nowhere()?, Some(provider))?)
    }

    /// The registry under each of its names.
    fn places(&self) -> BTreeSet<HostPort> {
        let hosts = ["my.azurecr.localhost", "localhost", "127.0.0.1"];
        let places = hosts.map(|host| format!("{host}:{}", port(&self.registry)).parse());
        places.into_iter().flatten().collect()
    }

    fn image(&self, host: &str) -> ImageQuery {
        query(&format!("{host}:{}/app:1", port(&self.registry)))
    }
}

fn port(registry: &Registry) -> &str {
    registry.address().rsplit(':').next().unwrap_or_default()
}

#[tokio::test]
async fn azures_registries_are_read_as_managed_identity_or_application() -> anyhow::Result<()> {
    let bed = Azure::start().await?;
    bed.emulator.imds().assign_system_identity();
    let managed = bed.lookup(AuthType::ManagedIdentity, &[])?;
    assert_eq!(
        ask(&managed, &bed.image("my.azurecr.localhost")).await?,
        started("/app")
    );

    let app = bed.emulator.entra().register_app();
    let (secret, tenant) = (app.add_secret(), bed.emulator.entra().tenant_id().to_owned());
    let variables = [
        ("AZURE_CLIENT_ID", app.client_id()),
        ("AZURE_TENANT_ID", &tenant),
        ("AZURE_CLIENT_SECRET", &secret),
    ];
    let application = bed.lookup(AuthType::ClientSecret, &variables)?;
    assert_eq!(
        ask(&application, &bed.image("my.azurecr.localhost")).await?,
        started("/app")
    );
    Ok(())
}

#[tokio::test]
async fn a_registry_that_is_not_the_clouds_never_sees_a_token() -> anyhow::Result<()> {
    let bed = Azure::start().await?;
    bed.emulator.imds().assign_system_identity();
    let lookup = bed.lookup(AuthType::ManagedIdentity, &[])?;
    for host in ["localhost", "127.0.0.1"] {
        let denial = ask(&lookup, &bed.image(host)).await.unwrap_err();
        assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
    }
    let requests = bed.registry.requests();
    assert!(requests.iter().all(|request| request.scheme.is_none()), "{requests:#?}");
    assert!(requests.iter().all(|request| request.method != "POST"), "{requests:#?}");
    Ok(())
}

#[tokio::test]
async fn an_identity_that_is_not_admitted_is_told_which_role_it_needs() -> anyhow::Result<()> {
    let bed = Azure::start().await?;
    bed.emulator.imds().assign_system_identity();
    let audience = "https://other.example".to_owned();
    bed.registry.set_access(Access::Azure { audience });
    let lookup = bed.lookup(AuthType::ManagedIdentity, &[])?;
    let denial = ask(&lookup, &bed.image("my.azurecr.localhost")).await.unwrap_err();
    assert_eq!(denial.code, Code::ImagePullDenied, "{denial}");
    assert!(
        denial.cause.contains("AcrPull") && denial.cause.contains("401"),
        "{denial}"
    );
    Ok(())
}

#[tokio::test]
async fn an_authority_for_ones_own_registries_does_not_vouch_for_azures() -> anyhow::Result<()> {
    let bed = Azure::start().await?;
    bed.emulator.imds().assign_system_identity();
    let path = |name| bed.directory.path().join(name).display().to_string();
    let (cloud, trust) = (path("cloud.json"), path("ca.pem"));
    let own = [
        ("AZURE_ENVIRONMENT_FILEPATH", cloud.as_str()),
        ("SSL_CERT_FILE", &trust),
    ];
    let environment: Environment = own.into_iter().collect();
    let http = HttpClient::from_environment(&environment, Limits::default())?;
    let provider = Provider::new(environment, AuthType::ManagedIdentity, path("azure.json").into(), http);
    let settings = Settings {
        pull_secrets: false,
        deadline: std::time::Duration::from_mins(1),
        local: bed.places(),
        authorities: Some(std::fs::read(&trust)?),
        ..Settings::default()
    };
    let lookup = Registries::new(&Environment::default(), settings, nowhere()?, Some(provider))?;
    let denial = ask(&lookup, &bed.image("my.azurecr.localhost")).await.unwrap_err();
    assert!(denial.cause.contains("certificate"), "{denial}");
    let requests = bed.registry.requests();
    assert!(requests.iter().all(|request| request.method != "POST"), "{requests:#?}");
    Ok(())
}
