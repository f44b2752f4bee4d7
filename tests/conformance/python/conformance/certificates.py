"""Certificates: creation, import, the linked secret and key, and their life."""

import base64
from pathlib import Path

from azure.keyvault.certificates import CertificateContentType, CertificatePolicy, KeyVaultCertificate, LifetimeAction
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from .harness import CheckList, Harness, equal, refused, wait_until_gone
from .keys import ec_public, rsa_public
from .secrets import VERSION


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    checks.add("certificates.self-signed", self_signed)
    checks.add("certificates.linked-secret", linked_secret)
    checks.add("certificates.linked-key", linked_key)
    checks.add("certificates.pem-secret", pem_secret)
    checks.add("certificates.not-exportable", not_exportable)
    checks.add("certificates.ec", ec_certificates)
    checks.add("certificates.import-pfx", lambda run: import_pfx(run, "pfx", "import-pfx"))
    checks.add("certificates.import-pfx-legacy", lambda run: import_pfx(run, "pfxLegacy", "import-legacy"))
    checks.add("certificates.import-pem", import_pem)
    checks.add("certificates.import-wrong-password", import_wrong_password)
    checks.add("certificates.issuer-signed", issuer_signed)
    checks.add("certificates.policy", policy_read_back)
    checks.add("certificates.operation", operation)
    checks.add("certificates.versions", versions)
    checks.add("certificates.update", update)
    checks.add("certificates.list", list_certificates)
    checks.add("certificates.not-found", not_found)
    checks.add("certificates.delete-recover-purge", delete_recover_purge)


def policy(**options) -> CertificatePolicy:
    """A self-signed certificate for two DNS names; `options` change or add to that."""
    defaults = {
        "issuer_name": "Self",
        "subject": "CN=conformance.example",
        "san_dns_names": ["conformance.example", "www.conformance.example"],
        "key_type": "RSA",
        "key_size": 2048,
        "exportable": True,
        "content_type": CertificateContentType.pkcs12,
        "validity_in_months": 6,
    }
    return CertificatePolicy(**{**defaults, **options})


def create(run: Harness, word: str, **options) -> KeyVaultCertificate:
    """Creates a certificate through the SDK's poller and waits until it is there."""
    name = run.name(word, "certificate")
    made = run.certificates.begin_create_certificate(name, policy(**options)).result()
    assert isinstance(made, KeyVaultCertificate), f"the poller ended with {made}"
    equal(made.name, name, "name")
    return made


def parsed(certificate: KeyVaultCertificate) -> x509.Certificate:
    """The certificate as the foreign library reads it."""
    return x509.load_der_x509_certificate(bytes(certificate.cer))


def public_bytes(key) -> bytes:
    """The SubjectPublicKeyInfo of a key, to compare keys with."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def assert_self_signed(certificate: x509.Certificate) -> None:
    """Issuer and subject are equal, and the signature verifies with the certificate's own key."""
    certificate.verify_directly_issued_by(certificate)


def pem_certificates(text: str) -> list[x509.Certificate]:
    """All certificates of a PEM text, in order."""
    return x509.load_pem_x509_certificates(text.encode())


def self_signed(run: Harness) -> None:
    made = create(run, "self-signed")
    certificate = parsed(made)
    equal(certificate.subject.rfc4514_string(), "CN=conformance.example", "subject")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    equal(
        sorted(names.get_values_for_type(x509.DNSName)), ["conformance.example", "www.conformance.example"], "DNS names"
    )
    equal(certificate.public_key().key_size, 2048, "key size")
    days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days
    assert 175 <= days <= 190, f"valid for {days} days, expected six months"
    assert_self_signed(certificate)
    equal(bytes(made.properties.x509_thumbprint), certificate.fingerprint(hashes.SHA1()), "x5t")
    equal(made.properties.expires_on, certificate.not_valid_after_utc, "exp")
    equal(made.properties.not_before, certificate.not_valid_before_utc, "nbf")
    assert VERSION.match(made.properties.version), made.properties.version


def linked_secret(run: Harness) -> None:
    made = create(run, "linked-secret")
    secret = run.secrets.get_secret(made.name)
    equal(secret.properties.content_type, "application/x-pkcs12", "contentType")
    equal(secret.properties.managed, True, "managed")
    equal(secret.id, made.secret_id, "sid")
    equal(secret.properties.version, made.properties.version, "version")
    equal(secret.properties.key_id, made.key_id, "kid")
    key, certificate, _ = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), b"")
    equal(certificate.fingerprint(hashes.SHA1()), bytes(made.properties.x509_thumbprint), "certificate in the PFX")
    equal(public_bytes(key.public_key()), public_bytes(certificate.public_key()), "public part of the key in the PFX")


