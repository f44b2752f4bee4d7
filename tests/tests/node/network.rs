//! Services, names, and the way to us.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::bed::{create, on_node, pod, said};

#[test]
fn a_service_is_reached_by_its_name_through_kube_proxy() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("service").await?;
        let name = namespace.name();
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080}]},
        });
        create(node, name, &service).await?;
        let mut server = pod("server", &["serve", "8080"]);
        server["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8080}, "periodSeconds": 1});
        create(node, name, &server).await?;
        let wait = [
            "--namespace",
            name,
            "wait",
            "--for=condition=Ready",
            "pod/server",
            "--timeout=180s",
        ];
        node.cluster.kubectl(&wait).await?.success()?;
        node.service_ready(name, "web").await?;
        let by_full_name = format!("web.{name}.svc.cluster.local:80");
        assert_eq!(said(node, name, "full", &["get", &by_full_name]).await?, "server\n");
        assert_eq!(
            said(node, name, "short", &["get", "web:80"]).await?,
            "server\n",
            "by the search list"
        );
        Ok(())
    })
}

#[test]
fn the_zone_answers_for_names_of_the_tests_and_for_no_others() -> anyhow::Result<()> {
    on_node(async |node| {
        let namespace = node.cluster.namespace("zone").await?;
        let name = namespace.name();
        node.set_name("one.example.test", Ipv4Addr::new(192, 0, 2, 1));
        node.set_name("*.stars.example.test", Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(
            said(node, name, "one", &["resolve", "one.example.test"]).await?,
            "192.0.2.1\n"
        );
        assert_eq!(
            said(node, name, "star", &["resolve", "any.stars.example.test"]).await?,
            "192.0.2.2\n"
        );
        create(node, name, &pod("none", &["resolve", "none.example.test"])).await?;
        assert_eq!(node.ended(name, "none").await?, "Failed");
        let log = node.log_now(name, "none").await?;
        assert!(log.contains("cannot resolve none.example.test"), "{log}");
        Ok(())
    })
}

#[test]
fn pods_reach_the_emulator_at_the_addresses_of_the_cloud() -> anyhow::Result<()> {
    on_node(async |node| {
        let emulator = node.emulator().await?;
        let namespace = node.cluster.namespace("cloud").await?;
        let name = namespace.name();
        let gateway = format!("{}\n", node.gateway());
        assert_eq!(
            said(node, name, "vault", &["resolve", "kv1.vault.azure.net"]).await?,
            gateway
        );
        assert_eq!(
            said(node, name, "login", &["resolve", "login.microsoftonline.com"]).await?,
            gateway
        );
        let metadata = said(node, name, "metadata", &["get", "169.254.169.254:80"]).await?;
        assert!(metadata.contains("IMDS offers nothing at this path"), "{metadata}");
        assert_eq!(emulator.vault("kv1").url(), "https://kv1.vault.azure.net");
        assert_eq!(emulator.authority_host(), "https://login.microsoftonline.com/");
        Ok(())
    })
}
