//! PFX (PKCS#12) as RFC 7292 defines it, in DER: with an empty password or none, as Key Vault gives it out, or with one.
//!
//! Own reader, because the work a hostile file can ask for must be bounded over the whole file, and because "no
//! password" comes in two forms (see [`Password`]) of which general-purpose readers know one.

mod encryption;
mod kdf;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use zeroize::Zeroizing;

use self::encryption::{Budget, Mac};
use self::kdf::Password;
use super::Bundle;
use super::private_key::PrivateKey;
use crate::diagnosis::{Explanation, case};

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const ENCRYPTED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.6");
const KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.1");
const SHROUDED_KEY_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.2");
const CERTIFICATE_BAG: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.12.10.1.3");
const X509_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.22.1");

/// Why a PFX cannot be read.
#[derive(Debug)]
enum PfxError {
    /// The structure is not that of a PFX.
    Malformed,
    /// No password that is known opens it.
    Password,
    /// An algorithm that is not known here.
    Algorithm(ObjectIdentifier),
    /// It asks for more key derivation than [`Budget`] grants.
    Work,
    /// A private key inside is unusable.
    Key(Explanation),
}

impl From<der::Error> for PfxError {
    fn from(_: der::Error) -> Self {
        Self::Malformed
    }
}

/// Keys and certificates of a PFX, in bag order; names and other bags are dropped. Without `password` both forms of an
/// empty one are tried.
pub(super) fn read(der: &[u8], password: Option<&str>) -> Result<Bundle, Explanation> {
    open(der, password).map_err(problem)
}

/// The private key in an `EncryptedPrivateKeyInfo` (RFC 5958 §3), which PEM files hold as well.
pub(super) fn encrypted_key(der: &[u8], password: &str) -> Result<PrivateKey, Explanation> {
    let bmp = kdf::bmp_string(password);
    let password = Password::Given {
        bmp: &bmp,
        utf8: password.as_bytes(),
    };
    let key = || {
        PrivateKey::from_der(&shrouded(AnyRef::from_der(der)?, password, &mut Budget::new())?).map_err(PfxError::Key)
    };
    key().map_err(problem)
}

fn problem(error: PfxError) -> Explanation {
    match error {
        PfxError::Malformed => case::PfxDamaged.into(),
        PfxError::Password => case::PfxHasPassword.into(),
        PfxError::Algorithm(oid) => case::PfxAlgorithmUnknown { algorithm: &oid }.into(),
        PfxError::Work => {
            let rounds = &Budget::ROUNDS;
            case::KeyDerivationTooLong { rounds }.into()
        }
        PfxError::Key(problem) => problem,
    }
}

fn open(der: &[u8], password: Option<&str>) -> Result<Bundle, PfxError> {
    // PFX ::= SEQUENCE { version, authSafe ContentInfo, macData OPTIONAL }
    let pfx = children(AnyRef::from_der(der)?)?;
    let (auth_safe, mac) = match pfx[..] {
        [_version, auth_safe] => (auth_safe, None),
        [_version, auth_safe, mac] => (auth_safe, Some(Mac::parse(mac)?)),
        _ => return Err(PfxError::Malformed),
    };
    let (DATA, Some(safes)) = content_info(auth_safe)? else {
        return Err(PfxError::Malformed);
    };
    let safes = octets(safes)?;
    let mut budget = Budget::new();
    let mut result = Err(PfxError::Password);
    let bmp = password.map(kdf::bmp_string);
    let given = password.zip(bmp.as_ref()).map(|(password, bmp)| Password::Given {
        bmp,
        utf8: password.as_bytes(),
    });
    let passwords = given.map_or(vec![Password::Empty, Password::Absent], |given| vec![given]);
    for password in passwords {
        if let Some(mac) = &mac
            && !mac.verify(safes, password, &mut budget)?
        {
            continue;
        }
        result = Opener {
            password,
            budget: &mut budget,
            bundle: Bundle {
                keys: Vec::new(),
                certificates: Vec::new(),
            },
        }
        .safes(safes);
        if !matches!(result, Err(PfxError::Password)) {
            break;
        }
    }
    result
}

/// Collects what the safes of one PFX hold.
struct Opener<'b> {
    password: Password<'b>,
    budget: &'b mut Budget,
    bundle: Bundle,
}

