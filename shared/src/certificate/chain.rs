//! The private key's own certificate first, then its chain.
//!
//! A certificate's issuer is the one whose key verifies its signature; key identifiers (RFC 5280 §4.2.1.1 and .2) only
//! stand in where the signature's algorithm is not known here. The result depends on the set of certificates alone, not
//! on the order they are stored in.

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::parse_x509_certificate;

use super::private_key::PrivateKey;
use super::signature::{self, Verdict};
use crate::diagnosis::{Explanation, case};

/// More certificates than any real chain has; ordering them costs a number of signature checks that grows with the
/// square of it.
const MAX_CERTIFICATES: usize = 64;

/// Of several keys the one that belongs to a certificate. Where that cannot be told (keys of a kind whose public half is not known
/// here, certificates that cannot be read) the last, as upstream takes it.
pub(super) fn matching_key<'a>(
    keys: &'a [PrivateKey],
    certificates: &[Vec<u8>],
) -> Result<&'a PrivateKey, Explanation> {
    let read: Vec<_> = certificates.iter().map(|der| parse_x509_certificate(der)).collect();
    let matches = |key: &&PrivateKey| read.iter().flatten().any(|(_, certificate)| is_for(certificate, key));
    if let Some(key) = keys.iter().rev().find(matches) {
        return Ok(key);
    }
    let last = keys.last().ok_or(case::PrivateKeyMissing)?;
    if keys.iter().all(PrivateKey::has_public_half) && read.iter().all(Result::is_ok) {
        // No server can load the two together: what is in use goes on serving instead.
        return Err(case::KeyOfNoCertificate.into());
    }
    Ok(last)
}

fn is_for(certificate: &X509Certificate<'_>, key: &PrivateKey) -> bool {
    key.belongs_to(&certificate.public_key().subject_public_key.data)
}

/// The certificates of `key`'s chain: leaf, intermediates, and the root if it is there. Further certificates that
/// issued one of these (cross-signed twins) follow; duplicates and unrelated certificates are left out.
pub(super) fn leaf_first(key: &PrivateKey, certificates: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Explanation> {
    let nodes = parse(certificates)?;
    let leaves = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| is_for(&node.certificate, key));
    let (leaf, _) = leaves
        .max_by_key(|(_, node)| (!node.certificate.is_ca(), node.age()))
        .ok_or(case::ChainWithoutLeaf)?;
    let mut chain = vec![leaf];
    let mut issuers = vec![issuers_of(&nodes, leaf)];
    let next = |chain: &[usize], issuers: &[usize]| issuers.iter().copied().find(|issuer| !chain.contains(issuer));
    // First up from the leaf, always by the best issuer; then whoever else issued one of these.
    while let Some(issuer) = issuers.last().and_then(|issuers| next(&chain, issuers)) {
        chain.push(issuer);
        issuers.push(issuers_of(&nodes, issuer));
    }
    let mut at = 0;
    while at < chain.len() {
        while let Some(issuer) = next(&chain, &issuers[at]) {
            chain.push(issuer);
            issuers.push(issuers_of(&nodes, issuer));
        }
        at += 1;
    }
    Ok(chain.into_iter().map(|node| nodes[node].der.to_vec()).collect())
}

/// Positions of the certificates that issued `child`, best first. Where a signature was verified, the unverifiable
/// claims of others do not count.
fn issuers_of(nodes: &[Node<'_>], child: usize) -> Vec<usize> {
    let mut issuers: Vec<_> = nodes
        .iter()
        .enumerate()
        .filter(|(at, _)| *at != child)
        .filter_map(|(at, node)| Some((node.issued(&nodes[child])?, at)))
        .collect();
    issuers.sort_unstable_by(|a, b| b.cmp(a));
    let surest = issuers.first().map(|((verdict, ..), _)| *verdict);
    issuers
        .into_iter()
        .take_while(|((verdict, ..), _)| Some(*verdict) == surest)
        .map(|(_, at)| at)
        .collect()
}

/// A certificate of the bundle.
struct Node<'a> {
    der: &'a [u8],
    certificate: X509Certificate<'a>,
}

