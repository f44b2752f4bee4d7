use std::collections::BTreeSet;

use super::*;
use crate::diagnosis::Diagnosis;

fn cases() -> impl Iterator<Item = (Code, &'static Case)> {
    Code::ALL
        .iter()
        .flat_map(|code| code.row().cases.iter().map(|case| (*code, case)))
}

#[test]
fn every_row_says_what_is_seen_why_and_what_to_do() {
    for code in Code::ALL {
        let row = code.row();
        for text in [row.seen, row.cause, row.fix] {
            assert!(text.len() > 12, "{code}: {text:?}");
            assert_eq!(text.matches('`').count() % 2, 0, "{code}: {text:?}");
        }
        assert!(row.seen.ends_with(['.', '?']), "{code}");
        assert!(row.cause.ends_with('.'), "{code}: a cause is whole sentences");
    }
}

#[test]
fn every_case_says_why_and_what_to_do() {
    for (code, case) in cases() {
        let is_name = case.cause.ends_with('}');
        assert!(
            case.cause.ends_with('.') || is_name,
            "{code} {}: a cause is whole sentences",
            case.name
        );
        for text in [case.cause, case.fix] {
            assert!(!text.is_empty(), "{code} {}", case.name);
            assert_eq!(text.matches('`').count() % 2, 0, "{code} {}: {text:?}", case.name);
        }
    }
}

/// The type of a case has a field for each name, so whoever tells it has to give all of them.
#[test]
fn a_case_takes_exactly_the_names_that_stand_in_its_texts() {
    for (code, case) in cases() {
        let texts = [case.cause, case.fix];
        let said: BTreeSet<_> = texts.iter().flat_map(|text| template::names(text)).collect();
        let taken: BTreeSet<_> = case.names.iter().copied().collect();
        assert_eq!(said, taken, "{code} {}", case.name);
    }
}

#[test]
fn a_name_stands_for_one_case() {
    let mut seen = BTreeSet::new();
    for (code, case) in cases() {
        assert!(seen.insert(case.name), "{code}: {} is taken", case.name);
    }
    assert!(
        seen.iter()
            .all(|name| Code::ALL.iter().all(|code| code.as_str() != *name))
    );
}

#[test]
fn what_users_and_services_say_is_never_taken_for_a_text_of_the_catalogue() {
    let hostile = "{address} `{vault}` {}";
    let told = case::AddressNotAdmitted {
        address: &hostile,
        vault: &"kv1",
    };
    let diagnosis = Diagnosis::case(told, "No.");
    assert_eq!(
        diagnosis.cause,
        format!("Requests arrive from address {hostile}, which no rule of the vault admits.")
    );
    assert_eq!(
        diagnosis.fix,
        format!("az keyvault network-rule add --name kv1 --ip-address {hostile}")
    );
    let again = Diagnosis::of(Code::VaultNotFound, "No.", &[("vault", "{vault} `x`")]);
    assert_eq!(again.fix, "Check the name: az keyvault show --name {vault} `x`");
}

#[test]
#[should_panic(expected = "no row has all of these names")]
fn a_misspelt_name_is_found_out() {
    Code::VaultNotFound.explain(&[("vualt", "kv1")]);
}

#[test]
fn what_a_program_printed_is_read_back() {
    let original = Diagnosis::of(Code::VaultNotFound, "No vault: none.", &[("vault", "kv1")]);
    let message = original.message();
    assert_eq!(Diagnosis::told("VaultNotFound", &message), Some(original));
    assert_eq!(Diagnosis::told("InventedLater", &message), None);
}

#[test]
fn the_link_leads_to_the_codes_own_heading() {
    let link = Code::ForbiddenByRbac.link();
    assert!(
        link.starts_with("https://") && link.ends_with("/docs/troubleshooting.md#forbiddenbyrbac"),
        "{link}"
    );
}
