// What a principal may do is decided by roles or access policies, `get` and `list` separately.

import assert from "node:assert/strict";
import { all, refused } from "./harness.js";
import { RecordingHttpClient } from "./recording.js";

// Azure has used both inner codes for a missing access policy.
const BY_POLICY = ["ForbiddenByPolicy", "AccessDenied"];

export const checks = {
  "rbac.no-role": noRole,
  "rbac.secrets-user": secretsUser,
  "rbac.get-without-list": getWithoutList,
  "rbac.list-without-get": listWithoutGet,
};

const as = (run, app, vault = "main") => run.target.secrets({ credential: run.target.app(app), vault });

async function noRole(run) {
  const { knownSecret, apps } = run.target.facts;
  const attempt = () => as(run, "nobody").getSecret(knownSecret.name);
  const message = await refused(attempt, 403, "Forbidden", "ForbiddenByRbac");
  for (const word of [apps.nobody.clientId, "Microsoft.KeyVault/vaults/secrets/getSecret/action"]) {
    assert.ok(message.includes(word), `the message lacks ${word}: ${message}`);
  }
}

async function secretsUser(run) {
  const { name, value } = run.target.facts.knownSecret;
  const secrets = as(run, "reader");
  assert.equal((await secrets.getSecret(name)).value, value);
  const listed = await all(secrets.listPropertiesOfSecrets());
  assert.ok(listed.some((item) => item.name === name), "not listed");
  const set = () => secrets.setSecret(`${run.target.prefix}-refused`, "v");
  await refused(set, 403, "Forbidden", "ForbiddenByRbac");
  const keys = run.target.keys({ credential: run.target.app("reader") });
  await refused(() => keys.getKey("any"), 403, "Forbidden", "ForbiddenByRbac");
}

async function getWithoutList(run) {
  const { name, value } = run.target.facts.knownSecret;
  const httpClient = new RecordingHttpClient();
  const secrets = run.target.secrets({ credential: run.target.app("getOnly"), vault: "policy", httpClient });
  assert.equal((await secrets.getSecret(name)).value, value);
  await refused(() => all(secrets.listPropertiesOfSecrets()), 403, "Forbidden");
  // The SDK keeps no details of a failed page: the inner code is looked up on the wire.
  const { innererror } = JSON.parse(httpClient.responses.at(-1).bodyAsText).error;
  assert.ok(BY_POLICY.includes(innererror.code), innererror.code);
}

async function listWithoutGet(run) {
  const { name } = run.target.facts.knownSecret;
  const secrets = as(run, "listOnly", "policy");
  const listed = await all(secrets.listPropertiesOfSecrets());
  assert.deepEqual(listed.map((item) => item.name), [name]);
  await refused(() => secrets.getSecret(name), 403, "Forbidden", ...BY_POLICY);
}
