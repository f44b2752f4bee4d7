// Certificates: creation, import, the linked secret and key, and their life.

import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { POLL, all, finished, refused, untilGone } from "./harness.js";
import { publicKey, spki } from "./keys.js";
import { certificatesOf, openPfx } from "./pfx.js";
import { VERSION } from "./secrets.js";

const PEM = "application/x-pem-file";
const PFX = "application/x-pkcs12";

export const checks = {
  "certificates.self-signed": selfSigned,
  "certificates.linked-secret": linkedSecret,
  "certificates.linked-key": linkedKey,
  "certificates.pem-secret": pemSecret,
  "certificates.not-exportable": notExportable,
  "certificates.ec": ecCertificates,
  "certificates.import-pfx": (run) => importPfx(run, "pfx", "import-pfx"),
  "certificates.import-pfx-legacy": (run) => importPfx(run, "pfxLegacy", "import-legacy"),
  "certificates.import-pem": importPem,
  "certificates.import-wrong-password": importWrongPassword,
  "certificates.issuer-signed": issuerSigned,
  "certificates.policy": policyReadBack,
  "certificates.operation": operation,
  "certificates.versions": versions,
  "certificates.update": update,
  "certificates.list": listCertificates,
  "certificates.not-found": (run) =>
    refused(() => run.certificates.getCertificate(`${run.target.prefix}-nowhere`), 404, "CertificateNotFound"),
  "certificates.delete-recover-purge": deleteRecoverPurge,
};

/** A self-signed certificate for two DNS names; `options` change or add to that. */
export const policy = (options) => ({
  issuerName: "Self",
  subject: "CN=conformance.example",
  subjectAlternativeNames: { dnsNames: ["conformance.example", "www.conformance.example"] },
  keyType: "RSA",
  keySize: 2048,
  exportable: true,
  contentType: PFX,
  validityInMonths: 6,
  ...options,
});

/** Creates a certificate through the SDK's poller and waits until it is there. */
async function create(run, word, options = {}) {
  const name = run.name(word, "Certificate");
  const made = await finished(run.certificates.beginCreateCertificate(name, policy(options), POLL));
  assert.equal(made.name, name);
  return made;
}

/** The certificate as OpenSSL reads it. */
const parsed = (made) => new X509Certificate(made.cer);

const thumbprint = (certificate) => certificate.fingerprint.replaceAll(":", "").toLowerCase();

function assertSelfSigned(certificate) {
  // Not checkIssued(): for OpenSSL a certificate whose key usage lacks keyCertSign issues nothing, not even itself.
  assert.equal(certificate.issuer, certificate.subject);
  assert.ok(certificate.verify(certificate.publicKey), "the signature is not by its own key");
}

async function selfSigned(run) {
  const made = await create(run, "self-signed");
  const certificate = parsed(made);
  assert.equal(certificate.subject, "CN=conformance.example");
  assert.equal(certificate.subjectAltName, "DNS:conformance.example, DNS:www.conformance.example");
  assert.equal(certificate.publicKey.asymmetricKeyDetails.modulusLength, 2048);
  const [from, to] = [new Date(certificate.validFrom), new Date(certificate.validTo)];
  const days = (to - from) / 86_400_000;
  assert.ok(days >= 175 && days <= 190, `valid for ${days} days, expected six months`);
  assertSelfSigned(certificate);
  assert.equal(Buffer.from(made.properties.x509Thumbprint).toString("hex"), thumbprint(certificate));
  assert.deepEqual([made.properties.notBefore, made.properties.expiresOn], [from, to], "nbf and exp");
  assert.match(made.properties.version, VERSION);
}

async function linkedSecret(run) {
  const made = await create(run, "linked-secret");
  const secret = await run.secrets.getSecret(made.name);
  assert.equal(secret.properties.contentType, PFX);
  assert.equal(secret.properties.managed, true);
  assert.equal(secret.properties.id, made.secretId);
  assert.equal(secret.properties.version, made.properties.version);
  assert.equal(secret.properties.certificateKeyId, made.keyId);
  const { key, certificates } = openPfx(secret.value);
  assert.deepEqual(certificates.map(thumbprint), [thumbprint(parsed(made))]);
  assert.ok(certificates[0].checkPrivateKey(key), "the key in the PFX does not fit");
}

async function linkedKey(run) {
  const made = await create(run, "linked-key");
  const key = await run.keys.getKey(made.name);
  assert.equal(key.id, made.keyId);
  assert.equal(key.properties.managed, true);
  assert.equal(spki(publicKey(key.key)), spki(parsed(made).publicKey));
}

