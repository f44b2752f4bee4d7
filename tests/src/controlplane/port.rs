//! Free TCP ports.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

/// Below the ranges from which systems take the ports of outgoing connections (Linux: 32768 and up): a client that tries to
/// reach a stopped server again and again must not be given that server's own port and connect to itself.
const RANGE: Range<u16> = 20_000..32_000;
const ATTEMPTS: usize = 100;

/// A port of 127.0.0.1 that nobody listens on at the moment. Somebody may do so before the caller does: callers try again then.
pub(super) fn free() -> io::Result<u16> {
    let size = u64::from(RANGE.end - RANGE.start);
    for _ in 0..ATTEMPTS {
        // A fresh hasher is seeded at random.
        let offset = u16::try_from(RandomState::new().hash_one(()) % size).expect("the range has less than 2^16 ports");
        let port = RANGE.start + offset;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        format!("no free port found in {RANGE:?} on 127.0.0.1"),
    ))
}
