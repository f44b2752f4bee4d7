//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr};

use thiserror::Error;

/// How far a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Wherever it is sent.
    Anywhere,
    /// Never to this machine or its link: strangers say where it goes.
    Outward,
}

/// An address that is not for strangers to name.
#[derive(Debug, Error)]
#[error("{0} is an address of this machine or its link, and is not asked")]
pub(super) struct NotOutward(pub(super) IpAddr);

/// Azure's platform agent on every virtual machine.
const WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

impl Reach {
    pub(super) fn allows(self, address: IpAddr) -> bool {
        self == Self::Anywhere || is_outward(address.to_canonical())
    }

    /// The address that `host` is, if it is one and may not be connected to.
    pub(super) fn forbids_literal(self, host: &str) -> Option<IpAddr> {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        (!self.allows(address)).then_some(address)
    }
}

fn is_outward(address: IpAddr) -> bool {
    let own = address.is_loopback() || address.is_unspecified() || address.is_multicast();
    !own && match address {
        IpAddr::V4(address) => !address.is_link_local() && !address.is_broadcast() && address != WIRE_SERVER,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_name_this_machine_or_its_link() {
        for (host, allowed) in [
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("168.63.129.16", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("[::1]", false),
            ("[::]", false),
            ("[fe80::1]", false),
            ("[::ffff:127.0.0.1]", false),
            ("[::ffff:169.254.169.254]", false),
            ("10.0.0.1", true),
            ("192.0.2.7", true),
            ("[2001:db8::1]", true),
            ("registry.example", true),
        ] {
            assert_eq!(Reach::Outward.forbids_literal(host).is_none(), allowed, "{host}");
            assert!(Reach::Anywhere.forbids_literal(host).is_none(), "{host}");
        }
    }
}
