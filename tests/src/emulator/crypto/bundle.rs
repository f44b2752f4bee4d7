//! A private key with its certificates as the vault stores and takes them: PFX (PKCS#12) and PEM.

use p12_keystore::{
    Certificate, EncryptionAlgorithm, KeyStore, KeyStoreEntry, MacAlgorithm, Pkcs12Archive, PrivateKeyChain,
};

use super::{CryptoError, PrivateKey, encoding};

/// A key and its certificates (DER), in the order they are stored in; one of them belongs to the key.
#[derive(Clone)]
pub struct KeyBundle {
    /// The key.
    pub key: PrivateKey,
    /// The key's own certificate and those of authorities.
    pub certificates: Vec<Vec<u8>>,
}

impl KeyBundle {
    /// Reads a PFX.
    pub fn from_pfx(pfx: &[u8], password: &str) -> Result<Self, CryptoError> {
        let archive = Pkcs12Archive::from_pkcs12(pfx, password).map_err(encoding)?;
        let key = archive
            .keys
            .first()
            .ok_or_else(|| CryptoError::Encoding("the PFX holds no private key".into()))?;
        let key = PrivateKey::from_pkcs8(key.key.as_der())?;
        Self::new(
            key,
            archive.certs.iter().map(|bag| bag.cert.as_der().to_vec()).collect(),
        )
    }

    /// Reads PEM: a PKCS#8 private key and certificates. Like the service, no other form of a key is taken.
    pub fn from_pem(text: &str) -> Result<Self, CryptoError> {
        let blocks = pem::parse_many(text).map_err(encoding)?;
        let key = blocks.iter().find(|block| block.tag() == "PRIVATE KEY");
        let key = key.ok_or_else(|| CryptoError::Encoding("the PEM holds no PKCS#8 private key".into()))?;
        let certificates = blocks.iter().filter(|block| block.tag() == "CERTIFICATE");
        let certificates = certificates.map(|block| block.contents().to_vec()).collect();
        Self::new(PrivateKey::from_pkcs8(key.contents())?, certificates)
    }

    /// Puts a key and its certificates together.
    pub fn new(key: PrivateKey, certificates: Vec<Vec<u8>>) -> Result<Self, CryptoError> {
        let bundle = Self { key, certificates };
        match bundle.own_position() {
            Some(_) => Ok(bundle),
            None => Err(CryptoError::Encoding(
                "no certificate belongs to the private key".into(),
            )),
        }
    }

    /// The certificate of the key.
    pub fn own(&self) -> &[u8] {
        let position = self.own_position().expect("checked by new()");
        &self.certificates[position]
    }

    fn own_position(&self) -> Option<usize> {
        let spki = self.key.public().spki();
        self.certificates.iter().position(|der| {
            x509_parser::parse_x509_certificate(der)
                .is_ok_and(|(_, certificate)| certificate.public_key().raw == spki.as_slice())
        })
    }

