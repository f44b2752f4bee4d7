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
use super::unreadable;
use crate::diagnosis::Code;
use crate::object::problem::Problem;

/// More certificates than any real chain has; ordering them costs a number of signature checks that grows with the
/// square of it.
const MAX_CERTIFICATES: usize = 64;

/// Of several keys the one that belongs to a certificate, else the last, as upstream takes it; `None` without keys.
pub(super) fn matching_key<'a>(keys: &'a [PrivateKey], certificates: &[Vec<u8>]) -> Option<&'a PrivateKey> {
    let matches = |key: &&PrivateKey| {
        certificates
            .iter()
            .any(|der| parse_x509_certificate(der).is_ok_and(|(_, certificate)| is_for(&certificate, key)))
    };
    keys.iter().rev().find(matches).or(keys.last())
}

fn is_for(certificate: &X509Certificate<'_>, key: &PrivateKey) -> bool {
    key.belongs_to(&certificate.public_key().subject_public_key.data)
}

/// The certificates of `key`'s chain: leaf, intermediates, and the root if it is there. Further certificates that
/// issued one of these (cross-signed twins) follow; duplicates and unrelated certificates are left out.
pub(super) fn leaf_first(key: &PrivateKey, certificates: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Problem> {
    let mut unused = parse(certificates)?;
    let leaf = best(&unused, |candidate| {
        is_for(&candidate.certificate, key).then(|| (!candidate.is_ca(), candidate.age()))
    })
    .ok_or_else(|| {
        unreadable(
            "none of its certificates belongs to its private key, so chainOrder cannot tell which comes first",
            "Store the certificate of this very key with it, or remove chainOrder.",
        )
    })?;
    let mut chain = vec![unused.remove(leaf)];
    while let Some(issuer) = best(&unused, |candidate| {
        chain.last().and_then(|last| candidate.issued(last))
    }) {
        chain.push(unused.remove(issuer));
    }
    let mut at = 0;
    while at < chain.len() {
        while let Some(issuer) = best(&unused, |candidate| candidate.issued(&chain[at])) {
            chain.push(unused.remove(issuer));
        }
        at += 1;
    }
    Ok(chain.into_iter().map(|node| node.der.to_vec()).collect())
}

/// A certificate of the bundle. Orders by its bytes: arbitrary, but the same for every stored order.
struct Node<'a> {
    der: &'a [u8],
    certificate: X509Certificate<'a>,
}

/// How well a certificate does as issuer; greater is better. Signature verified, leads further than a self-signed one,
/// valid for longer, and in the end its bytes.
type IssuerRank<'a> = (Verdict, bool, (i64, &'a [u8]));

impl<'a> Node<'a> {
    fn is_ca(&self) -> bool {
        self.certificate.is_ca()
    }

    /// Later expiry first, then the bytes.
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
fn parse(certificates: &[Vec<u8>]) -> Result<Vec<Node<'_>>, Problem> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for der in certificates {
        if nodes.iter().any(|node| node.der == der) {
            continue;
        }
        if nodes.len() == MAX_CERTIFICATES {
            return Err(Problem::new(
                Code::ValueTooLarge,
                format!("The certificate comes with more than {MAX_CERTIFICATES} others, too many to order."),
                "Store only the certificates of its chain, or remove chainOrder.",
            ));
        }
        let (_, certificate) = parse_x509_certificate(der).map_err(|_| {
            unreadable(
                "one of its certificates is not X.509",
                "Check each with `openssl x509 -in FILE -noout -text`.",
            )
        })?;
        nodes.push(Node { der, certificate });
    }
    Ok(nodes)
}

/// Position of the candidate with the greatest rank.
fn best<'n, 'a, R: Ord>(nodes: &'n [Node<'a>], rank: impl Fn(&'n Node<'a>) -> Option<R>) -> Option<usize> {
    nodes
        .iter()
        .enumerate()
        .filter_map(|(at, node)| Some((rank(node)?, at)))
        .max()
        .map(|(_, at)| at)
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
