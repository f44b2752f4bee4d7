//! Key derivation of PKCS#12: RFC 7292 appendix B.2.

use ring::digest::{Algorithm, Context, digest};
use zeroize::Zeroizing;

/// A password, or "no password" in its two forms. Writers disagree on the latter; upstream's reader tries both, in this order.
#[derive(Clone, Copy)]
pub(super) enum Password<'a> {
    /// The empty string: as UTF-16 just its terminator.
    Empty,
    /// No string at all.
    Absent,
    /// A password: as [`bmp_string`] gives it, and as it is.
    Given {
        /// For the derivation of this module.
        bmp: &'a [u8],
        /// For PBES2.
        utf8: &'a [u8],
    },
}

/// UTF-16, big-endian, with a terminator: RFC 7292 appendix B.1.
pub(super) fn bmp_string(password: &str) -> Zeroizing<Vec<u8>> {
    let units = password.encode_utf16().chain([0]);
    let mut bytes = Zeroizing::new(Vec::with_capacity(2 * password.len() + 2));
    units.for_each(|unit| bytes.extend_from_slice(&unit.to_be_bytes()));
    bytes
}

impl<'a> Password<'a> {
    /// The password as RFC 7292 appendix B.1 feeds it to the derivation.
    fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Empty => &[0, 0],
            Self::Absent => &[],
            Self::Given { bmp, .. } => bmp,
        }
    }

    /// The password as PBES2 takes it; both forms of the empty one are the same there.
    pub(super) fn utf8(self) -> &'a [u8] {
        match self {
            Self::Empty | Self::Absent => &[],
            Self::Given { utf8, .. } => utf8,
        }
    }
}

/// What a derived key is for: the ID byte of appendix B.3.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Encryption = 1,
    Iv = 2,
    Mac = 3,
}

/// `size` bytes of key for `purpose`. `iterations` is at least 1 and already granted by the budget.
pub(super) fn derive(
    hash: &'static Algorithm,
    password: Password<'_>,
    salt: &[u8],
    purpose: Purpose,
    iterations: u32,
    size: usize,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let diversifier = vec![purpose as u8; block];
    let mut input = Zeroizing::new([repeated(salt, block), repeated(password.as_bytes(), block)].concat());
    let mut key = Zeroizing::new(Vec::with_capacity(size + hash.output_len()));
    while key.len() < size {
        let mut context = Context::new(hash);
        context.update(&diversifier);
        context.update(&input);
        let mut round = context.finish();
        for _ in 1..iterations {
            round = digest(hash, round.as_ref());
        }
        key.extend_from_slice(round.as_ref());
        let addend = repeated(round.as_ref(), block);
        input
            .chunks_mut(block)
            .for_each(|chunk| add_one_more(chunk, &addend[..block]));
    }
    key.truncate(size);
    key
}

/// `bytes` over and over, up to the next multiple of `block`; nothing for no bytes.
fn repeated(bytes: &[u8], block: usize) -> Vec<u8> {
    bytes
        .iter()
        .copied()
        .cycle()
        .take(bytes.len().next_multiple_of(block))
        .collect()
}

/// `number += addend + 1`, both big-endian and of one length, overflow dropped.
fn add_one_more(number: &mut [u8], addend: &[u8]) {
    let mut carry = 1;
    for (digit, add) in number.iter_mut().zip(addend).rev() {
        carry += u16::from(*digit) + u16::from(*add);
        *digit = carry.to_be_bytes()[1];
        carry >>= 8;
    }
}
