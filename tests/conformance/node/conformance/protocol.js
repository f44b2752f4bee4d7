// Challenge, api-version, and tokens that must not be believed.

import assert from "node:assert/strict";
import { refused } from "./harness.js";
import { RecordingHttpClient } from "./recording.js";

export const checks = {
  "protocol.challenge": challenge,
  "protocol.api-version": (run) =>
    refused(() => run.target.secrets({ serviceVersion: "1999-01-01" }).getSecret("any"), 400, "BadParameter"),
  "protocol.foreign-audience": foreignAudience,
  "protocol.foreign-tenant": foreignTenant,
  "protocol.forged-token": forgedToken,
};

async function challenge(run) {
  const httpClient = new RecordingHttpClient();
  const client = run.target.secrets({ httpClient });
  const name = run.name("challenge");
  await client.setSecret(name, "v");
  await client.getSecret(name);
  assert.deepEqual(httpClient.statuses(), [401, 200, 200], "statuses of set and get");
  const header = httpClient.responses[0].headers.get("www-authenticate");
  assert.match(header, /^Bearer /);
  if (run.target.live) return;
  const { authority, resource } = run.target.facts;
  assert.ok(header.includes(`authorization="${authority}/${run.target.tenant}"`), header);
  assert.ok(header.includes(`resource="${resource}"`), header);
}

async function foreignAudience(run) {
  const { token } = await run.target.app("owner").getToken("https://management.azure.com/.default");
  await expectUnauthorized(run, token, "AKV10022");
}

async function foreignTenant(run) {
  const { token } = await run.target.app("foreign", run.target.facts.foreignTenant).getToken(run.target.scope);
  await expectUnauthorized(run, token, "AKV10032");
}

async function forgedToken(run) {
  const [header, payload, signature] = (await run.target.owner().getToken(run.target.scope)).token.split(".");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  claims.oid = "00000000-0000-0000-0000-000000000001";
  const forged = Buffer.from(JSON.stringify(claims)).toString("base64url");
  await expectUnauthorized(run, `${header}.${forged}.${signature}`, "");
}

/** The vault answers 401 Unauthorized to `token`, with `word` in the message. */
async function expectUnauthorized(run, token, word) {
  const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) };
  const message = await refused(() => run.target.secrets({ credential }).getSecret("any"), 401, "Unauthorized");
  assert.ok(message.includes(word), message);
}
