//! The name of an image, as containers write it.
//!
//! Grammar: <https://pkg.go.dev/github.com/distribution/reference>; what is left out is filled in as Docker and Kubernetes do.

use std::fmt;
use std::net::Ipv6Addr;

use super::digest::Digest;

/// The registry of names that mention none.
const DOCKER_HUB: &str = "docker.io";
/// Where it answers.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Most characters of registry and path together.
const LONGEST_NAME: usize = 255;
/// Most characters of a tag.
const LONGEST_TAG: usize = 128;

/// A repository: where an image is, without saying which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// `HOST[:PORT]` as it is written; Docker Hub is `docker.io`.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry: `library/nginx`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// `HOST[:PORT]` to connect to.
    pub(super) fn api(&self) -> &str {
        match self.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_API,
            registry => registry,
        }
    }

    /// Whether it is on Docker Hub, which has a name of its own in credentials.
    pub(super) fn is_on_docker_hub(&self) -> bool {
        self.registry == DOCKER_HUB
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// Which image of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Version {
    /// Whatever has this tag now.
    Tag(String),
    /// This one for ever.
    Digest(Digest),
}

/// A whole name: `ghcr.io/team/app:1.2`, `nginx`, `app@sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ImageName {
    pub(super) repository: Repository,
    /// The tag, `latest` when there is neither; the digest alone when there are both.
    pub(super) version: Version,
}

impl ImageName {
    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, a clause.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = Digest::parse(digest).ok_or("what follows the @ is no sha256 or sha512 digest")?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to the registry's port.
        let path = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[path..].split_once(':') {
            Some((last, tag)) => (&rest[..path + last.len()], Some(tag)),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err("what follows the last colon is no tag");
        }
        let version = match digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(tag.unwrap_or("latest").to_owned()),
        };
        let repository = repository(name)?;
        Ok(Self { repository, version })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Version::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Version::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

fn repository(name: &str) -> Result<Repository, &'static str> {
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path.to_owned()),
        _ => (DOCKER_HUB, name.to_owned()),
    };
    let registry = if registry == "index.docker.io" {
        DOCKER_HUB
    } else {
        registry
    };
    let path = match registry {
        DOCKER_HUB if !path.contains('/') => format!("library/{path}"),
        _ => path,
    };
    if !is_host(registry) {
        return Err("its registry is no host name with an optional port");
    }
    if !path.split('/').all(is_component) {
        return Err("its path has other parts than lower-case letters and digits, joined by '.', '_', '__' or hyphens");
    }
    let repository = Repository {
        registry: registry.to_owned(),
        path,
    };
    if repository.registry.len() + repository.path.len() >= LONGEST_NAME {
        return Err("it is longer than 255 characters");
    }
    Ok(repository)
}

/// Whether the first part of a name is a registry, and not a directory of Docker Hub.
fn is_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = text
        .split_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().next_back()];
        ends.iter().all(|end| end.is_some_and(|b| b.is_ascii_alphanumeric()))
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Letters and digits, joined by one `.`, one or two `_`, or any number of hyphens.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = text.split(|c: char| c.is_ascii() && alphanumeric(c as u8));
    let inner = separators.filter(|it| !it.is_empty());
    let ends = [text.bytes().next(), text.bytes().next_back()];
    ends.iter().all(|end| end.is_some_and(alphanumeric))
        && inner
            .into_iter()
            .all(|it| matches!(it, "." | "_" | "__") || it.bytes().all(|b| b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= LONGEST_TAG
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIGITS: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn names_mean_what_docker_and_kubernetes_take_them_for() {
        for (text, meaning) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("team/app", "docker.io/team/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/nginx", "docker.io/library/nginx:latest"),
            ("docker.io/team/app:v1", "docker.io/team/app:v1"),
            ("ghcr.io/team/app:v1", "ghcr.io/team/app:v1"),
            ("my.azurecr.io/app", "my.azurecr.io/app:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x"),
            ("[::1]:5000/app:1", "[::1]:5000/app:1"),
            ("[::1]/app", "[::1]/app:latest"),
            ("Registry/app", "Registry/app:latest"),
            ("host:5000/app:1_2.3-4", "host:5000/app:1_2.3-4"),
            ("a/b__c/d---e/f.g_h", "docker.io/a/b__c/d---e/f.g_h:latest"),
        ] {
            assert_eq!(
                ImageName::parse(text).map(|it| it.to_string()).as_deref(),
                Ok(meaning),
                "{text}"
            );
        }
    }

    #[test]
    fn a_digest_decides_alone() {
        for text in ["app", "app:1", "docker.io/library/app:1"] {
            let name = ImageName::parse(&format!("{text}@sha256:{DIGITS}")).unwrap();
            assert_eq!(name.to_string(), format!("docker.io/library/app@sha256:{DIGITS}"));
        }
    }

    #[test]
    fn docker_hub_answers_elsewhere() {
        let api = |text| ImageName::parse(text).unwrap().repository.api().to_owned();
        assert_eq!(api("nginx"), "registry-1.docker.io");
        assert_eq!(api("ghcr.io/nginx"), "ghcr.io");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "a".repeat(256);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            " ",
            "nginx:",
            ":1",
            "/nginx",
            "nginx/",
            "a//b",
            "Nginx",
            "a b",
            "a/B",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            ".a",
            "nginx:-1",
            "nginx:a b",
            "nginx:é",
            "nginx@",
            "nginx@sha256:",
            "nginx@md5:0123",
            "https://ghcr.io/app",
            "user:pw@ghcr.io/app",
            "ghcr.io:99999/app",
            "ghcr.io:/app",
            "ghcr.io:+1/app",
            "-ghcr.io/app",
            "ghcr..io/app",
            "[::1/app",
            "[::g]/app",
            "[::1]x/app",
            "ghcr.io/app?x",
            "ghcr.io/app#x",
            "ghcr.io/../app",
            "ghcr.io\\app/x",
            "ghcr.io/%2e/app",
            "a\0b",
            &long,
            &tag,
        ] {
            assert!(ImageName::parse(text).is_err(), "{text:?}");
        }
        let two = format!("app@sha256:{DIGITS}@sha256:{DIGITS}");
        assert!(ImageName::parse(&two).is_err());
    }

    proptest! {
        #[test]
        fn a_name_that_is_read_is_written_and_read_again_the_same(text in "[a-zA-Z0-9./:@_-]{0,40}") {
            if let Ok(name) = ImageName::parse(&text) {
                prop_assert_eq!(ImageName::parse(&name.to_string()), Ok(name));
            }
        }

        #[test]
        fn whatever_is_read_stays_inside_its_registry(text in ".{0,60}") {
            if let Ok(ImageName { repository, .. }) = ImageName::parse(&text) {
                let url = url::Url::parse(&format!("https://{}/v2/{}/x", repository.api(), repository.path())).unwrap();
                prop_assert_eq!(url.path(), format!("/v2/{}/x", repository.path()));
                prop_assert_eq!(url.username(), "");
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
