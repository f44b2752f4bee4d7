// PEM texts and PFX files, opened by `openssl` (node:crypto reads no PFX).

import { execFileSync } from "node:child_process";
import { X509Certificate, createPrivateKey } from "node:crypto";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a PEM text, in order. */
export function certificatesOf(text) {
  return (text.match(CERTIFICATE) ?? []).map((pem) => new X509Certificate(pem));
}

/** What is in a base64 PFX with empty password: its private key, if any, and its certificates, the leaf first. */
export function openPfx(base64) {
  const input = Buffer.from(base64, "base64");
  const read = (...options) =>
    execFileSync("openssl", ["pkcs12", "-nodes", "-passin", "pass:", ...options], {
      input,
      stdio: ["pipe", "pipe", "ignore"],
    }).toString();
  const key = read("-nocerts");
  return {
    key: key.includes("PRIVATE KEY") ? createPrivateKey(key) : undefined,
    certificates: certificatesOf(read("-nokeys")),
  };
}
