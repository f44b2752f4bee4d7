"""Challenge, api-version, and tokens that must not be believed."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode

from azure.core.credentials import AccessToken

from .harness import CheckList, Harness, equal, refused
from .recording import RecordingTransport


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("protocol.challenge", challenge)
    checks.add("protocol.api-version", api_version)
    checks.add("protocol.foreign-audience", foreign_audience)
    checks.add("protocol.foreign-tenant", foreign_tenant)
    checks.add("protocol.forged-token", forged_token)


class FixedToken:
    """A credential that always hands out one token."""

    def __init__(self, token: str):
        self.token = token

    def get_token(self, *_scopes, **_options) -> AccessToken:
        """The one token, said to be valid for an hour."""
        return AccessToken(self.token, int(time.time()) + 3600)


def challenge(run: Harness) -> None:
    # First in the list: the SDK keeps challenges per vault for the whole process.
    transport = RecordingTransport()
    client = run.target.secrets(transport=transport)
    name = run.name("challenge")
    client.set_secret(name, "v")
    client.get_secret(name)
    equal(transport.statuses(), [401, 200, 200], "statuses of set and get")
    header = transport.responses[0].headers["WWW-Authenticate"]
    assert header.startswith("Bearer "), header
    if not run.target.live:
        assert f'authorization="{run.target["authority"]}/{run.target.tenant}"' in header, header
        assert f'resource="{run.target["resource"]}"' in header, header


def api_version(run: Harness) -> None:
    with refused(400, "BadParameter"):
        run.target.secrets(api_version="1999-01-01").get_secret("any")


def foreign_audience(run: Harness) -> None:
    token = run.target.app("owner").get_token("https://management.azure.com/.default").token
    expect_unauthorized(run, token, "AKV10022")


def foreign_tenant(run: Harness) -> None:
    credential = run.target.app("foreign", tenant=run.target["foreignTenant"])
    token = credential.get_token(run.target.scope).token
    expect_unauthorized(run, token, "AKV10032")


def forged_token(run: Harness) -> None:
    header, payload, signature = run.target.owner().get_token(run.target.scope).token.split(".")
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["oid"] = "00000000-0000-0000-0000-000000000001"
    payload = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    expect_unauthorized(run, f"{header}.{payload}.{signature}", "")


def expect_unauthorized(run: Harness, token: str, word: str) -> None:
    """The vault answers 401 Unauthorized to `token`, with `word` in the message."""
    with refused(401, "Unauthorized") as answer:
        run.target.secrets(FixedToken(token)).get_secret("any")
    assert word in answer["message"], answer["message"]
