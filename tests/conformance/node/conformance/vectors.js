// Test vectors: objects as the SDK reads them, and the Secret data that an AzureKeyVaultSecret must make of them.
//
// What the data must be is worked out from what the SDK's clients give, by node:crypto (OpenSSL) and `openssl`.

import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { policy } from "./certificates.js";
import { POLL, finished } from "./harness.js";
import { base64url, publicKey, standardCurve } from "./keys.js";
import { certificatesOf, openPfx } from "./pfx.js";

const PACKAGES = ["keyvault-keys", "keyvault-certificates", "keyvault-secrets"];
const [PFX, PEM] = ["application/x-pkcs12", "application/x-pem-file"];
const KEYS = {
  "rsa-2048": { keySize: 2048 },
  "rsa-3072": { keySize: 3072 },
  "rsa-4096": { keySize: 4096 },
  "rsa-hsm": { keySize: 2048, hsm: true },
  "p-256": { curve: "P-256" },
  "p-384": { curve: "P-384" },
  "p-521": { curve: "P-521" },
  "p-256k": { curve: "P-256K" },
  "ec-hsm": { curve: "P-256", hsm: true },
};
const ISSUED = { issuerName: "vectors-js", keyType: "EC", keySize: 256, keyCurveName: "P-256" };
const CERTIFICATES = {
  "rsa-pfx": { contentType: PFX },
  "rsa-pem": { contentType: PEM },
  "p-256-pem": { contentType: PEM, keyType: "EC", keySize: 256, keyCurveName: "P-256" },
  "p-384-pfx": { contentType: PFX, keyType: "EC", keySize: 384, keyCurveName: "P-384" },
  "p-521-pem": { contentType: PEM, keyType: "EC", keySize: 521, keyCurveName: "P-521" },
  "p-256k-pfx": { contentType: PFX, keyType: "EC", keySize: 256, keyCurveName: "P-256K" },
  kept: { contentType: PEM, exportable: false },
  "issued-pem": { contentType: PEM, ...ISSUED },
  "issued-pfx": { contentType: PFX, ...ISSUED },
};
const TRICKY = "quotes \" ' and \\, tab \t, lines\r\n, ünïcode €𝄞, <html> & more";
const BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const TRANSFORMED = {
  "as-it-is": [TRICKY, [], TRICKY],
  "empty-line": ["\n", [], "\n"],
  trimmed: [`\u2003\u00a0 \t${TRICKY}\u3000\r\n`, ["trim"], TRICKY],
  encoded: [TRICKY, ["base64encode"], Buffer.from(TRICKY).toString("base64")],
  decoded: [BYTES.toString("base64"), ["base64decode"], BYTES],
  "trimmed-decoded-encoded": ["  Kz8/Lw==\n", ["trim", "base64decode", "base64encode"], "Kz8/Lw=="],
};
const SEVERAL = { user: "jürgen", password: TRICKY, empty: "", "with.dots-and_more": "1" };

/** Makes objects in one vault and collects vectors. */
class Maker {
  vectors = [];

  constructor(target) {
    this.target = target;
    this.secrets = target.secrets();
    this.keys = target.keys();
    this.certificates = target.certificates();
  }

  /** Takes a vector: the bodies of the vault's answers, and what must come of them. */
  add(name, answers, writes) {
    this.vectors.push({ name, answers, writes });
  }

  /** A key that the vault makes. */
  async key(name, options) {
    await (options.keySize ? this.keys.createRsaKey(name, options) : this.keys.createEcKey(name, options));
    const [key, answer] = await answered((options) => this.keys.getKey(name, options));
    const writes = keyForms(key.key).map(([form, data]) => output("key", { value: data }, form));
    this.add(name, { key: answer }, writes);
  }

  /** A certificate that the vault makes. */
  async certificate(name, options) {
    await finished(this.certificates.beginCreateCertificate(name, policy(options), POLL));
    await this.certificateThere(name, options.exportable ?? true);
  }

  /** A certificate made by openssl that is imported. */
  async imported(name, which) {
    const { password, [which]: file } = this.target.facts.imports;
    const pem = { policy: { issuerName: "Unknown", contentType: PEM } };
    await this.certificates.importCertificate(name, readFileSync(file), which === "pem" ? pem : { password });
    await this.certificateThere(name, true);
  }

  /** The vectors of a certificate: its public part, and with its key as certificate and as secret. */
  async certificateThere(name, exportable) {
    const [certificate, answer] = await answered((options) => this.certificates.getCertificate(name, options));
    const [secret, secretAnswer] = await answered((options) => this.secrets.getSecret(name, options));
    const leaf = new X509Certificate(certificate.cer);
    const writes = [output("certificate", { value: leaf.toString() }, { secret: { dataKey: "value" } })];
    if (exportable) {
      for (const [secretForm, data] of tlsForms(leaf, secret)) {
        const write = output("certificate", data, { secret: secretForm });
        write.objects.push({ type: "secret" });
        writes.push(write);
      }
      const raw = isPfx(secret) ? Buffer.from(secret.value, "base64") : secret.value;
      writes.push(output("certificate", { value: raw }, { secret: { type: "Opaque", dataKey: "value" } }));
    }
    this.add(name, { certificate: answer, secret: secretAnswer }, writes);
  }

  /** A secret with this value; the SDK must read what it wrote. */
  async secret(name, value, ...writes) {
    await this.secrets.setSecret(name, value);
    const [secret, answer] = await answered((options) => this.secrets.getSecret(name, options));
    assert.equal(secret.value, value, name);
    this.add(name, { secret: answer }, writes);
  }
}

