use akv2k8s_shared::watching::KEPT;
use futures::FutureExt;

use super::testing::api_server;
use super::*;

#[tokio::test(start_paused = true)]
async fn each_namespace_has_watches_of_its_own_and_nothing_is_asked_about_others() {
    let asked = Arc::default();
    let client = api_server(Arc::clone(&asked));
    let served = ["shop", "bank"].map(str::to_owned).into();
    let (cluster, followed) = Cluster::watch(&client, Some(&served));
    assert_eq!(cluster.knowledge("shop"), Knowledge::Outdated);
    tokio::select! {
        () = followed => unreachable!("it never ends"),
        () = cluster.synced() => {}
    }
    let knowledge = ["shop", "bank", "web"].map(|namespace| cluster.knowledge(namespace));
    assert_eq!(
        knowledge,
        [Knowledge::Current, Knowledge::Outdated, Knowledge::NotServed]
    );
    assert!(cluster.is_current_somewhere());
    assert_eq!(cluster.specs("shop").len(), 1);
    assert!(cluster.labels("shop").is_some() && cluster.labels("bank").is_none() && cluster.specs("web").is_empty());
    assert_eq!(cluster.vaults(), ["kv1".to_owned()].into());
    let asked = asked.lock().unwrap();
    let is_narrow = |it: &String| ["shop", "bank"].iter().any(|namespace| it.contains(namespace));
    assert!(!asked.is_empty() && asked.iter().all(is_narrow), "{asked:?}");
}

/// Namespaces `shop` and `bank`, of which nothing is known.
fn shop_and_bank() -> Cluster {
    let served = ["shop", "bank"].map(str::to_owned).into();
    Cluster::watch(&api_server(Arc::default()), Some(&served)).0
}

/// How one of the two watches of a namespace stands from now on.
fn becomes(cluster: &Cluster, namespace: &str, watch: usize, sight: Sight) {
    cluster.views.of(namespace).unwrap().sights[watch].send_replace(sight);
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_holds_up_no_other_and_is_not_taken_for_an_empty_one() {
    let cluster = shop_and_bank();
    let synced = || cluster.synced().now_or_never().is_some();
    for (namespace, watch) in [("shop", 0), ("shop", 1), ("bank", 1)] {
        assert!(!synced(), "a list is on its way");
        becomes(&cluster, namespace, watch, Sight::Current);
    }
    assert!(!synced(), "it may come yet");
    becomes(&cluster, "bank", 0, Sight::Refused);
    assert!(synced());
    assert_eq!(cluster.knowledge("bank"), Knowledge::Outdated);
    becomes(&cluster, "bank", 0, Sight::Current);
    assert_eq!(cluster.knowledge("bank"), Knowledge::Current);
}

#[tokio::test]
async fn where_nothing_may_be_read_nothing_is_ready() {
    let cluster = shop_and_bank();
    for namespace in ["shop", "bank"] {
        becomes(&cluster, namespace, 0, Sight::Refused);
        becomes(&cluster, namespace, 1, Sight::Current);
    }
    assert!(cluster.synced().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn each_view_is_given_up_by_itself() {
    let cluster = shop_and_bank();
    for (namespace, watch) in [("shop", 0), ("shop", 1), ("bank", 0), ("bank", 1)] {
        becomes(&cluster, namespace, watch, Sight::Current);
    }
    becomes(&cluster, "bank", 0, Sight::Broken(Instant::now()));
    assert_eq!(cluster.knowledge("bank"), Knowledge::Current);
    tokio::time::advance(KEPT).await;
    let knowledge = ["shop", "bank"].map(|namespace| cluster.knowledge(namespace));
    assert_eq!(knowledge, [Knowledge::Current, Knowledge::Outdated]);
}