async function pemSecret(run) {
  const made = await create(run, "pem-secret", { contentType: PEM });
  const secret = await run.secrets.getSecret(made.name);
  assert.equal(secret.properties.contentType, PEM);
  assert.ok(secret.value.includes("-----BEGIN PRIVATE KEY-----"), "no PKCS#8 key");
  const certificates = certificatesOf(secret.value);
  assert.deepEqual(certificates.map(thumbprint), [thumbprint(parsed(made))]);
  assert.ok(certificates[0].checkPrivateKey(createPrivateKey(secret.value)), "the key in the PEM does not fit");
}

async function notExportable(run) {
  const pem = await create(run, "kept-pem", { exportable: false, contentType: PEM });
  const text = (await run.secrets.getSecret(pem.name)).value;
  assert.ok(!text.includes("PRIVATE KEY"), "the private key left the vault");
  assert.deepEqual(certificatesOf(text).map(thumbprint), [thumbprint(parsed(pem))]);
  const pfx = await create(run, "kept-pfx", { exportable: false });
  const { key, certificates } = openPfx((await run.secrets.getSecret(pfx.name)).value);
  assert.equal(key, undefined);
  assert.deepEqual(certificates.map(thumbprint), [thumbprint(parsed(pfx))]);
}

async function ecCertificates(run) {
  for (const [curve, size, named] of [["P-256", 256, "prime256v1"], ["P-384", 384, "secp384r1"]]) {
    const made = await create(run, `ec-${size}`, { keyType: "EC", keySize: size, keyCurveName: curve });
    const certificate = parsed(made);
    assertSelfSigned(certificate);
    assert.equal(certificate.publicKey.asymmetricKeyDetails.namedCurve, named);
    assert.equal(spki(publicKey((await run.keys.getKey(made.name)).key)), spki(certificate.publicKey), "linked key");
    const { key } = openPfx((await run.secrets.getSecret(made.name)).value);
    assert.ok(certificate.checkPrivateKey(key), "the key in the PFX does not fit");
  }
}

async function importPfx(run, which, word) {
  const { pem, password, [which]: file } = run.target.facts.imports;
  const name = run.name(word, "Certificate");
  const made = await run.certificates.importCertificate(name, readFileSync(file), { password });
  const expected = certificatesOf(readFileSync(pem, "utf8"));
  assert.equal(thumbprint(parsed(made)), thumbprint(expected[0]));
  const secret = await run.secrets.getSecret(name);
  assert.equal(secret.properties.contentType, PFX);
  const { key, certificates } = openPfx(secret.value);
  assert.deepEqual(certificates.map(thumbprint), expected.map(thumbprint), "chain in the secret");
  assert.ok(key.equals(createPrivateKey(readFileSync(pem))), "private key in the secret");
}

async function importPem(run) {
  const pem = readFileSync(run.target.facts.imports.pem);
  const name = run.name("import-pem", "Certificate");
  const options = { policy: { issuerName: "Unknown", contentType: PEM } };
  const made = await run.certificates.importCertificate(name, pem, options);
  const expected = certificatesOf(pem.toString());
  assert.equal(thumbprint(parsed(made)), thumbprint(expected[0]));
  const secret = await run.secrets.getSecret(name);
  assert.equal(secret.properties.contentType, PEM);
  assert.deepEqual(certificatesOf(secret.value).map(thumbprint), expected.map(thumbprint), "chain in the secret");
  assert.ok(createPrivateKey(secret.value).equals(createPrivateKey(pem)), "private key in the secret");
}

async function importWrongPassword(run) {
  const pfx = readFileSync(run.target.facts.imports.pfx);
  const name = `${run.target.prefix}-wrong`;
  const attempt = () => run.certificates.importCertificate(name, pfx, { password: "not this one" });
  await refused(attempt, 400, "BadParameter");
}

async function issuerSigned(run) {
  const issuerName = run.name("issuer", "Issuer");
  await run.certificates.createIssuer(issuerName, "Test");
  const made = await create(run, "issued", { issuerName, contentType: PEM });
  const chain = certificatesOf((await run.secrets.getSecret(made.name)).value);
  const leaf = chain.find((certificate) => thumbprint(certificate) === thumbprint(parsed(made)));
  assert.ok(leaf && leaf.issuer !== leaf.subject, "not signed by an issuer");
  // From the leaf to the root, each signed by the next, and nothing else in the file.
  let [current, length] = [leaf, 1];
  while (current.issuer !== current.subject) {
    const parent = chain.find((other) => current.checkIssued(other) && current.verify(other.publicKey));
    assert.ok(parent, `nobody in the file signed ${current.subject}`);
    [current, length] = [parent, length + 1];
  }
  assert.equal(length, chain.length, "certificates that do not belong to the chain");
}

