use proptest::prelude::*;

use super::*;
use crate::reference::{ObjectName, ObjectVersion, VaultName};

fn object(vault: &str, kind: ObjectKind, name: &str) -> ObjectRef {
    ObjectRef {
        vault: VaultName::parse(vault).unwrap(),
        kind,
        name: ObjectName::parse(name).unwrap(),
        version: None,
    }
}

fn secret(vault: &str, name: &str) -> ObjectRef {
    object(vault, ObjectKind::Secret, name)
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn allows(rules: &str, namespace: &str, object: &ObjectRef) -> bool {
    let none = BTreeMap::new();
    let namespace = Namespace {
        name: namespace,
        labels: Ok(&none),
    };
    Grants::parse(rules).unwrap().allows(&namespace, object).is_ok()
}

#[test]
fn what_a_namespace_may_have_of_a_vault_is_told_rule_by_rule() {
    let rules = "grants:
- {namespaces: [shop], vaults: [kv1, kv2], types: [secret], objects: ['db-*', tls]}
- {namespaces: ['*'], vaults: [kv1], types: [certificate, key]}
- {namespaceSelector: {matchLabels: {team: pay}}, vaults: ['*']}
";
    let grants = Grants::parse(rules).unwrap();
    let (none, pay) = (labels(&[]), labels(&[("team", "pay")]));
    let of = |labels, vault: &str| {
        let namespace = Namespace { name: "shop", labels };
        grants
            .of_vault(&namespace, &VaultName::parse(vault).unwrap())
            .join("; ")
    };
    let without_labels = "secrets named db-* or tls; certificates and keys";
    assert_eq!(of(Ok(&none), "KV1"), without_labels);
    assert_eq!(of(Err("not looked at"), "kv1"), without_labels);
    assert_eq!(of(Ok(&none), "kv2"), "secrets named db-* or tls");
    assert_eq!(of(Ok(&pay), "kv3"), "secrets and certificates and keys");
    assert_eq!(of(Ok(&none), "kv3"), "");
}

#[test]
fn without_rules_everything_is_allowed_and_with_one_only_what_it_says() {
    assert!(allows("grants: []", "a", &secret("kv1", "x")));
    let rules = "grants: [{namespaces: [a], vaults: [kv1]}]";
    assert!(allows(rules, "a", &secret("kv1", "x")));
    assert!(!allows(rules, "a", &secret("kv2", "x")));
    assert!(!allows(rules, "b", &secret("kv1", "x")));
    assert!(!allows(rules, "A", &secret("kv1", "x")), "no namespace is called so");
    assert!(allows(rules, "a", &secret("KV1", "X")), "Azure's names have no case");
}

#[test]
fn all_parts_of_one_rule_must_fit_and_rules_are_not_mixed() {
    let rules = "
grants:
  - namespaces: [pay, team-a-*]
    vaults: [KV1, shared-*]
    types: [secret]
    objects: [db-*, API-key]
  - namespaces: [web]
    vaults: ['*']
    types: [key, certificate]
";
    for (namespace, object, allowed) in [
        ("pay", secret("kv1", "db-password"), true),
        ("pay", secret("kv1", "DB-Password"), true),
        ("pay", secret("kv1", "api-key"), true),
        ("team-a-1", secret("shared-eu", "db-x"), true),
        ("pay", secret("kv1", "other"), false),
        ("pay", object("kv1", ObjectKind::Key, "db-x"), false),
        ("pay", object("kv1", ObjectKind::Certificate, "db-x"), false),
        ("pay", object("kv1", ObjectKind::CertificateWithKey, "db-x"), false),
        ("web", secret("kv1", "db-x"), false),
        ("web", object("any-vault", ObjectKind::Key, "any"), true),
        ("web", object("any-vault", ObjectKind::CertificateWithKey, "any"), true),
        ("team-b-1", secret("shared-eu", "db-x"), false),
        ("team-a", secret("shared-eu", "db-x"), false),
    ] {
        assert_eq!(allows(rules, namespace, &object), allowed, "{namespace} {object}");
    }
}

#[test]
fn names_and_labels_must_both_fit_where_a_rule_has_both() {
    let rules = Grants::parse(
        "grants: [{namespaces: [team-*], namespaceSelector: {matchLabels: {stage: prod}}, vaults: [kv1]}]",
    )
    .unwrap();
    assert!(rules.needs_labels());
    let (prod, test) = (labels(&[("stage", "prod")]), labels(&[("stage", "test")]));
    let object = secret("kv1", "x");
    let allows = |name, labels| rules.allows(&Namespace { name, labels }, &object).is_ok();
    assert!(allows("team-a", Ok(&prod)));
    assert!(!allows("team-a", Ok(&test)));
    assert!(!allows("other", Ok(&prod)));
    assert!(
        !allows("team-a", Err("nobody told")),
        "what is not known allows nothing"
    );
}

#[test]
fn the_explanation_names_the_first_part_that_did_not_fit_and_the_rule_that_would() {
    let rules = Grants::parse(
        "grants: [{namespaces: [a], vaults: [kv1], types: [secret], objects: [db]},
                  {namespaceSelector: {matchLabels: {x: y}}, vaults: [kv3]}]",
    )
    .unwrap();
    let none = BTreeMap::new();
    for (name, labels, object, cause) in [
        (
            "b",
            Ok(&none),
            secret("kv1", "db"),
            "No rule in /g.yaml is for namespace 'b'.",
        ),
        ("a", Ok(&none), secret("kv2", "db"), "do not name vault 'kv2'"),
        (
            "a",
            Ok(&none),
            object("kv1", ObjectKind::Key, "db"),
            "do not name type 'key'",
        ),
        ("a", Ok(&none), secret("kv1", "other"), "do not name 'other'"),
        (
            "b",
            Err("not read"),
            secret("kv3", "db"),
            "labels of namespace 'b' are not known: not read.",
        ),
        (
            "b",
            Err("not read"),
            secret("kv1", "db"),
            "No rule in /g.yaml is for namespace 'b'.",
        ),
    ] {
        let denied = rules.allows(&Namespace { name, labels }, &object).unwrap_err();
        let told = denied.explain("/g.yaml");
        assert_eq!(told.code, crate::diagnosis::Code::VaultNotGranted);
        assert!(told.what.contains(&format!("Namespace '{name}' may not use")), "{told}");
        assert!(told.cause.contains(cause), "{told}");
    }
    let denied = rules
        .allows(
            &Namespace {
                name: "b",
                labels: Ok(&none),
            },
            &secret("kv9", "Db"),
        )
        .unwrap_err();
    let fix = denied.explain("/g.yaml").fix;
    let rule = &fix[fix.find('{').unwrap()..];
    assert!(allows(&format!("grants: [{rule}]"), "b", &secret("kv9", "db")), "{fix}");
    assert!(
        !allows(&format!("grants: [{rule}]"), "b", &secret("kv9", "dbx")),
        "just this"
    );
}