/// How well a certificate does as issuer; greater is better. Signature verified, leads further than a self-signed one,
/// valid for longer, and in the end its bytes.
type IssuerRank<'a> = (Verdict, bool, (i64, &'a [u8]));

impl<'a> Node<'a> {
    /// Expiry, then the bytes: arbitrary, but the same for every stored order.
    fn age(&self) -> (i64, &'a [u8]) {
        (self.certificate.validity().not_after.timestamp(), self.der)
    }

    /// How well this certificate does as issuer of `child`; `None` when it did not issue it.
    fn issued(&self, child: &Node<'_>) -> Option<IssuerRank<'a>> {
        if self.certificate.subject().as_raw() != child.certificate.issuer().as_raw() {
            return None;
        }
        let verdict = match signature::check(&child.certificate, &self.certificate) {
            Verdict::Unknown if !key_ids_agree(&self.certificate, &child.certificate) => Verdict::Refuted,
            verdict => verdict,
        };
        let self_issued = self.certificate.subject().as_raw() == self.certificate.issuer().as_raw();
        (verdict != Verdict::Refuted).then(|| (verdict, !self_issued, self.age()))
    }
}

/// Each certificate once.
fn parse(certificates: &[Vec<u8>]) -> Result<Vec<Node<'_>>, Explanation> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for der in certificates {
        if nodes.iter().any(|node| node.der == der) {
            continue;
        }
        if nodes.len() == MAX_CERTIFICATES {
            let limit = &MAX_CERTIFICATES;
            return Err(case::ChainTooLong { limit }.into());
        }
        let (_, certificate) = parse_x509_certificate(der).map_err(|_| case::ChainNotX509)?;
        nodes.push(Node { der, certificate });
    }
    Ok(nodes)
}

