"""Test vectors: objects as the SDK reads them, and the Secret data that an AzureKeyVaultSecret must make of them.

What the data must be is worked out from what the SDK's clients give, by the SDK and by `cryptography`.
"""

import base64
import json
from importlib.metadata import version
from pathlib import Path

from azure.keyvault.certificates import CertificateContentType, CertificatePolicy, KeyVaultCertificate
from azure.keyvault.keys import JsonWebKey, KeyVaultKey
from azure.keyvault.keys.crypto import CryptographyClient
from azure.keyvault.secrets import KeyVaultSecret
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs12,
)

from .certificates import issued_by, parsed, pem_certificates, policy
from .keys import ec_public
from .target import Target

PACKAGES = ("azure-keyvault-keys", "azure-keyvault-certificates", "azure-keyvault-secrets", "cryptography")
KEYS = {
    "rsa-2048": {"size": 2048},
    "rsa-3072": {"size": 3072},
    "rsa-4096": {"size": 4096},
    "rsa-hsm": {"size": 2048, "hardware_protected": True},
    "p-256": {"curve": "P-256"},
    "p-384": {"curve": "P-384"},
    "p-521": {"curve": "P-521"},
    "p-256k": {"curve": "P-256K"},
    "ec-hsm": {"curve": "P-256", "hardware_protected": True},
}
PFX, PEM = CertificateContentType.pkcs12, CertificateContentType.pem
CERTIFICATES = {
    "rsa-pfx": {"content_type": PFX},
    "rsa-pem": {"content_type": PEM},
    "p-256-pfx": {"content_type": PFX, "key_type": "EC", "key_size": 256, "key_curve_name": "P-256"},
    "p-384-pem": {"content_type": PEM, "key_type": "EC", "key_size": 384, "key_curve_name": "P-384"},
    "p-521-pfx": {"content_type": PFX, "key_type": "EC", "key_size": 521, "key_curve_name": "P-521"},
    "p-256k-pem": {"content_type": PEM, "key_type": "EC", "key_size": 256, "key_curve_name": "P-256K"},
    "kept": {"content_type": PFX, "exportable": False},
    "issued-pem": {"content_type": PEM, "issuer_name": "vectors", "key_type": "EC", "key_curve_name": "P-256"},
    "issued-pfx": {"content_type": PFX, "issuer_name": "vectors", "key_type": "EC", "key_curve_name": "P-256"},
}
TRICKY = "quotes \" ' and \\, tab \t, lines\r\n, ünïcode €𝄞, <html> & more"
TRANSFORMED = {
    "as-it-is": (TRICKY, [], TRICKY.encode()),
    "empty-line": ("\n", [], b"\n"),
    "trimmed": (f"\u2003\u00a0 \t{TRICKY}\u3000\r\n", ["trim"], TRICKY.encode()),
    "encoded": (TRICKY, ["base64encode"], base64.b64encode(TRICKY.encode())),
    "decoded": (base64.b64encode(bytes(range(256))).decode(), ["base64decode"], bytes(range(256))),
    "lines-decoded": (base64.encodebytes(bytes(range(256))).decode(), ["base64decode"], bytes(range(256))),
    "trimmed-decoded-encoded": ("  Kz8/Lw==\n", ["trim", "base64decode", "base64encode"], b"Kz8/Lw=="),
}
SEVERAL = {"user": "jürgen", "password": TRICKY, "empty": "", "with.dots-and_more": "1"}