#[test]
fn what_is_not_understood_is_told_with_line_and_key() {
    let rule = "grants:\n  - namespaces: [a]\n    vaults: [kv1]\n";
    for (text, told) in [
        (format!("{rule}    object: [x]\n"), &["line 4", "object", "objects"][..]),
        ("grant: []\n".to_owned(), &["line 1", "grant", "grants"]),
        ("# nothing\n".to_owned(), &["grants"]),
        (String::new(), &["grants"]),
        ("grants:\n".to_owned(), &["a list"]),
        ("grants: {}\n".to_owned(), &["a list"]),
        ("grants:\n  - namespaces: [a]\n".to_owned(), &["line 2", "vaults"]),
        (
            "grants:\n  - vaults: [kv1]\n".to_owned(),
            &["grants[0]", "namespaceSelector"],
        ),
        (
            format!("{rule}    types: [secrets]\n"),
            &["line 4", "secrets", "certificate"],
        ),
        (format!("{rule}    types: []\n"), &["line 4", "empty"]),
        (format!("{rule}    objects:\n"), &["a list"]),
        (
            format!("{rule}    objects:\n      - db\n      - a.b\n"),
            &["line 6", "a.b"],
        ),
        (format!("{rule}    namespaceSelector:\n"), &["selects every namespace"]),
        (
            format!("{rule}    namespaceSelector:\n      matchLabel: {{a: b}}\n"),
            &["line 5", "matchLabel"],
        ),
        (format!("{rule}    vaults: [kv2]\n"), &["line 2", "duplicate", "vaults"]),
        (
            "grants:\n  - namespaces: [a]\n    vaults: [kv1.vault.azure.net]\n".to_owned(),
            &["line 3", "DNS suffix"],
        ),
        ("grants: [\n".to_owned(), &["line 2"]),
        (format!("{rule}---\ngrants: []\n"), &["more than one document"]),
    ] {
        let error = Grants::parse(&text).unwrap_err().to_string();
        for part in told {
            assert!(error.contains(part), "{text:?} gives {error:?}, without {part:?}");
        }
    }
}