/// Whether the child names its issuer's key identifier, as far as both certificates have one.
fn key_ids_agree(issuer: &X509Certificate<'_>, child: &X509Certificate<'_>) -> bool {
    let subject_key = issuer
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
            _ => None,
        });
    let authority_key = child
        .extensions()
        .iter()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
            _ => None,
        });
    match (subject_key, authority_key) {
        (Some(subject), Some(authority)) => subject == authority,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;
    use proptest::sample::subsequence;

    use super::*;
    use crate::diagnosis::Code;
    use crate::object::testdata;

    fn key(path: &str) -> PrivateKey {
        PrivateKey::from_der(&testdata::der(path)).expect("a private key")
    }

    fn certificates(folder: &str, names: &[&str]) -> Vec<Vec<u8>> {
        names
            .iter()
            .map(|name| testdata::der(&format!("{folder}/{name}.pem")))
            .collect()
    }

    fn permutations<T: Clone>(items: &[T]) -> Vec<Vec<T>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        let without = |at: usize| [&items[..at], &items[at + 1..]].concat();
        let behind = |at: usize| {
            permutations(&without(at))
                .into_iter()
                .map(move |rest| [vec![items[at].clone()], rest].concat())
        };
        (0..items.len()).flat_map(behind).collect()
    }

    #[track_caller]
    fn orders(folder: &str, stored: &[&str], expected: &[&str]) {
        let key = key(&format!("{folder}/leaf.key"));
        let expected = certificates(folder, expected);
        for order in permutations(&certificates(folder, stored)) {
            assert!(
                leaf_first(&key, &order).ok() == Some(expected.clone()),
                "{stored:?} in some order"
            );
        }
    }

    #[test]
    fn every_stored_order_gives_leaf_intermediate_root() {
        orders(
            "chain",
            &["leaf", "intermediate", "root"],
            &["leaf", "intermediate", "root"],
        );
    }

    #[test]
    fn missing_roots_and_intermediates_end_the_chain() {
        orders("chain", &["leaf", "intermediate"], &["leaf", "intermediate"]);
        orders("chain", &["leaf", "root"], &["leaf"]);
        orders("chain", &["leaf"], &["leaf"]);
    }

    #[test]
    fn duplicates_and_unrelated_certificates_are_left_out() {
        let stored = ["leaf", "leaf", "intermediate", "root", "unrelated", "other-leaf"];
        orders("chain", &stored, &["leaf", "intermediate", "root"]);
    }

    #[test]
    fn of_two_leaves_with_one_key_the_longer_valid_one_leads() {
        orders(
            "chain",
            &["old-leaf", "leaf", "intermediate", "root"],
            &["leaf", "intermediate", "root"],
        );
    }

    #[test]
    fn issuers_with_equal_names_are_told_apart_by_their_keys() {
        let stored = [
            "leaf",
            "intermediate",
            "twin-intermediate",
            "root",
            "twin-root",
            "lying-root",
        ];
        orders("chain", &stored, &["leaf", "intermediate", "root"]);
    }

    #[test]
    fn without_key_identifiers_signatures_alone_tell_them_apart() {
        let stored = [
            "bare-leaf",
            "bare-intermediate",
            "bare-twin-intermediate",
            "bare-root",
            "bare-twin-root",
        ];
        orders("chain", &stored, &["bare-leaf", "bare-intermediate", "bare-root"]);
    }

    #[test]
    fn a_cross_signed_root_leads_on_and_its_self_signed_twin_comes_last() {
        let stored = ["leaf", "intermediate", "cross-root", "other-root", "root"];
        orders(
            "chain",
            &stored,
            &["leaf", "intermediate", "cross-root", "other-root", "root"],
        );
    }

    #[test]
    fn every_signature_algorithm_is_understood() {
        let algorithms = [
            "rsa-sha1",
            "rsa-sha256",
            "rsa-sha512",
            "rsa-pss",
            "p256-sha256",
            "p384-sha384",
            "p521-sha512",
            "p256k-sha256",
            "ed25519",
        ];
        for algorithm in algorithms {
            let stored = ["leaf", "intermediate", "twin", "root"];
            orders(
                &format!("algorithms/{algorithm}"),
                &stored,
                &["leaf", "intermediate", "root"],
            );
        }
    }

    #[test]
    fn a_key_without_its_certificate_is_refused() {
        let problem = leaf_first(
            &key("chain/root.key"),
            &certificates("chain", &["leaf", "intermediate"]),
        )
        .err();
        assert_eq!(problem.expect("no leaf").code, Code::CertificateUnreadable);
    }

    #[test]
    fn more_certificates_than_a_chain_can_have_are_refused_quickly() {
        let one = testdata::der("chain/leaf.pem");
        let many: Vec<Vec<u8>> = (0..20_000_u32)
            .map(|number| [one.clone(), number.to_be_bytes().to_vec()].concat())
            .collect();
        let start = Instant::now();
        let problem = leaf_first(&key("chain/leaf.key"), &many).expect_err("too many");
        assert_eq!(problem.code, Code::ValueTooLarge);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    const ALL: [&str; 11] = [
        "leaf",
        "intermediate",
        "root",
        "old-leaf",
        "twin-intermediate",
        "twin-root",
        "lying-root",
        "cross-root",
        "other-root",
        "unrelated",
        "other-leaf",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_stored_order_never_matters(
            (names, shuffled) in subsequence(ALL[1..].to_vec(), 0..ALL.len() - 1)
                .prop_flat_map(|names| (Just(names.clone()), Just(names).prop_shuffle())),
            at in 0..ALL.len(),
        ) {
            let key = key("chain/leaf.key");
            let mut shuffled = shuffled;
            shuffled.insert(at.min(shuffled.len()), "leaf");
            let sorted = leaf_first(&key, &certificates("chain", &[&["leaf"], names.as_slice()].concat())).expect("a leaf");
            let other = leaf_first(&key, &certificates("chain", &shuffled)).expect("a leaf");
            prop_assert!(sorted == other, "{names:?}");
            prop_assert!(sorted[0] == testdata::der("chain/leaf.pem"));
        }
    }
}
