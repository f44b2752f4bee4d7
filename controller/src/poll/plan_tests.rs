use akv2k8s_shared::keyvault::Listed as Item;
use akv2k8s_shared::reference::{ObjectName, VaultName};

use super::*;

fn member(name: &str, kind: ObjectKind, last: Option<&str>, ready: bool) -> Member {
    Member {
        key: Key::new("n", name),
        object: ObjectRef {
            vault: VaultName::parse("kv1").unwrap(),
            kind,
            name: ObjectName::parse(name).unwrap(),
            version: None,
        },
        last: last.map(|mark| Fingerprint(mark.to_owned())),
        reader: None,
        ready,
    }
}

fn listing(items: &[(&str, &str)]) -> Listing {
    let item = |mark: &str| Item {
        fingerprint: Fingerprint(mark.to_owned()),
        settled: true,
        enabled: true,
    };
    let items = items
        .iter()
        .map(|(name, mark)| (ObjectName::parse(name).unwrap(), item(mark)))
        .collect();
    Listing { items, pages: 1 }
}

fn secrets(items: &[(&str, &str)]) -> Listed {
    Listed(BTreeMap::from([(Collection::Secrets, Some(listing(items)))]))
}

#[test]
fn only_what_changed_is_read() {
    let listed = secrets(&[("same", "1"), ("changed", "2")]);
    let mut memory = Memory::default();
    let mut turn = |name, last| turn(&member(name, ObjectKind::Secret, last, true), &listed, &mut memory);
    assert_eq!(turn("same", Some("1")), Turn::Nothing);
    assert_eq!(turn("changed", Some("1")), Turn::Changed);
    assert_eq!(turn("same", None), Turn::Changed);
    assert_eq!(turn("deleted", Some("1")), Turn::Changed);
}

#[test]
fn a_failed_object_is_read_again_when_its_list_entry_changes() {
    let mut memory = Memory::default();
    let failed = member("a", ObjectKind::Secret, None, false);
    assert_eq!(turn(&failed, &secrets(&[]), &mut memory), Turn::FailureMayBeOver);
    assert_eq!(turn(&failed, &secrets(&[]), &mut memory), Turn::Nothing);
    assert_eq!(
        turn(&failed, &secrets(&[("a", "1")]), &mut memory),
        Turn::FailureMayBeOver
    );
    assert_eq!(turn(&failed, &secrets(&[("a", "1")]), &mut memory), Turn::Nothing);
    memory.forget_others(&[member("a", ObjectKind::Secret, Some("1"), true)]);
    assert!(memory.failed.is_empty());
}

#[test]
fn pinned_versions_wait_for_the_daily_look() {
    let mut pinned = member("a", ObjectKind::Secret, None, true);
    pinned.object.version = akv2k8s_shared::reference::ObjectVersion::parse(&"a".repeat(32)).ok();
    assert_eq!(turn(&pinned, &secrets(&[]), &mut Memory::default()), Turn::Nothing);
    assert!(collections(&[pinned]).is_empty());
}

#[test]
fn a_certificate_with_its_key_needs_both_lists() {
    let certificate = member("c", ObjectKind::CertificateWithKey, Some("1-2"), true);
    let mut listed = secrets(&[("c", "2")]);
    assert_eq!(
        turn(&certificate, &listed, &mut Memory::default()),
        Turn::Nothing,
        "the other list failed"
    );
    listed.0.insert(Collection::Certificates, None);
    assert_eq!(turn(&certificate, &listed, &mut Memory::default()), Turn::Get);
    listed.0.insert(Collection::Certificates, Some(listing(&[("c", "1")])));
    assert_eq!(turn(&certificate, &listed, &mut Memory::default()), Turn::Nothing);
    listed.0.insert(Collection::Certificates, Some(listing(&[("c", "9")])));
    assert_eq!(turn(&certificate, &listed, &mut Memory::default()), Turn::Changed);
}

