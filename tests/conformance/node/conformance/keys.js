// Keys: their public parts, as node:crypto (OpenSSL) reads them, and their life.

import assert from "node:assert/strict";
import { createPublicKey } from "node:crypto";
import { POLL, all, finished, refused, untilGone } from "./harness.js";
import { VERSION, instant } from "./secrets.js";

/** Key Vault's curve name → the name in a standard JWK, OpenSSL's name, bytes of a coordinate. */
const CURVES = {
  "P-256": ["P-256", "prime256v1", 32],
  "P-384": ["P-384", "secp384r1", 48],
  "P-521": ["P-521", "secp521r1", 66],
  "P-256K": ["secp256k1", "secp256k1", 32],
};

export const checks = {
  ...Object.fromEntries([2048, 3072, 4096].map((bits) => [`keys.rsa-${bits}`, (run) => rsaKey(run, bits)])),
  ...Object.fromEntries(
    Object.keys(CURVES).map((curve) => {
      const word = curve.toLowerCase().replace("-", "");
      return [`keys.ec-${word}`, (run) => ecKey(run, curve, word)];
    }),
  ),
  "keys.versions": versions,
  "keys.list": listKeys,
  "keys.update": update,
  "keys.not-found": (run) => refused(() => run.keys.getKey(`${run.target.prefix}-nowhere`), 404, "KeyNotFound"),
  "keys.delete-recover-purge": deleteRecoverPurge,
};

/** The unpadded base64 of JWK members. */
export const base64url = (bytes) => Buffer.from(bytes).toString("base64url");

/** The name that a standard JWK has for a curve of Key Vault's. */
export const standardCurve = (crv) => CURVES[crv][0];

/** The public key of a vault's key, built by OpenSSL (which checks that an EC point is on its curve). */
export function publicKey(key) {
  if (key.n) {
    return createPublicKey({ format: "jwk", key: { kty: "RSA", n: base64url(key.n), e: base64url(key.e) } });
  }
  const [crv, , size] = CURVES[key.crv];
  assert.deepEqual([key.x.length, key.y.length], [size, size], "lengths of the coordinates");
  return createPublicKey({ format: "jwk", key: { kty: "EC", crv, x: base64url(key.x), y: base64url(key.y) } });
}

/** The SubjectPublicKeyInfo of a public key, to compare keys with. */
export function spki(key) {
  return key.export({ format: "der", type: "spki" }).toString("hex");
}

async function assertReadBack(run, made) {
  const privateParts = ["d", "p", "q", "dp", "dq", "qi"].filter((part) => made.key[part] !== undefined);
  assert.deepEqual(privateParts, [], "private parts");
  const read = await run.keys.getKey(made.name);
  assert.equal(read.id, made.id);
  assert.equal(spki(publicKey(read.key)), spki(publicKey(made.key)), "public part");
  assert.match(read.properties.version, VERSION);
}

async function rsaKey(run, bits) {
  const made = await run.keys.createRsaKey(run.name(`rsa-${bits}`, "Key"), { keySize: bits });
  assert.equal(made.keyType, "RSA");
  const { modulusLength, publicExponent } = publicKey(made.key).asymmetricKeyDetails;
  assert.deepEqual([modulusLength, publicExponent], [bits, 65537n], "modulus and exponent");
  await assertReadBack(run, made);
}

async function ecKey(run, curve, word) {
  const made = await run.keys.createEcKey(run.name(`ec-${word}`, "Key"), { curve });
  assert.deepEqual([made.keyType, made.key.crv], ["EC", curve]);
  assert.equal(publicKey(made.key).asymmetricKeyDetails.namedCurve, CURVES[curve][1]);
  await assertReadBack(run, made);
}

async function versions(run) {
  const name = run.name("key-versions", "Key");
  const first = await run.keys.createEcKey(name, { curve: "P-256" });
  const second = await run.keys.createEcKey(name, { curve: "P-256" });
  assert.notEqual(spki(publicKey(first.key)), spki(publicKey(second.key)), "the second has the first's key");
  assert.equal((await run.keys.getKey(name)).properties.version, second.properties.version);
  const read = await run.keys.getKey(name, { version: first.properties.version });
  assert.equal(spki(publicKey(read.key)), spki(publicKey(first.key)));
  const listed = await all(run.keys.listPropertiesOfKeyVersions(name));
  const expected = new Set([first.properties.version, second.properties.version]);
  assert.deepEqual(new Set(listed.map((item) => item.version)), expected);
}

async function listKeys(run) {
  const names = ["0", "1", "2"].map((i) => run.name(`key-list-${i}`, "Key"));
  for (const name of names) await run.keys.createEcKey(name, { curve: "P-256" });
  const listed = (await all(run.keys.listPropertiesOfKeys())).filter((item) => names.includes(item.name));
  assert.deepEqual(listed.map((item) => item.name).sort(), names);
  assert.ok(listed.every((item) => !item.version), "a version is listed");
}

async function update(run) {
  const name = run.name("key-update", "Key");
  const made = await run.keys.createRsaKey(name, { keySize: 2048 });
  const expiresOn = instant(9);
  const changed = await run.keys.updateKeyProperties(name, made.properties.version, {
    enabled: false,
    expiresOn,
    tags: { a: "1" },
    keyOps: ["sign", "verify"],
  });
  assert.equal(changed.properties.version, made.properties.version);
  assert.deepEqual([...changed.keyOperations].sort(), ["sign", "verify"]);
  assert.deepEqual(changed.properties.expiresOn, expiresOn);
  const listed = (await all(run.keys.listPropertiesOfKeys())).find((item) => item.name === name);
  assert.deepEqual([listed.enabled, listed.tags], [false, { a: "1" }], "enabled and tags in the list");
}

async function deleteRecoverPurge(run) {
  const name = run.name("key-delete", "Key");
  const made = await run.keys.createEcKey(name, { curve: "P-384" });
  await finished(run.keys.beginDeleteKey(name, POLL));
  const { recoveryId } = (await run.keys.getDeletedKey(name)).properties;
  assert.ok(recoveryId.endsWith(`/deletedkeys/${name}`), recoveryId);
  await refused(() => run.keys.getKey(name), 404, "KeyNotFound");
  const gone = await all(run.keys.listDeletedKeys());
  assert.ok(gone.some((item) => item.name === name), "not among the deleted ones");
  await finished(run.keys.beginRecoverDeletedKey(name, POLL));
  assert.equal(spki(publicKey((await run.keys.getKey(name)).key)), spki(publicKey(made.key)));
  await finished(run.keys.beginDeleteKey(name, POLL));
  await run.keys.purgeDeletedKey(name);
  await untilGone(() => run.keys.getDeletedKey(name));
}