def linked_key(run: Harness) -> None:
    made = create(run, "linked-key")
    key = run.keys.get_key(made.name)
    equal(key.id, made.key_id, "kid")
    equal(key.properties.managed, True, "managed")
    equal(public_bytes(rsa_public(key.key)), public_bytes(parsed(made).public_key()), "public key")


def pem_secret(run: Harness) -> None:
    made = create(run, "pem-secret", content_type=CertificateContentType.pem)
    secret = run.secrets.get_secret(made.name)
    equal(secret.properties.content_type, "application/x-pem-file", "contentType")
    assert "-----BEGIN PRIVATE KEY-----" in secret.value, "no PKCS#8 key"
    key = load_pem_private_key(secret.value.encode(), None)
    certificates = pem_certificates(secret.value)
    equal(len(certificates), 1, "number of certificates")
    equal(certificates[0], parsed(made), "certificate")
    equal(public_bytes(key.public_key()), public_bytes(certificates[0].public_key()), "public part of the key")


def not_exportable(run: Harness) -> None:
    pem = create(run, "kept-pem", exportable=False, content_type=CertificateContentType.pem)
    secret = run.secrets.get_secret(pem.name)
    assert "PRIVATE KEY" not in secret.value, "the private key left the vault"
    equal(pem_certificates(secret.value), [parsed(pem)], "certificates")
    pfx = create(run, "kept-pfx", exportable=False)
    value = base64.b64decode(run.secrets.get_secret(pfx.name).value)
    key, certificate, others = pkcs12.load_key_and_certificates(value, b"")
    equal(key, None, "private key in the PFX")
    equal([c for c in (certificate, *others) if c], [parsed(pfx)], "certificates in the PFX")


def ec_certificates(run: Harness) -> None:
    for curve, size in (("P-256", 256), ("P-384", 384)):
        made = create(run, f"ec-{size}", key_type="EC", key_size=size, key_curve_name=curve)
        certificate = parsed(made)
        assert_self_signed(certificate)
        equal(certificate.public_key().key_size, size, "key size")
        jwk = run.keys.get_key(made.name).key
        equal(public_bytes(ec_public(jwk)), public_bytes(certificate.public_key()), "linked key")
        pfx = base64.b64decode(run.secrets.get_secret(made.name).value)
        key, _, _ = pkcs12.load_key_and_certificates(pfx, b"")
        equal(public_bytes(key.public_key()), public_bytes(certificate.public_key()), "key in the PFX")


def import_pfx(run: Harness, which: str, word: str) -> None:
    material = run.target["imports"]
    name = run.name(word, "certificate")
    made = run.certificates.import_certificate(
        name, Path(material[which]).read_bytes(), password=material["password"], policy=None
    )
    expected = pem_certificates(Path(material["pem"]).read_text(encoding="ascii"))
    equal(parsed(made), expected[0], "certificate")
    secret = run.secrets.get_secret(name)
    equal(secret.properties.content_type, "application/x-pkcs12", "contentType")
    key, certificate, others = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), b"")
    equal(certificate, expected[0], "certificate in the secret")
    equal(others, expected[1:], "chain in the secret")
    original = load_pem_private_key(Path(material["pem"]).read_bytes(), None)
    equal(key.private_numbers(), original.private_numbers(), "private key in the secret")


def import_pem(run: Harness) -> None:
    pem = Path(run.target["imports"]["pem"]).read_bytes()
    name = run.name("import-pem", "certificate")
    made = run.certificates.import_certificate(
        name, pem, policy=CertificatePolicy(issuer_name="Unknown", content_type=CertificateContentType.pem)
    )
    expected = pem_certificates(pem.decode())
    equal(parsed(made), expected[0], "certificate")
    secret = run.secrets.get_secret(name)
    equal(secret.properties.content_type, "application/x-pem-file", "contentType")
    equal(pem_certificates(secret.value), expected, "certificates in the secret")
    key, original = load_pem_private_key(secret.value.encode(), None), load_pem_private_key(pem, None)
    equal(key.private_numbers(), original.private_numbers(), "private key in the secret")


def import_wrong_password(run: Harness) -> None:
    pfx = Path(run.target["imports"]["pfx"]).read_bytes()
    with refused(400, "BadParameter"):
        run.certificates.import_certificate(f"{run.target.prefix}-wrong", pfx, password="not this one")


def issuer_signed(run: Harness) -> None:
    issuer_name = run.name("issuer", "issuer")
    run.certificates.create_issuer(issuer_name, "Test")
    made = create(run, "issued", issuer_name=issuer_name, content_type=CertificateContentType.pem)
    chain = pem_certificates(run.secrets.get_secret(made.name).value)
    current, length = parsed(made), 1
    assert current in chain and current.issuer != current.subject, "not signed by an issuer"
    # From the leaf to the root, each signed by the next, and nothing else in the file.
    while current.issuer != current.subject:
        current = next(other for other in chain if issued_by(current, other))
        length += 1
    equal(length, len(chain), "number of certificates in the chain")


def issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    """Whether `parent` has the name of the issuer of `child`, and made its signature."""
    try:
        child.verify_directly_issued_by(parent)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def policy_read_back(run: Harness) -> None:
    action = LifetimeAction(action="AutoRenew", days_before_expiry=20)
    made = create(
        run, "policy", lifetime_actions=[action], reuse_key=True, key_usage=["digitalSignature", "keyEncipherment"]
    )
    for read in (run.certificates.get_certificate_policy(made.name), run.certificates.get_certificate(made.name).policy):
        equal(read.issuer_name, "Self", "issuer")
        equal(read.subject, "CN=conformance.example", "subject")
        equal(list(read.san_dns_names), ["conformance.example", "www.conformance.example"], "DNS names")
        equal((read.key_type, read.key_size), ("RSA", 2048), "key")
        equal((read.exportable, read.reuse_key), (True, True), "exportable and reuse_key")
        equal(read.content_type, "application/x-pkcs12", "contentType")
        equal(read.validity_in_months, 6, "validity")
        equal(sorted(read.key_usage), ["digitalSignature", "keyEncipherment"], "key usage")
        equal([(a.action, a.days_before_expiry) for a in read.lifetime_actions], [("AutoRenew", 20)], "actions")


def operation(run: Harness) -> None:
    made = create(run, "operation")
    pending = run.certificates.get_certificate_operation(made.name)
    equal(pending.status, "completed", "status")
    assert pending.csr, "no CSR"
    assert pending.target and pending.target.endswith(f"/certificates/{made.name}"), pending.target
    request = x509.load_der_x509_csr(bytes(pending.csr))
    assert request.is_signature_valid, "the CSR's signature does not verify"
    equal(public_bytes(request.public_key()), public_bytes(parsed(made).public_key()), "public key of the CSR")


def versions(run: Harness) -> None:
    first = create(run, "cert-versions")
    second = create(run, "cert-versions")
    equal(run.certificates.get_certificate(first.name).properties.version, second.properties.version, "newest version")
    read = run.certificates.get_certificate_version(first.name, first.properties.version)
    equal(bytes(read.cer), bytes(first.cer), "first version")
    listed = {p.version: bytes(p.x509_thumbprint) for p in
              run.certificates.list_properties_of_certificate_versions(first.name)}
    expected = {c.properties.version: bytes(c.properties.x509_thumbprint) for c in (first, second)}
    equal(listed, expected, "versions and x5t")
    assert len(set(listed.values())) == 2, "equal x5t"


def update(run: Harness) -> None:
    made = create(run, "cert-update")
    changed = run.certificates.update_certificate_properties(
        made.name, version=made.properties.version, enabled=False, tags={"a": "1"}
    )
    equal(changed.properties.version, made.properties.version, "version")
    listed = next(p for p in run.certificates.list_properties_of_certificates() if p.name == made.name)
    equal((listed.enabled, listed.tags), (False, {"a": "1"}), "enabled and tags in the list")


def list_certificates(run: Harness) -> None:
    made = create(run, "cert-list")
    listed = [p for p in run.certificates.list_properties_of_certificates() if p.name == made.name]
    equal([bytes(p.x509_thumbprint) for p in listed], [bytes(made.properties.x509_thumbprint)], "x5t in the list")
    secret = next(p for p in run.secrets.list_properties_of_secrets() if p.name == made.name)
    equal((secret.managed, secret.content_type), (True, "application/x-pkcs12"), "managed and contentType")
    key = next(p for p in run.keys.list_properties_of_keys() if p.name == made.name)
    equal(key.managed, True, "managed in the list of keys")


def not_found(run: Harness) -> None:
    with refused(404, "CertificateNotFound"):
        run.certificates.get_certificate(f"{run.target.prefix}-nowhere")


def delete_recover_purge(run: Harness) -> None:
    made = create(run, "cert-delete")
    deleted = run.certificates.begin_delete_certificate(made.name).result()
    assert deleted.recovery_id.endswith(f"/deletedcertificates/{made.name}"), deleted.recovery_id
    with refused(404, "CertificateNotFound"):
        run.certificates.get_certificate(made.name)
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(made.name)
    assert made.name in {c.name for c in run.certificates.list_deleted_certificates()}, "not among the deleted ones"
    run.certificates.begin_recover_deleted_certificate(made.name).wait()
    equal(bytes(run.certificates.get_certificate(made.name).cer), bytes(made.cer), "certificate")
    assert run.secrets.get_secret(made.name).value, "no linked secret"
    run.certificates.begin_delete_certificate(made.name).wait()
    run.certificates.purge_deleted_certificate(made.name)
    wait_until_gone(lambda: run.certificates.get_deleted_certificate(made.name))
    with refused(404, "SecretNotFound"):
        run.secrets.get_secret(made.name)
