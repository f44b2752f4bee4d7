"""Registers checks, runs them in the order of ../../checks.json, prints one line each and a closing line."""

import json
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from .target import Target

CHECKS_FILE = Path(__file__).resolve().parents[2] / "checks.json"


class CheckList:
    """The functions that implement the list, by the ids of the list."""

    def __init__(self, language: str):
        self.language = language
        self.functions = {}

    def add(self, identifier: str, function) -> None:
        """Says that `function(run)` implements the check `identifier`."""
        if identifier in self.functions:
            raise ValueError(f"check {identifier} is registered twice")
        self.functions[identifier] = function


class Harness:
    """One run of the list against one target."""

    def __init__(self, target: Target, checks: CheckList):
        self.target = target
        self.checks = checks
        self.created = []
        self.secrets = target.secrets()
        self.keys = target.keys()
        self.certificates = target.certificates()
        checks.add("cleanup", cleanup)

    def run(self) -> int:
        """Runs everything that applies to the target; the exit code of the program."""
        listed = json.loads(CHECKS_FILE.read_text(encoding="utf-8"))
        surplus = set(self.checks.functions) - {check["id"] for check in listed}
        if surplus:
            raise ValueError(f"checks that the list does not know: {sorted(surplus)}")
        applicable = [check for check in listed if check["live"] or not self.target.live]
        failed = sum(not self.run_one(check["id"]) for check in applicable)
        left_out = len(listed) - len(applicable)
        note = f" ({left_out} need the emulator and were left out)" if left_out else ""
        print(f"{self.checks.language}: {len(applicable) - failed} passed, {failed} failed{note}", flush=True)
        return 1 if failed else 0

    def run_one(self, identifier: str) -> bool:
        """Runs one check and prints its line; whether it passed."""
        function = self.checks.functions.get(identifier)
        if function is None:
            print(f"FAIL {identifier} is in the list but not implemented", flush=True)
            return False
        start = time.monotonic()
        try:
            function(self)
        except Exception as error:  # noqa: BLE001 - whatever a check raises is its failure
            place = traceback.extract_tb(error.__traceback__)
            line = next((f for f in reversed(place) if "/python/conformance/" in f.filename), place[-1])
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            print(f"FAIL {identifier} {reason} [{Path(line.filename).name}:{line.lineno}]", flush=True)
            return False
        print(f"ok {identifier} ({time.monotonic() - start:.2f} s)", flush=True)
        return True

    def name(self, word: str, kind: str = "secret") -> str:
        """A name nobody else uses, for an object of `kind` that `cleanup` removes."""
        name = f"{self.target.prefix}-{word}"
        self.created.append((kind, name))
        return name


def cleanup(run: Harness) -> None:
    """Deletes and purges what the run created. Certificates take their key and secret along."""
    left = []
    created, run.created = dict.fromkeys(run.created), []
    for kind, name in created:
        if kind == "issuer":
            run.certificates.delete_issuer(name)
            continue
        begin_delete, get_deleted, purge = deletion(run, kind)
        try:
            with ignoring_not_found():
                begin_delete(name).wait()
            with ignoring_not_found():
                purge(name)
            wait_until_gone(lambda: get_deleted(name))
        except Exception as error:  # noqa: BLE001 - go on and remove the rest
            left.append(f"{kind} {name}: {error}")
    names = [name for _, name in created]
    listed = [p.name for p in run.secrets.list_properties_of_secrets()]
    listed += [p.name for p in run.keys.list_properties_of_keys()]
    listed += [p.name for p in run.certificates.list_properties_of_certificates()]
    left += [f"{name} is still listed" for name in listed if name in names]
    assert created, "nothing was created"
    assert not left, f"left behind: {left}"


def deletion(run: Harness, kind: str):
    """The three methods of the SDK that delete, look for and purge a deleted object of `kind`."""
    return {
        "secret": (run.secrets.begin_delete_secret, run.secrets.get_deleted_secret, run.secrets.purge_deleted_secret),
        "key": (run.keys.begin_delete_key, run.keys.get_deleted_key, run.keys.purge_deleted_key),
        "certificate": (
            run.certificates.begin_delete_certificate,
            run.certificates.get_deleted_certificate,
            run.certificates.purge_deleted_certificate,
        ),
    }[kind]


def wait_until_gone(get, seconds: float = 60) -> None:
    """Waits until `get` answers 404; a purge of the real service takes a while."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            get()
        except ResourceNotFoundError:
            return
        time.sleep(0.5)
    raise AssertionError(f"still there after {seconds} s")


@contextmanager
def ignoring_not_found():
    """Lets an object that is gone already pass."""
    try:
        yield
    except ResourceNotFoundError:
        pass


@contextmanager
def refused(status: int, code: str, inner: str | tuple | None = None):
    """The block must be answered with this status and these codes in the error body; yields a holder of the error."""
    holder = {}
    try:
        yield holder
    except HttpResponseError as error:
        holder["error"] = error
        body = json.loads(error.response.text())["error"]
        inner_code = (body.get("innererror") or {}).get("code")
        holder["message"] = body["message"]
        equal(error.status_code, status, "status")
        equal(body["code"], code, "error.code")
        if inner is not None:
            allowed = inner if isinstance(inner, tuple) else (inner,)
            assert inner_code in allowed, f"error.innererror.code is {inner_code!r}, expected one of {allowed}"
        return
    raise AssertionError(f"succeeded, expected {status} {code}")


@contextmanager
def raises_saying(*words: str):
    """The block must raise something whose message has every one of `words`."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 - the class differs by credential, the words are what counts
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"the message lacks {missing}: {error}"
        return
    raise AssertionError(f"succeeded, expected a failure saying {words}")


def equal(actual, expected, what: str) -> None:
    """Fails naming both values when they differ."""
    assert actual == expected, f"{what} is {actual!r}, expected {expected!r}"
