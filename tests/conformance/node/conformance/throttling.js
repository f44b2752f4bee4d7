// The SDK lives through throttling and a fault; the target has a vault for each, whose first answers are such.

import assert from "node:assert/strict";
import { refused } from "./harness.js";
import { RecordingHttpClient } from "./recording.js";

export const checks = {
  "throttling.retry-after": retryAfter,
  "throttling.without-retry-after": withoutRetryAfter,
  "throttling.server-error": (run) => survives(run, "failing", [503]),
};

/** Reads the known secret of `vault`; the answers must have been `expected`, then 200 (challenges aside). */
async function survives(run, vault, expected) {
  const { name, value } = run.target.facts.knownSecret;
  const httpClient = new RecordingHttpClient();
  const read = await run.target.secrets({ vault, httpClient }).getSecret(name);
  assert.equal(read.value, value);
  const statuses = httpClient.statuses().filter((status) => status !== 401);
  assert.deepEqual(statuses, [...expected, 200], "statuses");
  return httpClient;
}

/** This SDK waits only when it is told how long; otherwise the caller learns of the throttling. */
async function withoutRetryAfter(run) {
  const { name, value } = run.target.facts.knownSecret;
  const client = run.target.secrets({ vault: "throttledSilently" });
  await refused(() => client.getSecret(name), 429, "Throttled");
  assert.equal((await client.getSecret(name)).value, value);
}

async function retryAfter(run) {
  const { times, responses } = await survives(run, "throttled", [429, 429]);
  const first = responses.findIndex((response) => response.status === 429);
  const waited = times.at(-1) - times[first];
  assert.ok(waited >= 2 && waited < 10, `waited ${waited.toFixed(2)} s for two times Retry-After: 1`);
}
