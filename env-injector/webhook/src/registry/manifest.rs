//! What registries hold: images, lists of images, and configurations. Everything here comes from strangers.
//!
//! Formats: <https://github.com/opencontainers/image-spec> (`manifest.md`, `image-index.md`, `config.md`), and Docker's schema 2, which
//! differs in nothing but its media types.

use serde::Deserialize;

use super::digest::Digest;
use super::platform;
use crate::admission::ImageConfig;

/// What a request for a manifest takes.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const IMAGES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// Most images in a list.
const MOST_IMAGES: usize = 256;
/// Largest configuration, in bytes: those in use have a few thousand.
pub(super) const LARGEST_CONFIG: usize = 1 << 20;
/// Most words of `ENTRYPOINT` and `CMD` together.
const MOST_WORDS: usize = 512;
/// Most bytes of these words together: they become part of the pod.
const MOST_TEXT: usize = 32 << 10;

/// What is wrong with something a registry gave, a clause.
pub(super) type Flaw = &'static str;

/// A manifest, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Manifest {
    /// One image: its configuration.
    Image(Descriptor),
    /// Images for several platforms.
    Index(Index),
}

/// Where something is, and how large.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) digest: Digest,
    /// In bytes.
    pub(super) size: usize,
}

/// A list of images.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Index(Vec<Entry>);

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    digest: Digest,
    /// `OS/ARCHITECTURE`; none when the list does not tell.
    platform: Option<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    manifests: Option<Vec<RawDescriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
}

#[derive(Deserialize)]
struct RawPlatform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Manifest {
    /// Reads a manifest whose digest was checked.
    pub(super) fn parse(content: &[u8]) -> Result<Self, Flaw> {
        let document: Document = serde_json::from_slice(content).map_err(|_| "its manifest is not the JSON of one")?;
        if document.schema_version != 2 || document.fs_layers.is_some() {
            return Err("its manifest is of Docker's schema 1, which container runtimes no longer take either");
        }
        let says = |types: [&str; 2]| document.media_type.as_deref().is_none_or(|it| types.contains(&it));
        match (document.config, document.manifests) {
            (None, Some(manifests)) if document.layers.is_none() && says(INDEXES) => {
                Index::of(manifests).map(Self::Index)
            }
            (Some(config), None) if says(IMAGES) => image(&config).map(Self::Image),
            (Some(_), Some(_)) => Err("its manifest is an image and a list of images at once"),
            _ => Err("its manifest is neither an image nor a list of images"),
        }
    }
}

fn image(config: &RawDescriptor) -> Result<Descriptor, Flaw> {
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err("it is not an image of a container, but something else that is kept in registries");
    }
    let size = usize::try_from(config.size).unwrap_or(usize::MAX);
    if size > LARGEST_CONFIG {
        return Err("its configuration is larger than 1 MiB");
    }
    let digest = digest(&config.digest)?;
    Ok(Descriptor { digest, size })
}

fn digest(text: &str) -> Result<Digest, Flaw> {
    Digest::parse(text).ok_or("its manifest names something by what is no sha256 or sha512 digest")
}

impl Index {
    fn of(manifests: Vec<RawDescriptor>) -> Result<Self, Flaw> {
        if manifests.len() > MOST_IMAGES {
            return Err("its list has more than 256 images");
        }
        let images = manifests
            .into_iter()
            .filter(|it| IMAGES.contains(&it.media_type.as_str()));
        let entry = |it: RawDescriptor| {
            Ok(Entry {
                digest: digest(&it.digest)?,
                platform: it.platform.map(|platform| (platform.os, platform.architecture)),
            })
        };
        images.map(entry).collect::<Result<_, Flaw>>().map(Self)
    }

    /// The images for Linux on one of `architectures`, each once. Those of which nothing is known are among them.
    pub(super) fn fitting(&self, architectures: &[&str]) -> Vec<&Digest> {
        let fits = |entry: &&Entry| {
            let platform = entry.platform.as_ref();
            platform
                .is_none_or(|(os, architecture)| os == platform::OS && architectures.contains(&architecture.as_str()))
        };
        let mut fitting: Vec<_> = self.0.iter().filter(fits).map(|entry| &entry.digest).collect();
        fitting.sort_unstable();
        fitting.dedup();
        fitting
    }

    /// The platforms in it, for people: `linux/arm64, linux/s390x`.
    pub(super) fn platforms(&self) -> String {
        const MOST_SHOWN: usize = 12;
        let platforms = self.0.iter().filter_map(|entry| entry.platform.as_ref());
        // What describes an image and is none is of platform `unknown/unknown`.
        let real = platforms.filter(|(os, _)| os != "unknown");
        let mut names: Vec<_> = real.map(|(os, architecture)| format!("{os}/{architecture}")).collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(MOST_SHOWN);
        names.join(", ")
    }
}

/// Reads `ENTRYPOINT` and `CMD` of a configuration whose digest was checked.
pub(super) fn config(content: &[u8]) -> Result<ImageConfig, Flaw> {
    #[derive(Deserialize)]
    struct Image {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        entrypoint: Option<Vec<String>>,
        cmd: Option<Vec<String>>,
    }
    let image: Image = serde_json::from_slice(content).map_err(|_| "its configuration is not the JSON of one")?;
    let (entrypoint, cmd) = image.config.map_or((None, None), |it| (it.entrypoint, it.cmd));
    let found = ImageConfig {
        entrypoint: entrypoint.unwrap_or_default(),
        cmd: cmd.unwrap_or_default(),
    };
    let words = || found.entrypoint.iter().chain(&found.cmd);
    if words().any(|word| word.contains('\0')) {
        return Err("its ENTRYPOINT or CMD contains a NUL, which no program can be given");
    }
    if words().count() > MOST_WORDS || words().map(String::len).sum::<usize>() > MOST_TEXT {
        return Err("its ENTRYPOINT and CMD have more than 512 words or 32 KiB");
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
