// Runs checks in the order of ../../checks.json, prints one line each and a closing line.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const listed = JSON.parse(readFileSync(new URL("../../checks.json", import.meta.url), "utf8"));

/** How pollers ask: the service is asked again after this many milliseconds. */
export const POLL = { intervalInMs: 500 };

/** One run of the list against one target. */
export class Harness {
  constructor(target, checks) {
    this.target = target;
    this.checks = { ...checks, cleanup };
    this.created = [];
    this.secrets = target.secrets();
    this.keys = target.keys();
    this.certificates = target.certificates();
  }

  /** Runs everything that applies to the target; gives the exit code of the program. */
  async run() {
    const surplus = Object.keys(this.checks).filter((id) => !listed.some((check) => check.id === id));
    assert.deepEqual(surplus, [], "checks that the list does not know");
    const applicable = listed.filter((check) => check.live || !this.target.live);
    let failed = 0;
    for (const check of applicable) failed += (await this.runOne(check.id)) ? 0 : 1;
    const leftOut = listed.length - applicable.length;
    const note = leftOut ? ` (${leftOut} need the emulator and were left out)` : "";
    console.log(`javascript: ${applicable.length - failed} passed, ${failed} failed${note}`);
    return failed ? 1 : 0;
  }

  /** Runs one check and prints its line; gives whether it passed. */
  async runOne(id) {
    if (!this.checks[id]) {
      console.log(`FAIL ${id} is in the list but not implemented`);
      return false;
    }
    const start = performance.now();
    try {
      await this.checks[id](this);
    } catch (error) {
      const place = /node\/conformance\/(\w+\.js:\d+)/.exec(error.stack ?? "")?.[1] ?? "?";
      console.log(`FAIL ${id} ${error.name}: ${String(error.message).replace(/\s+/g, " ")} [${place}]`);
      return false;
    }
    console.log(`ok ${id} (${((performance.now() - start) / 1000).toFixed(2)} s)`);
    return true;
  }

  /** A name nobody else uses, for an object of `kind` that `cleanup` removes. */
  name(word, kind = "Secret") {
    const name = `${this.target.prefix}-${word}`;
    if (!this.created.some((made) => made.name === name && made.kind === kind)) this.created.push({ kind, name });
    return name;
  }

  /** The client whose methods end in `kind` (Secret, Key, Certificate). */
  client(kind) {
    return { Secret: this.secrets, Key: this.keys, Certificate: this.certificates }[kind];
  }
}

/** Deletes and purges what the run created. */
async function cleanup(run) {
  const left = [];
  const created = run.created.splice(0);
  for (const { kind, name } of created) {
    if (kind === "Issuer") {
      await run.certificates.deleteIssuer(name);
      continue;
    }
    const client = run.client(kind);
    try {
      await ignoringNotFound(async () => (await client[`beginDelete${kind}`](name, POLL)).pollUntilDone());
      await ignoringNotFound(() => client[`purgeDeleted${kind}`](name));
      await untilGone(() => client[`getDeleted${kind}`](name));
    } catch (error) {
      left.push(`${kind} ${name}: ${error.message}`);
    }
  }
  const names = new Set(created.map((made) => made.name));
  for (const list of [
    run.secrets.listPropertiesOfSecrets(),
    run.keys.listPropertiesOfKeys(),
    run.certificates.listPropertiesOfCertificates(),
  ]) {
    for await (const item of list) if (names.has(item.name)) left.push(`${item.name} is still listed`);
  }
  assert.ok(created.length > 0, "nothing was created");
  assert.deepEqual(left, [], "left behind");
}

/** Lets an object that is gone already pass. */
async function ignoringNotFound(action) {
  try {
    await action();
  } catch (error) {
    if (error.statusCode !== 404) throw error;
  }
}

/** Waits until `get` answers 404; a purge of the real service takes a while. */
export async function untilGone(get, seconds = 60) {
  const deadline = performance.now() + seconds * 1000;
  while (performance.now() < deadline) {
    try {
      await get();
    } catch (error) {
      if (error.statusCode === 404) return;
      throw error;
    }
    await sleep(500);
  }
  assert.fail(`still there after ${seconds} s`);
}

/** Runs `action`, which must be answered with this status and these codes in the error body; gives the message. */
export async function refused(action, status, code, ...inner) {
  let error;
  try {
    await action();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `succeeded, expected ${status} ${code}`);
  if (error.statusCode === undefined) throw error;
  assert.deepEqual([error.statusCode, error.code], [status, code], `answered ${error.statusCode}: ${error.message}`);
  if (inner.length) {
    const innerCode = error.details?.error?.innerError?.code;
    assert.ok(inner.includes(innerCode), `innererror.code is ${innerCode}, expected ${inner}`);
  }
  return error.message;
}

/** Everything a paged list gives. */
export async function all(list) {
  const items = [];
  for await (const item of list) items.push(item);
  return items;
}

/** The pages a paged list gives. */
export async function pages(list, options) {
  const found = [];
  for await (const page of list.byPage(options)) found.push(page);
  return found;
}

/** Waits for what a poller ends with. */
export async function finished(poller) {
  return (await poller).pollUntilDone();
}
