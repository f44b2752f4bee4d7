"""What a principal may do is decided by roles or access policies, `get` and `list` separately."""

from .harness import CheckList, Harness, equal, refused

# Azure has used both inner codes for a missing access policy.
BY_POLICY = ("ForbiddenByPolicy", "AccessDenied")


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("rbac.no-role", no_role)
    checks.add("rbac.secrets-user", secrets_user)
    checks.add("rbac.get-without-list", get_without_list)
    checks.add("rbac.list-without-get", list_without_get)


def no_role(run: Harness) -> None:
    name = run.target["knownSecret"]["name"]
    with refused(403, "Forbidden", "ForbiddenByRbac") as answer:
        run.target.secrets(run.target.app("nobody")).get_secret(name)
    for word in (run.target["apps"]["nobody"]["clientId"], "Microsoft.KeyVault/vaults/secrets/getSecret/action"):
        assert word in answer["message"], f"the message lacks {word}: {answer['message']}"


def secrets_user(run: Harness) -> None:
    known = run.target["knownSecret"]
    secrets = run.target.secrets(run.target.app("reader"))
    equal(secrets.get_secret(known["name"]).value, known["value"], "value")
    assert known["name"] in {p.name for p in secrets.list_properties_of_secrets()}, "not listed"
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        secrets.set_secret(f"{run.target.prefix}-refused", "v")
    with refused(403, "Forbidden", "ForbiddenByRbac"):
        run.target.keys(run.target.app("reader")).get_key("any")


def get_without_list(run: Harness) -> None:
    known = run.target["knownSecret"]
    secrets = run.target.secrets(run.target.app("getOnly"), vault="policy")
    equal(secrets.get_secret(known["name"]).value, known["value"], "value")
    with refused(403, "Forbidden", BY_POLICY):
        list(secrets.list_properties_of_secrets())


def list_without_get(run: Harness) -> None:
    known = run.target["knownSecret"]
    secrets = run.target.secrets(run.target.app("listOnly"), vault="policy")
    equal([p.name for p in secrets.list_properties_of_secrets()], [known["name"]], "names")
    with refused(403, "Forbidden", BY_POLICY):
        secrets.get_secret(known["name"])