/** Makes all vectors and writes them to `path`; gives the closing line. */
export async function write(target, path) {
  const made = new Maker(target);
  for (const [name, options] of Object.entries(KEYS)) await made.key(`key-${name}`, options);
  await made.certificates.createIssuer(ISSUED.issuerName, "Test");
  for (const [name, options] of Object.entries(CERTIFICATES)) await made.certificate(`certificate-${name}`, options);
  for (const which of ["pfx", "pfxLegacy", "pem"]) await made.imported(`certificate-imported-${which}`, which);
  for (const [name, [value, transform, data]] of Object.entries(TRANSFORMED)) {
    await made.secret(`secret-${name}`, value, output("secret", { value: data }, { transform }));
  }
  await severalValues(made);
  const tool = [...PACKAGES.map((name) => `@azure/${name} ${versionOf(name)}`), `node ${process.versions.node}`].join(", ");
  writeFileSync(path, `${JSON.stringify({ madeWith: tool, vectors: made.vectors }, null, 1)}\n`);
  const count = made.vectors.flatMap((vector) => vector.writes.flatMap((write) => write.objects)).length;
  return `javascript: ${made.vectors.length} objects, ${count} outputs`;
}

/** Values of several keys, and types of Secrets that take a value apart. */
async function severalValues(made) {
  const many = (contentType) => ({ type: "multi-key-value-secret", contentType });
  const json = output(many("application/x-json"), SEVERAL, { secret: {} });
  await made.secret("several-json", JSON.stringify(SEVERAL), json);
  await made.secret("several-json-indented", JSON.stringify(SEVERAL, null, 2), json);
  // JSON's strings are YAML's double-quoted ones.
  const lines = Object.entries(SEVERAL).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`);
  const yaml = output(many("application/x-yaml"), SEVERAL, { secret: {} });
  await made.secret("several-yaml", `# by hand\n---\n${lines.join("")}`, yaml);
  const login = { username: "user", password: `${TRICKY}:more` };
  const form = { secret: { type: "kubernetes.io/basic-auth" } };
  await made.secret("basic-auth", `user:${TRICKY}:more`, output("secret", login, form));
}

/** What the SDK makes of an object, and the body it was made of. */
async function answered(get) {
  let body;
  const read = await get({ onResponse: (response) => (body = response.bodyAsText) });
  return [read, JSON.parse(body)];
}

/** `spec.vault.object` (each of those listed) and `spec.output` of an AzureKeyVaultSecret, and the Secret's data. */
function output(object, data, spec) {
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  return {
    objects: [typeof object === "string" ? { type: object } : object],
    output: { ...spec, secret: { name: "made", ...(spec.secret ?? { dataKey: "value" }) } },
    data: Object.fromEntries(encoded),
  };
}

/** Each `keyFormat` and what it stands for. Without one, RSA is its modulus and EC is PEM. */
function keyForms(key) {
  const pem = publicKey(key).export({ format: "pem", type: "spki" });
  const forms = [[{ keyFormat: "pem" }, pem], [{ keyFormat: "jwk" }, jwkOf(key)]];
  return key.n ? [[{}, key.n], [{ keyFormat: "raw" }, key.n], ...forms] : [[{}, pem], ...forms];
}

/** A standard JWK (RFC 7517, 7518, 8812) of the SDK's: no HSM in `kty`, the standard's curve names, public operations only. */
function jwkOf(key) {
  const [kty] = key.kty.split("-");
  const members = { kty, kid: key.kid };
  members.key_ops = ["encrypt", "verify", "wrapKey"].filter((operation) => key.keyOps.includes(operation));
  if (key.crv) members.crv = standardCurve(key.crv);
  for (const member of ["n", "e", "x", "y"]) if (key[member]) members[member] = base64url(key[member]);
  return JSON.stringify(Object.fromEntries(Object.entries(members).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Whether the secret behind a certificate is a PFX; else it is PEM. */
const isPfx = (secret) => secret.properties.contentType === PFX;

/** Forms of type `kubernetes.io/tls`, and their data. Without `chainOrder` certificates come in the file's order. */
function tlsForms(leaf, secret) {
  const opened = isPfx(secret)
    ? openPfx(secret.value)
    : { key: createPrivateKey(secret.value), certificates: certificatesOf(secret.value) };
  const type = opened.key.asymmetricKeyType === "rsa" ? "pkcs1" : "sec1";
  const key = opened.key.export({ format: "pem", type });
  const data = (certificates) => ({ "tls.crt": certificates.map(String).join(""), "tls.key": key });
  const plain = { type: "kubernetes.io/tls" };
  return [
    [{ ...plain, chainOrder: "ensureserverfirst" }, data(chainFrom(leaf, opened.certificates))],
    [plain, data(opened.certificates)],
  ];
}

/** From the leaf up to what is signed by itself, each signed by the next. */
function chainFrom(leaf, stored) {
  const chain = [leaf];
  while (!chain.at(-1).verify(chain.at(-1).publicKey)) {
    const parent = stored.find((other) => chain.at(-1).verify(other.publicKey));
    assert.ok(parent, `nobody in the file signed ${chain.at(-1).subject}`);
    chain.push(parent);
  }
  assert.equal(chain.length, stored.length, "certificates that do not belong to the chain");
  return chain;
}

/** The version of a package that is installed. */
function versionOf(name) {
  const manifest = new URL(`../node_modules/@azure/${name}/package.json`, import.meta.url);
  return JSON.parse(readFileSync(manifest, "utf8")).version;
}
