//! Container images made from files, without a container engine: what a `FROM scratch` build would give.
//!
//! ```
//! use akv2k8s_testbed::image::{File, Image};
//!
//! let image = Image::scratch([File::program("/app", b"ELF...".to_vec())]).entrypoint(["/app"]).user("65532:65532");
//! let archive = image.archive("localhost/app:1").expect("the path of the program is short");
//! # assert!(!archive.is_empty());
//! ```
//!
//! The formats are those of the OCI image specification 1.1 and, where [`Format::Docker`] is asked for, of Docker's image manifest
//! version 2, schema 2. Layers are compressed only when asked for: both formats allow either, and a test has no network to spare.

mod manifest;
mod tar;

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

pub use self::manifest::{Blob, Format, digest};
pub use self::tar::{File, TooLong};

/// What a configuration is for: the system of the containers, and its processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// In Go's names: `linux`.
    pub os: String,
    /// In Go's names: `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// Of an ARM processor: `v7`, `v8`.
    pub variant: Option<String>,
}

impl Platform {
    /// Linux on a processor of this name (Go's names: `amd64`, `arm64`).
    pub fn linux(architecture: &str) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// The machine this program was compiled for.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    fn json(&self) -> Map<String, Value> {
        let mut platform = Map::new();
        platform.insert("architecture".into(), self.architecture.as_str().into());
        platform.insert("os".into(), self.os.as_str().into());
        if let Some(variant) = &self.variant {
            platform.insert("variant".into(), variant.as_str().into());
        }
        platform
    }
}

/// An image with one layer.
#[derive(Debug, Clone)]
pub struct Image {
    files: Vec<File>,
    platform: Platform,
    /// The member `config` of the configuration: Entrypoint, Cmd, Env, User, `WorkingDir`.
    config: Map<String, Value>,
    /// Replaces the whole configuration.
    raw_config: Option<Vec<u8>>,
    is_compressed: bool,
}

impl Image {
    /// An image for this machine that holds just these files.
    pub fn scratch(files: impl IntoIterator<Item = File>) -> Self {
        Self {
            files: files.into_iter().collect(),
            platform: Platform::host(),
            config: Map::new(),
            raw_config: None,
            is_compressed: false,
        }
    }

    /// What starts when a pod names no command.
    #[must_use]
    pub fn entrypoint<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.set("Entrypoint", words.into_iter().collect::<Vec<_>>())
    }

    /// What the entrypoint is given when a pod names no arguments.
    #[must_use]
    pub fn cmd<'a>(self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.set("Cmd", words.into_iter().collect::<Vec<_>>())
    }

    /// Variables, each as `NAME=value`.
    #[must_use]
    pub fn env<'a>(self, variables: impl IntoIterator<Item = &'a str>) -> Self {
        self.set("Env", variables.into_iter().collect::<Vec<_>>())
    }

    /// Whom containers run as: `UID`, `UID:GID`, or a name (which an image without `/etc/passwd` cannot explain).
    #[must_use]
    pub fn user(self, user: &str) -> Self {
        self.set("User", user)
    }

    /// Where containers start.
    #[must_use]
    pub fn working_dir(self, path: &str) -> Self {
        self.set("WorkingDir", path)
    }

    /// What is said of it: name → value.
    #[must_use]
    pub fn labels(self, labels: &BTreeMap<String, String>) -> Self {
        self.set("Labels", json!(labels))
    }

    /// With a layer that is compressed by gzip, as it is published; the same bytes each time.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        self.is_compressed = true;
        self
    }

    /// Which machines it is for.
    #[must_use]
    pub fn platform(mut self, platform: Platform) -> Self {
        self.platform = platform;
        self
    }

    /// The configuration, byte by byte: for configurations that no builder would write.
    #[must_use]
    pub fn raw_config(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_config = Some(bytes.into());
        self
    }

    fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// The configuration, as its digest in a manifest is computed over it.
    fn config_bytes(&self, layer: &[u8]) -> Vec<u8> {
        if let Some(raw) = &self.raw_config {
            return raw.clone();
        }
        let mut document = self.platform.json();
        document.insert("config".into(), Value::Object(self.config.clone()));
        document.insert("rootfs".into(), json!({"type": "layers", "diff_ids": [digest(layer)]}));
        Value::Object(document).to_string().into_bytes()
    }

    /// Everything a registry or a node stores of it: the manifest first, then the configuration and the layer.
    ///
    /// # Errors
    /// The path of a file does not fit a tar header.
    pub fn blobs(&self, format: Format) -> Result<[Blob; 3], TooLong> {
        let layer = tar::archive(&self.files)?;
        let config = Blob::new(format.config(), self.config_bytes(&layer));
        let layer = if self.is_compressed {
            Blob::new(format.compressed_layer(), gzip(&layer))
        } else {
            Blob::new(format.layer(), layer)
        };
        let manifest = Blob::new(format.manifest(), manifest::of_image(format, &config, &layer));
        Ok([manifest, config, layer])
    }

    /// The image as an OCI layout in a tar file, under the name that pods use, as `ctr images import` and `docker load` read it.
    ///
    /// # Errors
    /// The path of a file does not fit a tar header.
    pub fn archive(&self, name: &str) -> Result<Vec<u8>, TooLong> {
        let blobs = self.blobs(Format::Oci)?;
        let top = manifest::descriptor_with_platform(&blobs[0], &self.platform);
        layout(top, blobs.into(), name)
    }
}

