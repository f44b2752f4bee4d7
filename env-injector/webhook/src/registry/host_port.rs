//! Where a registry is, as lists, images and addresses name it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// `HOST[:PORT]`. What means the same is the same: in lower case, addresses in their shortest form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: String,
    port: Option<u16>,
}

/// It is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no HOST[:PORT]")]
pub struct NoHostPort;

impl FromStr for HostPort {
    type Err = NoHostPort;

    fn from_str(text: &str) -> Result<Self, NoHostPort> {
        // The colons of an IPv6 address are in brackets.
        let end = text.find(']').map_or(0, |bracket| bracket + 1);
        let (host, port) = match text[end..].split_once(':') {
            Some((rest, port)) => (&text[..end + rest.len()], Some(port)),
            None => (text, None),
        };
        let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
        let port = port.map(|port| port.parse().ok().filter(|_| digits(port)).ok_or(NoHostPort));
        match Host::parse(host) {
            Ok(parsed) if !host.contains(['*', '%']) => Ok(Self {
                host: parsed.to_string(),
                port: port.transpose()?,
            }),
            _ => Err(NoHostPort),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl HostPort {
    /// Where an address leads; `None`: to no host. Its scheme says what is meant without a port.
    pub(super) fn of(url: &Url) -> Option<Self> {
        Some(Self {
            host: url.host_str()?.to_owned(),
            port: url.port_or_known_default(),
        })
    }

    /// Whether it is one of `listed`, when who names no port means `usual`.
    pub(super) fn is_among(&self, listed: &BTreeSet<Self>, usual: u16) -> bool {
        let port = |it: &Self| it.port.unwrap_or(usual);
        listed.iter().any(|it| it.host == self.host && port(it) == port(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HostPort, NoHostPort> {
        text.parse()
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (one, other) in [
            ("Registry.local:5000", "registry.local:5000"),
            ("[0:0:0:0:0:0:0:1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]"),
            ("localhost:0443", "localhost:443"),
        ] {
            assert_eq!(read(one), read(other), "{one}");
            assert_eq!(read(one).unwrap().to_string(), read(other).unwrap().to_string());
        }
        assert_ne!(read("localhost"), read("localhost:443"), "who knows which scheme");
    }

    #[test]
    fn without_a_port_the_usual_one_is_meant() {
        let listed = |text: &str| BTreeSet::from([read(text).unwrap()]);
        for (list, url, is_among) in [
            ("localhost:443", "https://localhost/v2/", true),
            ("localhost", "https://localhost:443/v2/", true),
            ("localhost", "https://localhost:5000/v2/", false),
            ("localhost:80", "https://localhost/v2/", false),
            ("Registry.local:5000", "http://Registry.local:5000/v2/", true),
            ("registry.local:80", "http://registry.local:80/v2/", true),
            ("registry.local", "http://registry.local/v2/", true),
        ] {
            let url: Url = url.parse().unwrap();
            let usual = if url.scheme() == "http" { 80 } else { 443 };
            let found = HostPort::of(&url).unwrap().is_among(&listed(list), usual);
            assert_eq!(found, is_among, "{list} {url}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "", ":5000", "a:", "a:x", "a:+1", "a:70000", "http://a", "a/b", "u@a", "*", "*.a", "[::1", "[::1]x:1",
            "a b",
        ] {
            assert_eq!(read(text), Err(NoHostPort), "{text:?}");
        }
    }
}
