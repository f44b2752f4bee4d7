//! Manifests, and the list of them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Platform;

/// In whose media types an image is described.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The OCI image specification.
    Oci,
    /// Docker's manifest version 2, schema 2.
    Docker,
}

impl Format {
    /// Media type of a manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.manifest.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.v2+json",
        }
    }

    /// Media type of a list of manifests.
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.index.v1+json",
            Self::Docker => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }

    /// Media type of a configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.config.v1+json",
            Self::Docker => "application/vnd.docker.container.image.v1+json",
        }
    }

    /// Media type of a layer that is not compressed.
    pub fn layer(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.layer.v1.tar",
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar",
        }
    }

    /// Media type of a layer compressed by gzip.
    pub fn compressed_layer(self) -> &'static str {
        match self {
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
        }
    }
}

/// Bytes that are found by their digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What they are.
    pub media_type: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Computes the digest.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest(&bytes),
            bytes,
        }
    }

    pub(super) fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len()})
    }
}

/// `sha256:` and the 64 hex digits of the bytes' SHA-256.
pub fn digest(bytes: &[u8]) -> String {
    let hex = crate::emulator::crypto::hex(&Sha256::digest(bytes));
    format!("sha256:{hex}")
}

pub(super) fn of_image(format: Format, config: &Blob, layer: &Blob) -> Vec<u8> {
    let document = json!({
        "schemaVersion": 2,
        "mediaType": format.manifest(),
        "config": config.descriptor(),
        "layers": [layer.descriptor()],
    });
    document.to_string().into_bytes()
}

pub(super) fn descriptor_with_platform(manifest: &Blob, platform: &Platform) -> Value {
    let mut descriptor = manifest.descriptor();
    descriptor["platform"] = Value::Object(platform.json());
    descriptor
}

/// The `index.json` of an OCI layout with what `descriptor` describes. containerd takes the name from the first annotation, other tools from
/// the second.
pub(super) fn layout_index(mut descriptor: Value, name: &str) -> Value {
    descriptor["annotations"] = json!({
        "io.containerd.image.name": name,
        "org.opencontainers.image.ref.name": name,
    });
    json!({"schemaVersion": 2, "mediaType": Format::Oci.index(), "manifests": [descriptor]})
}