impl Opener<'_> {
    /// `AuthenticatedSafe ::= SEQUENCE OF ContentInfo`
    fn safes(mut self, der: &[u8]) -> Result<Bundle, PfxError> {
        for safe in children(AnyRef::from_der(der)?)? {
            match content_info(safe)? {
                (DATA, Some(content)) => self.bags(octets(content)?)?,
                (ENCRYPTED_DATA, Some(content)) => {
                    // EncryptedData ::= SEQUENCE { version, SEQUENCE { type, algorithm, [0] IMPLICIT OCTET STRING } … }
                    let [_version, info, ..] = children(content)?[..] else {
                        return Err(PfxError::Malformed);
                    };
                    let [_type, algorithm, ciphertext] = children(info)?[..] else {
                        return Err(PfxError::Malformed);
                    };
                    let plain = encryption::decrypt(algorithm, ciphertext.value(), self.password, self.budget)?;
                    self.bags(&plain)?;
                }
                (oid, _) => return Err(PfxError::Algorithm(oid)), // e.g. enveloped for a recipient's key
            }
        }
        Ok(self.bundle)
    }

    /// `SafeContents ::= SEQUENCE OF SEQUENCE { bagId, [0] EXPLICIT bagValue, bagAttributes OPTIONAL }`
    fn bags(&mut self, der: &[u8]) -> Result<(), PfxError> {
        for bag in children(AnyRef::from_der(der)?)? {
            let [id, value, ..] = children(bag)?[..] else {
                return Err(PfxError::Malformed);
            };
            let value = explicit(value)?;
            match id.decode_as()? {
                CERTIFICATE_BAG => self.certificate(value)?,
                KEY_BAG => self.key(&whole(value)?)?,
                SHROUDED_KEY_BAG => {
                    let plain = shrouded(value, self.password, self.budget)?;
                    self.key(&plain)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `CertBag ::= SEQUENCE { certId, [0] EXPLICIT OCTET STRING }`
    fn certificate(&mut self, bag: AnyRef<'_>) -> Result<(), PfxError> {
        let [id, value] = children(bag)?[..] else {
            return Err(PfxError::Malformed);
        };
        if id.decode_as::<ObjectIdentifier>()? == X509_CERTIFICATE {
            self.bundle.certificates.push(octets(explicit(value)?)?.to_vec());
        }
        Ok(())
    }

    fn key(&mut self, der: &[u8]) -> Result<(), PfxError> {
        self.bundle.keys.push(PrivateKey::from_der(der).map_err(PfxError::Key)?);
        Ok(())
    }
}

/// `EncryptedPrivateKeyInfo ::= SEQUENCE { algorithm, OCTET STRING }`
fn shrouded(info: AnyRef<'_>, password: Password<'_>, budget: &mut Budget) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    let [algorithm, ciphertext] = children(info)?[..] else {
        return Err(PfxError::Malformed);
    };
    encryption::decrypt(algorithm, octets(ciphertext)?, password, budget)
}

/// The elements of a SEQUENCE.
fn children(sequence: AnyRef<'_>) -> Result<Vec<AnyRef<'_>>, PfxError> {
    if sequence.tag() != Tag::Sequence {
        return Err(PfxError::Malformed);
    }
    let mut reader = SliceReader::new(sequence.value())?;
    let mut elements = Vec::new();
    while !reader.is_finished() {
        elements.push(AnyRef::decode(&mut reader)?);
    }
    Ok(elements)
}

/// `ContentInfo ::= SEQUENCE { contentType, [0] EXPLICIT content OPTIONAL }`
fn content_info(info: AnyRef<'_>) -> Result<(ObjectIdentifier, Option<AnyRef<'_>>), PfxError> {
    match children(info)?[..] {
        [content_type] => Ok((content_type.decode_as()?, None)),
        [content_type, content] => Ok((content_type.decode_as()?, Some(explicit(content)?))),
        _ => Err(PfxError::Malformed),
    }
}

/// What an explicit `[0]` holds.
fn explicit(tagged: AnyRef<'_>) -> Result<AnyRef<'_>, PfxError> {
    let expected = Tag::ContextSpecific {
        number: TagNumber(0),
        constructed: true,
    };
    if tagged.tag() == expected {
        Ok(AnyRef::from_der(tagged.value())?)
    } else {
        Err(PfxError::Malformed)
    }
}

/// The content of an OCTET STRING.
fn octets(string: AnyRef<'_>) -> Result<&[u8], PfxError> {
    if string.tag() == Tag::OctetString {
        Ok(string.value())
    } else {
        Err(PfxError::Malformed)
    }
}

/// The DER of an element, with its tag and length.
fn whole(element: AnyRef<'_>) -> Result<Zeroizing<Vec<u8>>, PfxError> {
    Ok(Zeroizing::new(der::Encode::to_der(&element)?))
}
