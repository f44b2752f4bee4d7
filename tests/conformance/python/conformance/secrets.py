"""Secrets: the whole life of one, and what is refused."""

import re
from datetime import datetime, timedelta, timezone

from .harness import CheckList, Harness, equal, refused, wait_until_gone

VERSION = re.compile(r"^[0-9a-f]{32}$")


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("secrets.set-get", set_get)
    checks.add("secrets.attributes", attributes)
    checks.add("secrets.versions", versions)
    checks.add("secrets.list-versions", list_versions)
    checks.add("secrets.list-pages", list_pages)
    checks.add("secrets.page-size", page_size)
    checks.add("secrets.update", update)
    checks.add("secrets.disabled", disabled)
    checks.add("secrets.outside-validity", outside_validity)
    checks.add("secrets.not-found", not_found)
    checks.add("secrets.version-not-found", version_not_found)
    checks.add("secrets.bad-name", bad_name)
    checks.add("secrets.too-large", too_large)
    checks.add("secrets.delete", delete)
    checks.add("secrets.deleted-conflict", deleted_conflict)
    checks.add("secrets.recover", recover)
    checks.add("secrets.purge", purge)


def instant(days: float) -> datetime:
    """A time in whole seconds, `days` from now."""
    return (datetime.now(timezone.utc) + timedelta(days=days)).replace(microsecond=0)


def set_get(run: Harness) -> None:
    name = run.name("set-get")
    value = "pä55wörd \"quoted\"\nsecond line\t\U0001f511"
    before = datetime.now(timezone.utc) - timedelta(seconds=60)
    written = run.secrets.set_secret(name, value)
    read = run.secrets.get_secret(name)
    equal(read.value, value, "value")
    equal(read.id, written.id, "id")
    assert VERSION.match(read.properties.version), read.properties.version
    equal(read.id, f"{run.target['vaults']['main'].rstrip('/')}/secrets/{name}/{read.properties.version}", "id")
    for when in (read.properties.created_on, read.properties.updated_on):
        equal(when.microsecond, 0, "fraction of the second")
        assert before < when < datetime.now(timezone.utc) + timedelta(seconds=60), when
    equal(read.properties.enabled, True, "enabled")
    assert read.properties.recovery_level.startswith("Recoverable") or run.target.live, read.properties.recovery_level


def attributes(run: Harness) -> None:
    name = run.name("attributes")
    not_before, expires = instant(-1), instant(30)
    tags = {"owner": "team a", "umlaut": "ä"}
    run.secrets.set_secret(
        name, "v", content_type="text/plain", tags=tags, enabled=True, not_before=not_before, expires_on=expires
    )
    read = run.secrets.get_secret(name).properties
    equal(read.content_type, "text/plain", "contentType")
    equal(read.tags, tags, "tags")
    equal(read.not_before, not_before, "nbf")
    equal(read.expires_on, expires, "exp")


def versions(run: Harness) -> None:
    name = run.name("versions")
    first = run.secrets.set_secret(name, "one").properties.version
    second = run.secrets.set_secret(name, "two").properties.version
    assert first != second
    equal(run.secrets.get_secret(name).properties.version, second, "newest version")
    equal(run.secrets.get_secret(name).value, "two", "newest value")
    equal(run.secrets.get_secret(name, first).value, "one", "value of the first version")


def list_versions(run: Harness) -> None:
    name = run.name("list-versions")
    made = {run.secrets.set_secret(name, f"value {i}").properties.version for i in range(3)}
    listed = list(run.secrets.list_properties_of_secret_versions(name))
    equal({p.version for p in listed}, made, "versions")
    equal({p.name for p in listed}, {name}, "names")


def list_pages(run: Harness) -> None:
    names = {run.name(f"page-{i:02}") for i in range(30)}
    for name in names:
        run.secrets.set_secret(name, "v")
    pages = [list(page) for page in run.secrets.list_properties_of_secrets().by_page()]
    listed = [p for page in pages for p in page]
    assert len(pages) > 1, "all on one page"
    assert max(len(page) for page in pages) <= 25, [len(page) for page in pages]
    equal(names - {p.name for p in listed}, set(), "names missing from the list")
    equal(len({p.id for p in listed}), len(listed), "number of distinct ids")
    equal({p.version for p in listed}, {None}, "versions in the list")


def page_size(run: Harness) -> None:
    for i in range(5):
        run.secrets.set_secret(run.name(f"size-{i}"), "v")
    sizes = [len(list(page)) for page in run.secrets.list_properties_of_secrets(max_page_size=3).by_page()]
    assert max(sizes) <= 3 and len(sizes) > 1, sizes


