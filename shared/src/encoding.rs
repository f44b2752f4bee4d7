//! Base64 as vaults, Kubernetes and people write it.

use base64::Engine;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::secret::SecretBytes;

/// RFC 4648 §4 with padding. Unused bits of the last symbol may be set: encoders in the wild set them, and Go's
/// decoder, which upstream uses, never minded.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// Standard, padded base64 with line breaks; `None` when it is anything else.
pub(crate) fn decode_base64(text: &[u8]) -> Option<SecretBytes> {
    let compact: Zeroizing<Vec<u8>> = Zeroizing::new(
        text.iter()
            .copied()
            .filter(|byte| !matches!(byte, b'\r' | b'\n'))
            .collect(),
    );
    BASE64.decode(&*compact).ok().map(SecretBytes::new)
}