class Maker:
    """Makes objects in one vault and collects vectors."""

    def __init__(self, target: Target):
        self.target = target
        self.vectors = []
        self.secrets = target.secrets()
        self.keys = target.keys()
        self.certificates = target.certificates()

    def add(self, name: str, answers: dict, writes: list[dict]) -> None:
        """Takes a vector: the bodies of the vault's answers, and what must come of them."""
        self.vectors.append({"name": name, "answers": answers, "writes": writes})

    def key(self, name: str, options: dict) -> None:
        """A key that the vault makes."""
        create = self.keys.create_rsa_key if "size" in options else self.keys.create_ec_key
        create(name, **options)
        key, answer = answered(self.keys.get_key, name)
        self.add(name, {"key": answer}, [output("key", {"value": data}, **form) for form, data in key_forms(key)])

    def certificate(self, name: str, options: dict) -> None:
        """A certificate that the vault makes."""
        self.certificates.begin_create_certificate(name, policy(**options)).result()
        self.certificate_there(name, options.get("exportable", True))

    def imported(self, name: str, which: str) -> None:
        """A certificate made by openssl that is imported."""
        material = self.target["imports"]
        options = {"password": material["password"]}
        if which == "pem":
            options = {"policy": CertificatePolicy(issuer_name="Unknown", content_type=PEM)}
        self.certificates.import_certificate(name, Path(material[which]).read_bytes(), **options)
        self.certificate_there(name, True)

    def certificate_there(self, name: str, exportable: bool) -> None:
        """The vectors of a certificate: its public part, and with its key as certificate and as secret."""
        certificate, answer = answered(self.certificates.get_certificate, name)
        secret, secret_answer = answered(self.secrets.get_secret, name)
        writes = [output("certificate", {"value": pem_of([parsed(certificate)])}, secret={"dataKey": "value"})]
        if exportable:
            for form, data in tls_forms(certificate, secret):
                writes.append(output("certificate", data, secret=form))
                writes[-1]["objects"].append({"type": "secret"})
            raw = base64.b64decode(secret.value) if is_pfx(secret) else secret.value.encode()
            writes.append(output("certificate", {"value": raw}, secret={"type": "Opaque", "dataKey": "value"}))
        self.add(name, {"certificate": answer, "secret": secret_answer}, writes)

    def secret(self, name: str, value: str, writes: list[dict]) -> None:
        """A secret with this value; the SDK must read what it wrote."""
        self.secrets.set_secret(name, value)
        secret, answer = answered(self.secrets.get_secret, name)
        assert secret.value == value, f"{name}: the SDK reads {secret.value!r}"
        self.add(name, {"secret": answer}, writes)


def write(target: Target, path: str) -> str:
    """Makes all vectors and writes them to `path`; gives the closing line."""
    made = Maker(target)
    for name, options in KEYS.items():
        made.key(f"key-{name}", options)
    made.certificates.create_issuer("vectors", "Test")
    for name, options in CERTIFICATES.items():
        made.certificate(f"certificate-{name}", options)
    for which in ("pfx", "pfxLegacy", "pem"):
        made.imported(f"certificate-imported-{which}", which)
    for name, (value, transform, data) in TRANSFORMED.items():
        made.secret(f"secret-{name}", value, [output("secret", {"value": data}, transform=transform)])
    several_values(made)
    tool = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    Path(path).write_text(json.dumps({"madeWith": tool, "vectors": made.vectors}, indent=1) + "\n", encoding="utf-8")
    count = sum(len(write["objects"]) for vector in made.vectors for write in vector["writes"])
    return f"python: {len(made.vectors)} objects, {count} outputs"


def several_values(made: Maker) -> None:
    """Values of several keys, and types of Secrets that take a value apart."""
    data = {key: value.encode() for key, value in SEVERAL.items()}
    many = "multi-key-value-secret"
    writes = [output(many, data, content_type="application/x-json", secret={})]
    made.secret("several-json", json.dumps(SEVERAL), writes)
    made.secret("several-json-plain", json.dumps(SEVERAL, ensure_ascii=False, indent=2), writes)
    # JSON's strings are YAML's double-quoted ones.
    lines = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in SEVERAL.items())
    writes = [output(many, data, content_type="application/x-yaml", secret={})]
    made.secret("several-yaml", f"# by hand\n---\n{lines}", writes)
    login = {"username": b"user", "password": TRICKY.encode() + b":more"}
    made.secret(
        "basic-auth", f"user:{TRICKY}:more", [output("secret", login, secret={"type": "kubernetes.io/basic-auth"})]
    )


