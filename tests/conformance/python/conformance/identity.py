"""Identity: every way to become somebody, and the code Entra gives for every way it goes wrong."""

import json
import os
import urllib.error
import urllib.request
import ssl
import warnings
from contextlib import contextmanager
from pathlib import Path

from azure.identity import (
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
    UsernamePasswordCredential,
    WorkloadIdentityCredential,
)

from .harness import CheckList, Harness, equal, raises_saying


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("identity.client-secret", lambda run: reads(run, run.target.app("reader")))
    checks.add("identity.client-certificate", lambda run: reads(run, certificate(run, "certificate")))
    checks.add("identity.workload-identity", lambda run: reads(run, workload_identity(run, "valid")))
    checks.add("identity.client-assertion", lambda run: reads(run, client_assertion(run, "valid")))
    checks.add("identity.api-server-token", lambda run: reads(run, workload_identity(run, "apiServer")))
    checks.add("identity.managed-system", managed_system)
    checks.add("identity.managed-user", managed_user)
    checks.add("identity.managed-unknown", managed_unknown)
    checks.add("identity.app-service", app_service)
    checks.add("identity.user-password", lambda run: reads(run, user(run, run.target["user"]["password"])))
    checks.add("identity.wrong-password", lambda run: fails(run, user(run, "not this one"), "AADSTS50126"))
    checks.add("identity.wrong-secret", wrong_secret)
    checks.add("identity.expired-secret", lambda run: fails(run, run.target.app("expired"), "AADSTS7000222"))
    checks.add("identity.unknown-app", unknown_app)
    checks.add("identity.unknown-tenant", unknown_tenant)
    checks.add("identity.unregistered-certificate", unregistered_certificate)
    for identifier, token, code in (
        ("wrong-subject", "wrongSubject", "AADSTS700213"),
        ("wrong-audience", "wrongAudience", "AADSTS700212"),
        ("wrong-issuer", "wrongIssuer", "AADSTS700211"),
        ("api-server-wrong-audience", "apiServerWrongAudience", "AADSTS700212"),
        ("expired-assertion", "expired", "AADSTS700024"),
        ("forged-assertion", "forged", "AADSTS"),
    ):
        checks.add(
            f"identity.{identifier}",
            lambda run, token=token, code=code: fails(run, workload_identity(run, token), code),
        )


def reads(run: Harness, credential) -> None:
    """The credential reads the secret that the target holds for this."""
    secret = run.target["knownSecret"]
    read = run.target.secrets(credential).get_secret(secret["name"])
    equal(read.value, secret["value"], "value")


def fails(run: Harness, credential, *words: str) -> None:
    """No token is given, and the reason has `words`."""
    with raises_saying(*words):
        credential.get_token(run.target.scope)


def certificate(run: Harness, which: str) -> CertificateCredential:
    """The app that authenticates by certificate, with the PEM file (key and certificate) named `which`."""
    app = run.target["certificateApp"]
    return CertificateCredential(run.target.tenant, app["clientId"], app[which], **run.target.authority())


def workload_identity(run: Harness, token: str) -> WorkloadIdentityCredential:
    """The federated app with one of the token files of the target."""
    app = run.target["federatedApp"]
    return WorkloadIdentityCredential(
        tenant_id=run.target.tenant,
        client_id=app["clientId"],
        token_file_path=app["tokens"][token],
        **run.target.authority(),
    )


def client_assertion(run: Harness, token: str) -> ClientAssertionCredential:
    """The federated app with a callback that gives the token."""
    app = run.target["federatedApp"]
    return ClientAssertionCredential(
        run.target.tenant,
        app["clientId"],
        lambda: Path(app["tokens"][token]).read_text(encoding="ascii"),
        **run.target.authority(),
    )


def user(run: Harness, password: str) -> UsernamePasswordCredential:
    """The user of the target, with this password."""
    facts = run.target["user"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ROPC is deprecated; the contract has it
        return UsernamePasswordCredential(
            facts["clientId"], facts["name"], password, tenant_id=run.target.tenant, **run.target.authority()
        )


@contextmanager
def environment(**variables: str):
    """The process environment with these variables, restored afterwards."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def managed_system(run: Harness) -> None:
    with environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=run.target["imds"]):
        reads(run, ManagedIdentityCredential())


def managed_user(run: Harness) -> None:
    with environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=run.target["imds"]):
        reads(run, ManagedIdentityCredential(client_id=run.target["managedIdentity"]["clientId"]))


def managed_unknown(run: Harness) -> None:
    with environment(AZURE_POD_IDENTITY_AUTHORITY_HOST=run.target["imds"]):
        credential = ManagedIdentityCredential(client_id="00000000-0000-0000-0000-0000000000ff")
        fails(run, credential, "Identity not found")


def app_service(run: Harness) -> None:
    facts = run.target["appService"]
    with environment(IDENTITY_ENDPOINT=facts["endpoint"], IDENTITY_HEADER=facts["header"]):
        reads(run, ManagedIdentityCredential(client_id=facts["clientId"]))


def wrong_secret(run: Harness) -> None:
    client_id = run.target["apps"]["reader"]["clientId"]
    credential = ClientSecretCredential(run.target.tenant, client_id, "not this one", **run.target.authority())
    fails(run, credential, "AADSTS7000215")


def unknown_app(run: Harness) -> None:
    nobody = "00000000-0000-0000-0000-0000000000aa"
    credential = ClientSecretCredential(run.target.tenant, nobody, "any", **run.target.authority())
    fails(run, credential, "AADSTS700016")


def unknown_tenant(run: Harness) -> None:
    nowhere = "00000000-0000-0000-0000-0000000000bb"
    fails(run, run.target.app("reader", tenant=nowhere))
    url = f"{run.target['authority']}/{nowhere}/v2.0/.well-known/openid-configuration"
    trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    try:
        urllib.request.urlopen(url, context=trust)
    except urllib.error.HTTPError as error:
        body = json.load(error)
        equal((error.code, body["error"]), (400, "invalid_tenant"), "status and error")
        assert "AADSTS90002" in body["error_description"] and 90002 in body["error_codes"], body
        return
    raise AssertionError("the metadata of an unknown tenant was served")


def unregistered_certificate(run: Harness) -> None:
    fails(run, certificate(run, "unregistered"), "AADSTS700027")