/// Spellings near `text`: other cases, look-alikes, things that mean something in addresses, paths and patterns.
fn spellings(text: &'static str) -> impl Strategy<Value = String> {
    let insert = prop::sample::select(vec![
        "",
        ".",
        "..",
        "/",
        "\\",
        "%2f",
        "@",
        "#",
        "?",
        "*",
        "[a-z]",
        "-",
        "--",
        "_",
        " ",
        "\u{200b}",
        "\u{301}",
        "а",
        "к",
        "ｋ",
        "K",
        "ſ",
        "ı",
        ".vault.azure.net",
        ".evil.com",
        "https://",
        ":443",
        "\0",
        "\n",
        "a",
        "1",
    ]);
    (
        prop::collection::vec(any::<bool>(), text.len()),
        0..=text.len(),
        insert,
        0..=text.len(),
    )
        .prop_map(move |(upper, at, insert, keep)| {
            let cased = text
                .char_indices()
                .map(|(i, c)| if upper[i] { c.to_ascii_uppercase() } else { c });
            let mut spelt: String = cased.collect();
            spelt.insert_str(at, insert);
            // Half of them whole, half cut.
            if keep % 2 == 0 {
                spelt
            } else {
                spelt.chars().skip(keep / 2).collect()
            }
        })
}

fn kinds() -> impl Strategy<Value = ObjectKind> {
    prop::sample::select(vec![
        ObjectKind::Secret,
        ObjectKind::Certificate,
        ObjectKind::CertificateWithKey,
        ObjectKind::Key,
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_spelling_gets_more_than_what_is_granted(
        vault in spellings("kv-one"),
        name in spellings("db-password"),
        namespace in spellings("team-a"),
        version in prop::option::of("[0-9a-fA-F]{32}"),
        kind in kinds(),
    ) {
        let rules = "grants: [{namespaces: [team-a], vaults: [kv-one], types: [secret], objects: [db-password]}]";
        let (Ok(parsed_vault), Ok(parsed_name)) = (VaultName::parse(&vault), ObjectName::parse(&name)) else {
            return Ok(());
        };
        let object = ObjectRef {
            vault: parsed_vault,
            kind,
            name: parsed_name,
            version: version.and_then(|it| ObjectVersion::parse(&it).ok()),
        };
        let granted = namespace == "team-a"
            && kind == ObjectKind::Secret
            && vault.eq_ignore_ascii_case("kv-one")
            && name.eq_ignore_ascii_case("db-password");
        prop_assert_eq!(allows(rules, &namespace, &object), granted, "{} {} {:?}", namespace, object, kind);
    }

    #[test]
    fn case_and_version_never_change_the_answer(
        pattern in "[a-bA-B*?-]{1,6}",
        name in "[a-b-]{1,6}",
        version in "[0-9a-f]{32}",
    ) {
        let Ok(rules) = Grants::parse(&format!("grants: [{{namespaces: ['*'], vaults: [kv1], objects: ['{pattern}']}}]")) else {
            return Ok(());
        };
        let none = BTreeMap::new();
        let namespace = Namespace { name: "a", labels: Ok(&none) };
        let mut asked = secret("kv1", &name);
        let answer = rules.allows(&namespace, &asked).is_ok();
        asked.version = ObjectVersion::parse(&version).ok();
        prop_assert_eq!(rules.allows(&namespace, &asked).is_ok(), answer);
        prop_assert_eq!(rules.allows(&namespace, &secret("KV1", &name.to_uppercase())).is_ok(), answer);
    }

    #[test]
    fn another_rule_only_ever_adds(first in 0..4_usize, second in 0..4_usize, asked in 0..16_usize) {
        let rule = |number: usize| format!("{{namespaces: [n{}], vaults: [kv{}]}}", number / 2, number % 2);
        let object = secret(&format!("kv{}", asked % 2), "x");
        let namespace = format!("n{}", asked / 2 % 4);
        let one = allows(&format!("grants: [{}]", rule(first)), &namespace, &object);
        let both = allows(&format!("grants: [{}, {}]", rule(first), rule(second)), &namespace, &object);
        let other = allows(&format!("grants: [{}]", rule(second)), &namespace, &object);
        prop_assert_eq!(both, one || other);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~\n]{0,200}") {
        // Only that it returns counts: hardly any of these is a rule file.
        let _ = Grants::parse(&text);
        let _ = Grants::parse(&format!("grants:\n  - {text}"));
    }
}
