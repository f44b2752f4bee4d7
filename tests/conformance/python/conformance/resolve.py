"""Name resolution for `*.localhost`.

RFC 6761 wants these names to mean the loopback address; glibc's resolver does not do that without systemd-resolved.
And MSAL for Python drops the port of the authority in one request (the user realm of ROPC), so port 443 of these names
leads to the port of the authority. This is the one thing the harness changes in the process: the SDKs themselves are used as they are.
"""

import socket
from urllib.parse import urlsplit


def resolve_localhost(authority: str | None) -> None:
    """Makes every name under `.localhost` resolve to 127.0.0.1 in this process; `authority` (URL) tells what 443 means there."""
    original = socket.getaddrinfo
    instead_of_443 = urlsplit(authority).port if authority else 443

    def getaddrinfo(host, port, *args, **kwargs):
        if isinstance(host, str) and host.rstrip(".").endswith(".localhost"):
            host, port = "127.0.0.1", instead_of_443 if port == 443 else port
        return original(host, port, *args, **kwargs)

    socket.getaddrinfo = getaddrinfo