async function policyReadBack(run) {
  const given = {
    lifetimeActions: [{ action: "AutoRenew", daysBeforeExpiry: 20 }],
    reuseKey: true,
    keyUsage: ["digitalSignature", "keyEncipherment"],
  };
  const made = await create(run, "policy", given);
  const expected = policy(given);
  const bundle = await run.certificates.getCertificate(made.name);
  for (const read of [await run.certificates.getCertificatePolicy(made.name), bundle.policy]) {
    for (const key of ["issuerName", "subject", "keyType", "keySize", "exportable", "reuseKey", "contentType"]) {
      assert.equal(read[key], expected[key], key);
    }
    assert.equal(read.validityInMonths, 6);
    assert.deepEqual(read.subjectAlternativeNames.dnsNames, expected.subjectAlternativeNames.dnsNames);
    assert.deepEqual([...read.keyUsage].sort(), given.keyUsage);
    const actions = read.lifetimeActions.map((action) => [action.action, action.daysBeforeExpiry]);
    assert.deepEqual(actions, [["AutoRenew", 20]]);
  }
}

async function operation(run) {
  const made = await create(run, "operation");
  const poller = await run.certificates.getCertificateOperation(made.name, POLL);
  await poller.pollUntilDone();
  const pending = poller.getOperationState().certificateOperation;
  assert.equal(pending.status, "completed");
  assert.ok(pending.target.endsWith(`/certificates/${made.name}`), pending.target);
  // A CSR holds the key's SubjectPublicKeyInfo; node:crypto reads no CSR, but the bytes can be looked for.
  const csr = Buffer.from(pending.csr).toString("hex");
  assert.ok(csr.includes(spki(parsed(made).publicKey)), "the CSR lacks the certificate's public key");
}

async function versions(run) {
  const first = await create(run, "cert-versions");
  const second = await create(run, "cert-versions");
  assert.equal((await run.certificates.getCertificate(first.name)).properties.version, second.properties.version);
  const read = await run.certificates.getCertificateVersion(first.name, first.properties.version);
  assert.equal(thumbprint(parsed(read)), thumbprint(parsed(first)));
  const listed = await all(run.certificates.listPropertiesOfCertificateVersions(first.name));
  const found = Object.fromEntries(
    listed.map((item) => [item.version, Buffer.from(item.x509Thumbprint).toString("hex")]),
  );
  const expected = Object.fromEntries([first, second].map((c) => [c.properties.version, thumbprint(parsed(c))]));
  assert.deepEqual(found, expected);
  assert.equal(new Set(Object.values(found)).size, 2, "equal x5t");
}

async function update(run) {
  const made = await create(run, "cert-update");
  const { version } = made.properties;
  const change = { enabled: false, tags: { a: "1" } };
  const changed = await run.certificates.updateCertificateProperties(made.name, version, change);
  assert.equal(changed.properties.version, version);
  const listed = (await all(run.certificates.listPropertiesOfCertificates())).find((item) => item.name === made.name);
  assert.deepEqual([listed.enabled, listed.tags], [false, { a: "1" }], "enabled and tags in the list");
}

async function listCertificates(run) {
  const made = await create(run, "cert-list");
  const ofThis = async (list) => (await all(list)).filter((item) => item.name === made.name);
  const [listed] = await ofThis(run.certificates.listPropertiesOfCertificates());
  assert.equal(Buffer.from(listed.x509Thumbprint).toString("hex"), thumbprint(parsed(made)), "x5t in the list");
  const [secret] = await ofThis(run.secrets.listPropertiesOfSecrets());
  assert.deepEqual([secret.managed, secret.contentType], [true, PFX], "managed and contentType");
  const [key] = await ofThis(run.keys.listPropertiesOfKeys());
  assert.equal(key.managed, true, "managed in the list of keys");
}

async function deleteRecoverPurge(run) {
  const made = await create(run, "cert-delete");
  await finished(run.certificates.beginDeleteCertificate(made.name, POLL));
  const { recoveryId } = await run.certificates.getDeletedCertificate(made.name);
  assert.ok(recoveryId.endsWith(`/deletedcertificates/${made.name}`), recoveryId);
  await refused(() => run.certificates.getCertificate(made.name), 404, "CertificateNotFound");
  await refused(() => run.secrets.getSecret(made.name), 404, "SecretNotFound");
  const gone = await all(run.certificates.listDeletedCertificates());
  assert.ok(gone.some((item) => item.name === made.name), "not among the deleted ones");
  await finished(run.certificates.beginRecoverDeletedCertificate(made.name, POLL));
  const again = await run.certificates.getCertificate(made.name);
  assert.equal(thumbprint(parsed(again)), thumbprint(parsed(made)));
  assert.ok((await run.secrets.getSecret(made.name)).value, "no linked secret");
  await finished(run.certificates.beginDeleteCertificate(made.name, POLL));
  await run.certificates.purgeDeletedCertificate(made.name);
  await untilGone(() => run.certificates.getDeletedCertificate(made.name));
  await refused(() => run.secrets.getSecret(made.name), 404, "SecretNotFound");
}
