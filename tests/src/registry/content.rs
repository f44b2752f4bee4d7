//! What a registry holds.

use std::collections::HashMap;

use crate::image::Blob;

/// Manifests by tag and digest, and blobs by digest, in repositories.
#[derive(Debug, Default)]
pub(super) struct Content {
    repositories: HashMap<String, Repository>,
}

#[derive(Debug, Default)]
struct Repository {
    tags: HashMap<String, String>,
    manifests: HashMap<String, Blob>,
    blobs: HashMap<String, Blob>,
}

impl Content {
    /// Adds a manifest, moves `tag` to it, and gives its digest.
    pub(super) fn add_manifest(&mut self, repository: &str, tag: Option<&str>, manifest: Blob) -> String {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        let digest = manifest.digest.clone();
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        repository.manifests.insert(digest.clone(), manifest);
        digest
    }

    /// Adds a blob, in place of one with the same digest.
    pub(super) fn add_blob(&mut self, repository: &str, blob: Blob) {
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.blobs.insert(blob.digest.clone(), blob);
    }

    /// The manifest that a tag or digest names.
    pub(super) fn manifest(&self, repository: &str, reference: &str) -> Option<&Blob> {
        let repository = self.repositories.get(repository)?;
        let digest = repository.tags.get(reference).map_or(reference, String::as_str);
        repository.manifests.get(digest)
    }

    /// The blob of a digest.
    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<&Blob> {
        self.repositories.get(repository)?.blobs.get(digest)
    }
}