/// Images for several platforms as one: an OCI layout in a tar file, under one name.
///
/// # Errors
/// The path of a file does not fit a tar header.
pub fn archive(images: &[Image], name: &str) -> Result<Vec<u8>, TooLong> {
    let blobs = index(images, Format::Oci)?;
    layout(blobs[0].descriptor(), blobs, name)
}

/// `top` describes the blob that stands for all.
fn layout(top: Value, blobs: Vec<Blob>, name: &str) -> Result<Vec<u8>, TooLong> {
    let text = |path: &str, text: String| File::data(path, text.into_bytes());
    let mut files = vec![
        text("oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string()),
        text("index.json", manifest::layout_index(top, name).to_string()),
    ];
    files.extend(blobs.into_iter().map(|blob| {
        let path = format!("blobs/{}", blob.digest.replace(':', "/"));
        File::data(&path, blob.bytes)
    }));
    tar::archive(&files)
}

/// As small as it gets; no name, no time.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory can be written")
}

/// A list of the manifests of `images`, one for each platform: the blob of the list first, then those of the images.
///
/// # Errors
/// The path of a file does not fit a tar header.
pub fn index(images: &[Image], format: Format) -> Result<Vec<Blob>, TooLong> {
    let mut manifests = Vec::new();
    let mut blobs = Vec::new();
    for image in images {
        let parts = image.blobs(format)?;
        manifests.push(manifest::descriptor_with_platform(&parts[0], &image.platform));
        blobs.extend(parts);
    }
    let document = json!({"schemaVersion": 2, "mediaType": format.index(), "manifests": manifests});
    blobs.insert(0, Blob::new(format.index(), document.to_string().into_bytes()));
    Ok(blobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Image {
        Image::scratch([File::program("/bin/app", vec![7; 1000])])
            .entrypoint(["/bin/app"])
            .cmd(["serve"])
            .env(["A=1"])
            .user("1000:1000")
            .working_dir("/data")
    }

    #[test]
    fn a_manifest_names_its_parts_by_their_digests_and_sizes() {
        for format in [Format::Oci, Format::Docker] {
            let [manifest, config, layer] = image().blobs(format).expect("short paths");
            let document: Value = serde_json::from_slice(&manifest.bytes).expect("JSON");
            assert_eq!(document["mediaType"], manifest.media_type);
            assert_eq!(document["config"]["digest"], config.digest);
            assert_eq!(document["config"]["size"], config.bytes.len());
            assert_eq!(document["layers"][0]["digest"], layer.digest);
            let config: Value = serde_json::from_slice(&config.bytes).expect("JSON");
            assert_eq!(config["config"]["Entrypoint"], json!(["/bin/app"]));
            assert_eq!(config["rootfs"]["diff_ids"], json!([layer.digest]), "not compressed");
        }
    }

    #[test]
    fn an_index_names_every_platform() {
        let images = [image(), image().platform(Platform::linux("arm64"))];
        let blobs = index(&images, Format::Oci).expect("short paths");
        assert_eq!(blobs.len(), 7);
        let document: Value = serde_json::from_slice(&blobs[0].bytes).expect("JSON");
        assert_eq!(document["manifests"][1]["platform"]["architecture"], "arm64");
        assert_eq!(document["manifests"][1]["digest"], blobs[4].digest);
    }

    #[test]
    fn what_is_archived_is_read_by_tar() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join("image.tar");
        std::fs::write(&file, image().archive("localhost/app:1").expect("short paths")).expect("write");
        let list = |arguments: &[&str]| {
            let output = std::process::Command::new("tar").args(arguments).output().expect("tar");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        };
        let path = file.to_str().expect("text");
        let names = list(&["-tf", path]);
        assert!(names.starts_with("oci-layout\nindex.json\nblobs/sha256/"), "{names}");
        let index: Value = serde_json::from_str(&list(&["-xOf", path, "index.json"])).expect("JSON");
        let manifest = index["manifests"][0]["digest"].as_str().expect("a digest");
        let manifest = list(&["-xOf", path, &format!("blobs/{}", manifest.replace(':', "/"))]);
        let [expected, ..] = image().blobs(Format::Oci).expect("short paths");
        assert_eq!(manifest.as_bytes(), expected.bytes);
    }
}
