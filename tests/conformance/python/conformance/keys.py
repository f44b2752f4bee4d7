"""Keys: their public parts, as the `cryptography` package reads them, and their life."""

from azure.keyvault.keys import JsonWebKey, KeyVaultKey
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from .harness import CheckList, Harness, equal, refused, wait_until_gone
from .secrets import VERSION, instant

CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "P-256K": ec.SECP256K1()}


def register(checks: CheckList) -> None:
    """Adds the checks of this module."""
    for bits in (2048, 3072, 4096):
        checks.add(f"keys.rsa-{bits}", lambda run, bits=bits: rsa_key(run, bits))
    for curve in CURVES:
        word = curve.lower().replace("-", "")
        checks.add(f"keys.ec-{word}", lambda run, curve=curve, word=word: ec_key(run, curve, word))
    checks.add("keys.versions", versions)
    checks.add("keys.list", list_keys)
    checks.add("keys.update", update)
    checks.add("keys.not-found", not_found)
    checks.add("keys.delete-recover-purge", delete_recover_purge)


def rsa_public(jwk: JsonWebKey) -> rsa.RSAPublicKey:
    """The public key of an RSA JWK, built by the foreign library (which checks modulus and exponent)."""
    return rsa.RSAPublicNumbers(int.from_bytes(jwk.e, "big"), int.from_bytes(jwk.n, "big")).public_key()


def ec_public(jwk: JsonWebKey) -> ec.EllipticCurvePublicKey:
    """The public key of an EC JWK, built by the foreign library (which checks that the point is on the curve)."""
    curve = CURVES[jwk.crv]
    size = (curve.key_size + 7) // 8
    equal((len(jwk.x), len(jwk.y)), (size, size), "lengths of the coordinates")
    return ec.EllipticCurvePublicNumbers(
        int.from_bytes(jwk.x, "big"), int.from_bytes(jwk.y, "big"), curve
    ).public_key()


def assert_public_only(jwk: JsonWebKey) -> None:
    """A key leaves the vault without its private part."""
    equal([part for part in ("d", "p", "q", "dp", "dq", "qi") if getattr(jwk, part, None)], [], "private parts")


def same_after_get(run: Harness, made: KeyVaultKey) -> None:
    """Reading the key gives what creating it gave."""
    read = run.keys.get_key(made.name)
    equal(read.id, made.id, "id")
    equal(read.key.kid, made.id, "kid")
    equal((read.key.n, read.key.x, read.key.y), (made.key.n, made.key.x, made.key.y), "public part")
    assert VERSION.match(read.properties.version), read.properties.version


def rsa_key(run: Harness, bits: int) -> None:
    made = run.keys.create_rsa_key(run.name(f"rsa-{bits}", "key"), size=bits)
    equal(made.key_type, "RSA", "kty")
    public = rsa_public(made.key)
    equal(public.key_size, bits, "bits of the modulus")
    equal(public.public_numbers().e, 65537, "exponent")
    assert_public_only(made.key)
    same_after_get(run, made)


def ec_key(run: Harness, curve: str, word: str) -> None:
    made = run.keys.create_ec_key(run.name(f"ec-{word}", "key"), curve=curve)
    equal(made.key_type, "EC", "kty")
    equal(made.key.crv, curve, "crv")
    equal(ec_public(made.key).curve.name, CURVES[curve].name, "curve")
    assert_public_only(made.key)
    same_after_get(run, made)


def versions(run: Harness) -> None:
    name = run.name("key-versions", "key")
    first = run.keys.create_ec_key(name, curve="P-256")
    second = run.keys.create_ec_key(name, curve="P-256")
    assert first.key.x != second.key.x, "the second version has the first's key"
    equal(run.keys.get_key(name).properties.version, second.properties.version, "newest version")
    equal(run.keys.get_key(name, first.properties.version).key.x, first.key.x, "public part of the first")
    listed = {p.version for p in run.keys.list_properties_of_key_versions(name)}
    equal(listed, {first.properties.version, second.properties.version}, "versions")


def list_keys(run: Harness) -> None:
    names = {run.name(f"key-list-{i}", "key") for i in range(3)}
    for name in names:
        run.keys.create_ec_key(name, curve="P-256")
    listed = [p for p in run.keys.list_properties_of_keys() if p.name in names]
    equal({p.name for p in listed}, names, "names")
    equal({p.version for p in listed}, {None}, "versions in the list")


def update(run: Harness) -> None:
    name = run.name("key-update", "key")
    made = run.keys.create_rsa_key(name, size=2048)
    expires = instant(9)
    changed = run.keys.update_key_properties(
        name, enabled=False, expires_on=expires, tags={"a": "1"}, key_operations=["sign", "verify"]
    )
    equal(changed.properties.version, made.properties.version, "version")
    equal(sorted(changed.key_operations), ["sign", "verify"], "key operations")
    equal(changed.properties.expires_on, expires, "exp")
    listed = next(p for p in run.keys.list_properties_of_keys() if p.name == name)
    equal((listed.enabled, listed.tags), (False, {"a": "1"}), "enabled and tags in the list")


def not_found(run: Harness) -> None:
    with refused(404, "KeyNotFound"):
        run.keys.get_key(f"{run.target.prefix}-nowhere")


def delete_recover_purge(run: Harness) -> None:
    name = run.name("key-delete", "key")
    made = run.keys.create_ec_key(name, curve="P-384")
    deleted = run.keys.begin_delete_key(name).result()
    assert deleted.recovery_id.endswith(f"/deletedkeys/{name}"), deleted.recovery_id
    with refused(404, "KeyNotFound"):
        run.keys.get_key(name)
    assert name in {k.name for k in run.keys.list_deleted_keys()}, "not among the deleted ones"
    run.keys.begin_recover_deleted_key(name).wait()
    equal(run.keys.get_key(name).key.x, made.key.x, "public part")
    run.keys.begin_delete_key(name).wait()
    run.keys.purge_deleted_key(name)
    wait_until_gone(lambda: run.keys.get_deleted_key(name))