def update(run: Harness) -> None:
    name = run.name("update")
    written = run.secrets.set_secret(name, "kept", tags={"a": "1"}, content_type="old")
    expires, not_before = instant(7), instant(-7)
    changed = run.secrets.update_secret_properties(
        name, content_type="new", tags={"b": "2"}, expires_on=expires, not_before=not_before
    )
    equal(changed.version, written.properties.version, "version")
    read = run.secrets.get_secret(name)
    equal(read.value, "kept", "value")
    equal(read.properties.content_type, "new", "contentType")
    equal(read.properties.tags, {"b": "2"}, "tags")
    equal(read.properties.expires_on, expires, "exp")
    equal(read.properties.not_before, not_before, "nbf")
    assert read.properties.updated_on >= written.properties.updated_on
    equal(read.properties.created_on, written.properties.created_on, "created")


def disabled(run: Harness) -> None:
    name = run.name("disabled")
    run.secrets.set_secret(name, "v")
    run.secrets.update_secret_properties(name, enabled=False)
    with refused(403, "Forbidden", "SecretDisabled"):
        run.secrets.get_secret(name)
    listed = [p for p in run.secrets.list_properties_of_secrets() if p.name == name]
    equal([p.enabled for p in listed], [False], "enabled in the list")
    run.secrets.update_secret_properties(name, enabled=True)
    equal(run.secrets.get_secret(name).value, "v", "value")


def outside_validity(run: Harness) -> None:
    expired, early = run.name("expired"), run.name("early")
    run.secrets.set_secret(expired, "old", not_before=instant(-3), expires_on=instant(-2))
    run.secrets.set_secret(early, "new", not_before=instant(2), expires_on=instant(3))
    equal(run.secrets.get_secret(expired).value, "old", "value of the expired one")
    equal(run.secrets.get_secret(early).value, "new", "value of the early one")


def not_found(run: Harness) -> None:
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(f"{run.target.prefix}-nowhere")


def version_not_found(run: Harness) -> None:
    name = run.name("version-not-found")
    run.secrets.set_secret(name, "v")
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(name, "0" * 32)


def bad_name(run: Harness) -> None:
    with refused(400, "BadParameter"):
        run.secrets.set_secret(f"{run.target.prefix}_underscore", "v")


def too_large(run: Harness) -> None:
    name = run.name("large")
    run.secrets.set_secret(name, "x" * 25_000)
    equal(len(run.secrets.get_secret(name).value), 25_000, "length")
    with refused(400, "BadParameter"):
        run.secrets.set_secret(name, "x" * 25_601)


def delete(run: Harness) -> None:
    name = run.name("delete")
    run.secrets.set_secret(name, "v")
    deleted = run.secrets.begin_delete_secret(name).result()
    equal(deleted.name, name, "name")
    assert deleted.scheduled_purge_date > deleted.deleted_date, "purge date"
    assert deleted.recovery_id.endswith(f"/deletedsecrets/{name}"), deleted.recovery_id
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(name)
    assert name in {s.name for s in run.secrets.list_deleted_secrets()}, "not among the deleted ones"
    assert name not in {p.name for p in run.secrets.list_properties_of_secrets()}, "still listed"


def deleted_conflict(run: Harness) -> None:
    name = run.name("conflict")
    run.secrets.set_secret(name, "v")
    run.secrets.begin_delete_secret(name).wait()
    with refused(409, "Conflict", "ObjectIsDeletedButRecoverable"):
        run.secrets.set_secret(name, "again")


def recover(run: Harness) -> None:
    name = run.name("recover")
    first = run.secrets.set_secret(name, "one").properties.version
    run.secrets.set_secret(name, "two")
    run.secrets.begin_delete_secret(name).wait()
    equal(run.secrets.begin_recover_deleted_secret(name).result().name, name, "name")
    equal(run.secrets.get_secret(name).value, "two", "newest value")
    equal(run.secrets.get_secret(name, first).value, "one", "first value")


def purge(run: Harness) -> None:
    name = run.name("purge")
    run.secrets.set_secret(name, "v")
    run.secrets.begin_delete_secret(name).wait()
    run.secrets.purge_deleted_secret(name)
    wait_until_gone(lambda: run.secrets.get_deleted_secret(name))
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(name)
    run.secrets.set_secret(name, "reborn")
    equal(len(list(run.secrets.list_properties_of_secret_versions(name))), 1, "number of versions")