#[test]
fn a_forbidden_list_is_replaced_by_reads_at_once_and_a_flaky_one_after_three_failures() {
    let now = Instant::now();
    let members = [member("a", ObjectKind::Secret, Some("1"), true)];
    let mut memory = Memory::default();
    assert!(memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, now));
    assert!(memory.failed(Collection::Secrets, true, true, now));
    assert!(!memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, now));
    let later = now + changes::LIST_AGAIN_AFTER;
    assert!(memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, later));
    memory.listed(Collection::Secrets, 1, now);
    for last in [false, false, true] {
        assert_eq!(memory.failed(Collection::Secrets, false, false, now), last);
    }
}

#[test]
fn a_vault_with_too_many_pages_is_counted_again_every_hour() {
    let now = Instant::now();
    let members = [member("a", ObjectKind::Secret, Some("1"), true)];
    let mut memory = Memory::default();
    memory.listed(Collection::Secrets, 40, now);
    let lists = |memory: &Memory, at| memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, at);
    let later = now + changes::LIST_AGAIN_AFTER;
    assert!(!lists(&memory, now), "one object is cheaper to read");
    assert!(!lists(&memory, later.checked_sub(Duration::from_secs(1)).unwrap()));
    assert!(lists(&memory, later), "it may have shrunk");
    memory.listed(Collection::Secrets, 1, later);
    assert!(lists(&memory, later));
}

#[test]
fn a_forbidden_list_is_tried_again_as_long_as_nothing_can_be_read() {
    let now = Instant::now();
    let mut memory = Memory::default();
    memory.failed(Collection::Secrets, true, true, now);
    let lists = |members: &[Member]| memory.lists(ChangeDetection::Auto, Collection::Secrets, members, now);
    let failing = || member("a", ObjectKind::Secret, None, false);
    let certificate = member("c", ObjectKind::Certificate, Some("1"), true);
    assert!(lists(&[failing(), certificate]), "what is read elsewhere says nothing");
    assert!(!lists(&[failing(), member("b", ObjectKind::Secret, Some("1"), true)]));
}

#[test]
fn a_vault_is_looked_at_once_at_a_time() {
    let mut memory = Memory::default();
    assert!(memory.begin().is_some());
    assert!(memory.is_looking());
    assert!(memory.begin().is_none());
}

fn identity(client: &str, subject: &str) -> IdentityInfo {
    IdentityInfo {
        method: akv2k8s_shared::identity::Method::WorkloadIdentity,
        client_id: Some(client.to_owned()),
        tenant_id: Some("t".to_owned()),
        subject: Some(subject.to_owned()),
    }
}

#[test]
fn what_another_identity_read_is_read_again_by_the_new_one() {
    let mut read = member("a", ObjectKind::Secret, Some("1"), true);
    read.reader = Some(status_identity(&identity("c-1", "s")));
    assert!(!read.was_read_by_another(&identity("c-1", "s")));
    assert!(read.was_read_by_another(&identity("c-2", "s")));
    read.ready = false;
    assert!(
        !read.was_read_by_another(&identity("c-2", "s")),
        "it is tried again anyway"
    );
}

#[test]
fn what_one_identity_was_refused_says_nothing_of_the_next() {
    let now = Instant::now();
    let members = [member("a", ObjectKind::Secret, Some("1"), true)];
    let mut memory = Memory::default();
    assert!(!memory.is_of_another(&identity("c-1", "s")), "the first is nobody else");
    memory.failed(Collection::Secrets, true, true, now);
    assert!(!memory.is_of_another(&identity("c-1", "s")));
    assert!(!memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, now));
    assert!(memory.is_of_another(&identity("c-2", "s")));
    assert!(memory.lists(ChangeDetection::Auto, Collection::Secrets, &members, now));
}

#[test]
fn a_reader_that_is_refused_is_told_once_for_each_reason_and_tried_again_when_it_is_admitted() {
    let mut memory = Memory::default();
    assert!(!memory.is_admitted_again(), "it never was refused");
    assert!(memory.is_refused_anew(Code::ServiceAccountNotFound));
    assert!(!memory.is_refused_anew(Code::ServiceAccountNotFound));
    assert!(memory.is_refused_anew(Code::ServiceAccountNotAnnotated));
    assert!(memory.is_admitted_again());
    assert!(!memory.is_admitted_again());
}