    /// A PFX with empty password as the vault emits it (3DES, SHA-1 MAC, 2,000 rounds); without the key when it must
    /// not leave. Certificates keep their order, if the key's own one is the first or the last of them.
    pub fn to_pfx(&self, with_key: bool) -> Result<Vec<u8>, CryptoError> {
        let parse = |der: &Vec<u8>| Certificate::from_der(der).map_err(encoding);
        let certificates = self.certificates.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let mut store = KeyStore::new();
        let mut add = |certificate: &Certificate| {
            // Entries are written in the order of their names.
            let name = format!("{:03}", store.entries_len());
            store.add_entry(&name, KeyStoreEntry::Certificate(certificate.clone()));
        };
        let own = self.own_position().expect("checked by new()");
        if with_key {
            let mut chain = vec![certificates[own].clone()];
            if own == 0 {
                chain.extend_from_slice(&certificates[1..]);
            } else {
                certificates
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| *i != own)
                    .for_each(|(_, other)| add(other));
            }
            let key = p12_keystore::PrivateKey::from_der(self.key.pkcs8()).map_err(encoding)?;
            let entry = KeyStoreEntry::PrivateKeyChain(PrivateKeyChain::new(vec![1u8, 0, 0, 0], key, chain));
            store.add_entry("key", entry);
        } else {
            certificates.iter().for_each(add);
        }
        store
            .writer("")
            .encryption_algorithm(EncryptionAlgorithm::PbeWithShaAnd3KeyTripleDesCbc)
            .encryption_iterations(2000)
            .mac_algorithm(MacAlgorithm::HmacSha1)
            .mac_iterations(2000)
            .write()
            .map_err(encoding)
    }

    /// PEM: the key (PKCS#8; unless it must not leave), then the certificates.
    pub fn to_pem(&self, with_key: bool) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        let mut blocks = Vec::new();
        if with_key {
            blocks.push(pem::Pem::new("PRIVATE KEY", self.key.pkcs8()));
        }
        blocks.extend(
            self.certificates
                .iter()
                .map(|der| pem::Pem::new("CERTIFICATE", der.clone())),
        );
        // `encode_many` would put blank lines between them.
        blocks.iter().map(|block| pem::encode_config(block, config)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::x509::{Profile, Signer, issue};
    use super::super::{Curve, KeyType};
    use super::*;

    fn certificate(subject: &str, key: &PrivateKey, signer: &Signer<'_>) -> Vec<u8> {
        let profile = Profile {
            subject: subject.into(),
            not_after: 4_000_000_000,
            ..Profile::default()
        };
        issue(&profile, key.public(), signer).unwrap()
    }

    /// A key with its certificate and that of its authority.
    fn chain() -> (PrivateKey, Vec<u8>, Vec<u8>) {
        let [ca_key, key] = [0, 1].map(|_| PrivateKey::generate(KeyType::Ec(Curve::P256)).unwrap());
        let signer = Signer {
            name: "CN=ca",
            key: &ca_key,
        };
        let (ca, own) = (
            certificate("CN=ca", &ca_key, &signer),
            certificate("CN=own", &key, &signer),
        );
        (key, own, ca)
    }

    #[test]
    fn a_pfx_keeps_key_certificates_and_their_order() {
        let (key, own, ca) = chain();
        for certificates in [
            vec![own.clone(), ca.clone()],
            vec![ca.clone(), own.clone()],
            vec![own.clone()],
        ] {
            let bundle = KeyBundle::new(key.clone(), certificates.clone()).unwrap();
            let read = KeyBundle::from_pfx(&bundle.to_pfx(true).unwrap(), "").unwrap();
            assert_eq!(read.certificates, certificates);
            assert!(read.key.pkcs8() == key.pkcs8() && read.own() == own);
        }
        let bundle = KeyBundle::new(key, vec![own]).unwrap();
        assert!(KeyBundle::from_pfx(&bundle.to_pfx(true).unwrap(), "wrong").is_err());
    }

    #[test]
    fn without_the_key_only_certificates_leave() {
        let (key, own, ca) = chain();
        let bundle = KeyBundle::new(key, vec![ca, own]).unwrap();
        let archive = Pkcs12Archive::from_pkcs12(&bundle.to_pfx(false).unwrap(), "").unwrap();
        assert_eq!((archive.keys.len(), archive.certs.len()), (0, 2));
        assert!(!bundle.to_pem(false).contains("PRIVATE"));
    }

    #[test]
    fn pem_needs_a_pkcs8_key_that_fits_a_certificate() {
        let (key, own, ca) = chain();
        let bundle = KeyBundle::new(key.clone(), vec![own, ca.clone()]).unwrap();
        assert_eq!(
            KeyBundle::from_pem(&bundle.to_pem(true)).unwrap().certificates,
            bundle.certificates
        );
        assert!(KeyBundle::from_pem(&bundle.to_pem(false)).is_err());
        assert!(KeyBundle::new(key, vec![ca]).is_err());
    }
}
