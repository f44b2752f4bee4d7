"""The SDK lives through throttling and a fault; the target has a vault for each, whose first answers are such."""

from .harness import CheckList, Harness, equal
from .recording import RecordingTransport


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("throttling.retry-after", retry_after)
    checks.add("throttling.without-retry-after", lambda run: survives(run, "throttledSilently", [429]))
    checks.add("throttling.server-error", lambda run: survives(run, "failing", [503]))


def survives(run: Harness, vault: str, expected: list[int]) -> RecordingTransport:
    """Reads the known secret of `vault`; the answers must have been `expected`, then 200 (challenges aside)."""
    known = run.target["knownSecret"]
    transport = RecordingTransport()
    read = run.target.secrets(vault=vault, transport=transport).get_secret(known["name"])
    equal(read.value, known["value"], "value")
    equal([status for status in transport.statuses() if status != 401], [*expected, 200], "statuses")
    return transport


def retry_after(run: Harness) -> None:
    transport = survives(run, "throttled", [429, 429])
    waited = transport.times[-1] - next(
        when for when, status in zip(transport.times, transport.statuses()) if status == 429
    )
    assert 2 <= waited < 10, f"waited {waited:.2f} s for two times Retry-After: 1"
