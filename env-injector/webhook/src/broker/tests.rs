use std::path::PathBuf;

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Provider};
use akv2k8s_shared::keyvault::{Collection, Priority, Settings};
use akv2k8s_shared::reference::VaultName;
use prometheus_client::registry::Registry;

use super::*;
use crate::cluster::testing::api_server;

/// A broker of these namespaces, all of whose requests to Azure fail at once.
fn broker(client: &kube::Client, cluster: Cluster) -> Broker {
    let environment = Environment::from_iter([
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("AZURE_TENANT_ID", "7d0f2a1c-0000-4000-8000-000000000001"),
        ("AZURE_CLIENT_ID", "7d0f2a1c-0000-4000-8000-000000000002"),
        ("AZURE_CLIENT_SECRET", "secret"),
    ]);
    let http = HttpClient::from_environment(&environment, Limits::default()).unwrap();
    let identity = Provider::new(environment, AuthType::Environment, PathBuf::new(), http.clone());
    let options = Options {
        max_age: Duration::from_mins(1),
        max_stale: Duration::ZERO,
    };
    Broker::new(
        client.clone(),
        cluster,
        KeyVault::new(http, Settings::default()),
        Readers::new(identity, None),
        Arc::new(RuleFile::new(None)),
        Metrics::new(&mut Registry::default()),
        &options,
    )
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_may_not_be_read_keeps_no_vault_from_being_forgotten() {
    let client = api_server(Arc::default());
    let served = ["shop", "bank"].map(str::to_owned).into();
    let (cluster, followed) = Cluster::watch(&client, Some(&served));
    tokio::select! {
        () = followed => unreachable!("it never ends"),
        () = cluster.synced() => {}
    }
    assert_eq!(cluster.knowledge("bank"), Knowledge::Outdated);
    let broker = broker(&client, cluster);
    let identity = broker.readers.identity(&Reader::Program).await.unwrap();
    for name in ["kv1", "old"] {
        let name = VaultName::parse(name).unwrap();
        let vault = broker.vault();
        let list = vault.list(&identity, &name, Collection::Secrets, Priority::New).await;
        assert!(list.is_err(), "nobody is there");
    }
    let known = || broker.vault().stats().vaults;
    assert_eq!(known().len(), 2);
    let _ = tokio::time::timeout(2 * IDLE, broker.follow()).await;
    let known: Vec<_> = known().into_iter().map(|vault| vault.vault).collect();
    assert!(known.len() == 1 && known[0].starts_with("kv1"), "{known:?}");
}
