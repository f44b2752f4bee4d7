// What the list runs against: the emulator with prepared identities, or a real vault.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { ClientSecretCredential, DefaultAzureCredential } from "@azure/identity";
import { CertificateClient } from "@azure/keyvault-certificates";
import { KeyClient } from "@azure/keyvault-keys";
import { SecretClient } from "@azure/keyvault-secrets";

export class Target {
  /** Reads the target file at `path`; object names get a prefix nobody else uses. */
  static load(path) {
    return new Target(JSON.parse(readFileSync(path, "utf8")));
  }

  constructor(facts) {
    this.facts = facts;
    this.live = facts.live;
    this.prefix = `conformance-js-${randomBytes(4).toString("hex")}`;
  }

  /** The tenant every vault of the target belongs to. */
  get tenant() {
    return this.facts.tenant;
  }

  /** What a token for the vaults is asked for. */
  get scope() {
    return `${this.facts.resource}/.default`;
  }

  /** Options for credentials: the authority is the target's, which no public metadata knows. */
  authority() {
    return { authorityHost: this.facts.authority, disableInstanceDiscovery: true };
  }

  /** The credential of the app registered as `name` in the target file. */
  app(name, tenant = this.tenant) {
    const app = this.facts.apps[name];
    return new ClientSecretCredential(tenant, app.clientId, app.secret, this.authority());
  }

  /** The credential that may do everything with the main vault. */
  owner() {
    return this.live ? new DefaultAzureCredential() : this.app("owner");
  }

  /** A new client for secrets, by default the owner's for the main vault. */
  secrets({ credential = this.owner(), vault = "main", ...options } = {}) {
    return new SecretClient(this.facts.vaults[vault], credential, options);
  }

  /** A new client for keys, by default the owner's for the main vault. */
  keys({ credential = this.owner(), vault = "main", ...options } = {}) {
    return new KeyClient(this.facts.vaults[vault], credential, options);
  }

  /** A new client for certificates, by default the owner's for the main vault. */
  certificates({ credential = this.owner(), vault = "main", ...options } = {}) {
    return new CertificateClient(this.facts.vaults[vault], credential, options);
  }
}