def answered(get, name: str):
    """What the SDK makes of an object, and the body it was made of."""
    bodies = []
    read = get(name, raw_response_hook=lambda response: bodies.append(response.http_response.text()))
    return read, json.loads(bodies[-1])


def output(kind: str, data: dict[str, bytes], content_type: str | None = None, **spec) -> dict:
    """`spec.vault.object` (each of those listed) and `spec.output` of an AzureKeyVaultSecret, and the Secret's data."""
    described = {"type": kind, **({"contentType": content_type} if content_type else {})}
    spec["secret"] = {"name": "made", **spec.get("secret", {"dataKey": "value"})}
    return {
        "objects": [described],
        "output": spec,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def key_forms(key: KeyVaultKey):
    """Each `keyFormat` and the bytes it stands for. Without one, RSA is its modulus and EC is PEM."""
    rsa = key.key.kty.startswith("RSA")
    public = CryptographyClient.from_jwk(key.key).create_rsa_public_key() if rsa else ec_public(key.key)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield {}, bytes(key.key.n) if rsa else pem
    if rsa:
        yield {"keyFormat": "raw"}, bytes(key.key.n)
    yield {"keyFormat": "pem"}, pem
    yield {"keyFormat": "jwk"}, json.dumps(jwk_of(key.key), sort_keys=True, separators=(",", ":")).encode()


def jwk_of(key: JsonWebKey) -> dict:
    """A standard JWK (RFC 7517, 7518, 8812) of the SDK's: no HSM in `kty`, the standard's curve names, public operations only."""
    public = {"kty": key.kty.split("-")[0], "kid": key.kid}
    public["key_ops"] = sorted({"encrypt", "verify", "wrapKey"} & set(key.key_ops))
    if key.crv:
        public["crv"] = {"P-256K": "secp256k1"}.get(key.crv, key.crv)
    for member in ("n", "e", "x", "y"):
        if getattr(key, member):
            public[member] = base64.urlsafe_b64encode(getattr(key, member)).decode().rstrip("=")
    return public


def is_pfx(secret: KeyVaultSecret) -> bool:
    """Whether the secret behind a certificate is a PFX; else it is PEM."""
    return secret.properties.content_type == "application/x-pkcs12"


def tls_forms(certificate: KeyVaultCertificate, secret: KeyVaultSecret):
    """Forms of type `kubernetes.io/tls`, and their data. Without `chainOrder` certificates come in the file's order, which
    `cryptography` does not tell of a PFX with several."""
    if is_pfx(secret):
        key, leaf, others = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), b"")
        stored = [leaf, *others]
    else:
        key = load_pem_private_key(secret.value.encode(), None)
        stored = pem_certificates(secret.value)
    plain = {"type": "kubernetes.io/tls"}
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    yield {**plain, "chainOrder": "ensureserverfirst"}, {
        "tls.crt": pem_of(chain_from(parsed(certificate), stored)), "tls.key": key_pem
    }
    if len(stored) == 1 or not is_pfx(secret):
        yield plain, {"tls.crt": pem_of(stored), "tls.key": key_pem}


def chain_from(leaf: x509.Certificate, stored: list[x509.Certificate]) -> list[x509.Certificate]:
    """From the leaf up to what is signed by itself, each signed by the next."""
    assert leaf in stored, "the secret lacks the certificate"
    chain = [leaf]
    while not issued_by(chain[-1], chain[-1]):
        chain.append(next(other for other in stored if issued_by(chain[-1], other)))
    assert len(chain) == len(stored), "certificates that do not belong to the chain"
    return chain


def pem_of(certificates: list[x509.Certificate]) -> bytes:
    """The certificates in PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
