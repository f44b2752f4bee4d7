//! What is news, and what is found.

use akv2k8s_shared::readers::Reader;
use serde_json::json;

use super::*;

fn akvs(uid: &str, version: u32, generation: u32, synced: u32) -> AzureKeyVaultSecret {
    serde_json::from_value(json!({
        "apiVersion": "spv.no/v2beta1",
        "kind": "AzureKeyVaultSecret",
        "metadata": {"name": "a", "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
                     "generation": generation},
        "spec": {"vault": {"name": "kv1", "object": {"name": "s", "type": "secret"}},
                 "output": {"secret": {"name": "out", "dataKey": "k"}}},
        "status": {"observedGeneration": synced},
    }))
    .unwrap()
}

fn seen(object: AzureKeyVaultSecret) -> Seen {
    Seen::Valid(Box::new(object))
}

fn known(objects: &Objects, version: u32) -> Key {
    let (key, news) = objects.observe(seen(akvs("u1", version, 1, 0)));
    assert_eq!(news, News::Added);
    key
}

#[test]
fn objects_of_one_vault_are_kept_apart_by_who_reads_them() {
    let objects = Objects::default();
    let of = |name: &str, namespace: &str, account: Option<&str>| {
        let mut object = akvs(name, 1, 1, 0);
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = Some(namespace.to_owned());
        object.spec.vault.service_account_name = account.map(str::to_owned);
        objects.observe(seen(object)).0
    };
    let (a, b) = (of("a", "shop", None), of("b", "bank", None));
    let c = of("c", "shop", Some("reader"));
    of("d", "bank", Some("reader"));
    assert_eq!(objects.vaults(), ["kv1"]);
    assert_eq!(objects.sights().len(), 3);
    let sight = |account| Sight {
        vault: "kv1".to_owned(),
        reader: Reader::new("shop", account),
    };
    let (controller, reader) = (sight(None), sight(Some("reader")));
    let keys = |sight| {
        objects
            .in_sight(sight)
            .into_iter()
            .map(|(key, _)| key)
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(keys(&controller), BTreeSet::from([a, b]));
    assert_eq!(keys(&reader), BTreeSet::from([c]));
    // The reader is edited: nothing is left behind under the old one.
    let mut edited = akvs("c", 9, 2, 0);
    edited.metadata.name = Some("c".to_owned());
    edited.metadata.namespace = Some("shop".to_owned());
    objects.observe(seen(edited));
    assert!(!objects.sights().contains(&reader));
    assert_eq!(keys(&controller).len(), 3);
}

#[test]
fn an_edit_that_only_the_answer_to_our_status_write_shows_is_news() {
    let objects = Objects::default();
    known(&objects, 5);
    assert_eq!(objects.wrote(akvs("u1", 7, 2, 1)), News::Changed);
    // The watch is late: it shows the edit (6) and our own write (7), and neither is new any more.
    assert_eq!(objects.observe(seen(akvs("u1", 6, 2, 0))).1, News::Nothing);
    assert_eq!(objects.observe(seen(akvs("u1", 7, 2, 1))).1, News::Nothing);
}

#[test]
fn our_own_status_write_alone_is_no_news() {
    let objects = Objects::default();
    known(&objects, 5);
    assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
    assert_eq!(objects.observe(seen(akvs("u1", 6, 1, 1))).1, News::Nothing);
}

#[test]
fn our_own_status_write_is_no_news_when_the_watch_is_quicker_than_its_answer() {
    let objects = Objects::default();
    let key = known(&objects, 5);
    let status = akvs("u1", 6, 1, 1).status.unwrap();
    objects.writing(&key, &status);
    assert_eq!(objects.observe(seen(akvs("u1", 6, 1, 1))).1, News::Nothing);
    assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
    // The same status again, by somebody else, after another one: nobody is writing it now.
    assert_eq!(objects.observe(seen(akvs("u1", 7, 1, 0))).1, News::Changed);
    assert_eq!(objects.observe(seen(akvs("u1", 8, 1, 1))).1, News::Changed);
}

#[test]
fn what_others_change_is_news_while_a_status_is_being_written() {
    let objects = Objects::default();
    let key = known(&objects, 5);
    objects.writing(&key, &akvs("u1", 6, 1, 1).status.unwrap());
    assert_eq!(
        objects.observe(seen(akvs("u1", 6, 1, 9))).1,
        News::Changed,
        "another status"
    );
    assert_eq!(
        objects.observe(seen(akvs("u1", 7, 2, 1))).1,
        News::Changed,
        "an edit besides"
    );
}

#[test]
fn a_late_answer_never_brings_back_what_is_gone() {
    let objects = Objects::default();
    let key = known(&objects, 5);
    assert!(objects.remove(&key, Some("u1")));
    assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
    assert!(objects.get(&key).is_none() && objects.vaults().is_empty());
    // Created again meanwhile: the successor stays.
    objects.observe(seen(akvs("u2", 8, 1, 0)));
    assert_eq!(objects.wrote(akvs("u1", 6, 1, 1)), News::Nothing);
    assert_eq!(objects.get(&key).unwrap().meta().uid.as_deref(), Some("u2"));
    assert_eq!(objects.take_gone(&key).len(), 1);
}

#[test]
fn a_malformed_object_that_goes_leaves_word_of_what_it_had_written() {
    let objects = Objects::default();
    let object = json!({
        "metadata": {"name": "a", "namespace": "n", "uid": "u1", "resourceVersion": "5"},
        "spec": {"vault": 7},
        "status": {"outputs": [{"kind": "Secret", "name": "db"}]},
    });
    let (key, news) = objects.observe(serde_json::from_value(object).unwrap());
    assert_eq!(news, News::Added);
    assert!(objects.remove(&key, Some("u1")));
    let gone = objects.take_gone(&key);
    assert_eq!(gone[0].outputs.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["db"]);
}
