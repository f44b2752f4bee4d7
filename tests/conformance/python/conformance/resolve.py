"""Name resolution for `*.localhost`.

RFC 6761 wants these names to mean the loopback address; glibc's resolver does not do that without systemd-resolved.
This is the one thing the harness changes in the process: the SDKs themselves are used as they are.
"""

import socket


def resolve_localhost() -> None:
    """Makes every name under `.localhost` resolve to 127.0.0.1 in this process."""
    original = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        if isinstance(host, str) and host.rstrip(".").endswith(".localhost"):
            host = "127.0.0.1"
        return original(host, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
