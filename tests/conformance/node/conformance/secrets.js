// Secrets: the whole life of one, and what is refused.

import assert from "node:assert/strict";
import { POLL, all, finished, pages, refused, untilGone } from "./harness.js";

export const VERSION = /^[0-9a-f]{32}$/;

export const checks = {
  "secrets.set-get": setGet,
  "secrets.attributes": attributes,
  "secrets.versions": versions,
  "secrets.list-versions": listVersions,
  "secrets.list-pages": listPages,
  "secrets.page-size": pageSize,
  "secrets.update": update,
  "secrets.disabled": disabled,
  "secrets.outside-validity": outsideValidity,
  "secrets.not-found": (run) =>
    refused(() => run.secrets.getSecret(`${run.target.prefix}-nowhere`), 404, "SecretNotFound"),
  "secrets.version-not-found": versionNotFound,
  "secrets.bad-name": (run) =>
    refused(() => run.secrets.setSecret(`${run.target.prefix}_underscore`, "v"), 400, "BadParameter"),
  "secrets.too-large": tooLarge,
  "secrets.delete": deleteSecret,
  "secrets.deleted-conflict": deletedConflict,
  "secrets.recover": recover,
  "secrets.purge": purge,
};

/** A time in whole seconds, `days` from now. */
export function instant(days) {
  return new Date((Math.floor(Date.now() / 1000) + days * 86_400) * 1000);
}

async function setGet(run) {
  const name = run.name("set-get");
  const value = 'pä55wörd "quoted"\nsecond line\t\u{1f511}';
  const before = Date.now() - 60_000;
  const written = await run.secrets.setSecret(name, value);
  const read = await run.secrets.getSecret(name);
  const { version, vaultUrl, createdOn, updatedOn, enabled, recoveryLevel } = read.properties;
  assert.equal(read.value, value);
  assert.equal(read.properties.id, written.properties.id);
  assert.match(version, VERSION);
  assert.equal(read.properties.id, `${run.target.facts.vaults.main.replace(/\/$/, "")}/secrets/${name}/${version}`);
  assert.equal(vaultUrl.replace(/\/$/, ""), run.target.facts.vaults.main.replace(/\/$/, ""));
  for (const when of [createdOn, updatedOn]) {
    assert.equal(when.getTime() % 1000, 0, "fraction of the second");
    assert.ok(before < when.getTime() && when.getTime() < Date.now() + 60_000, String(when));
  }
  assert.equal(enabled, true);
  assert.ok(run.target.live || recoveryLevel.startsWith("Recoverable"), recoveryLevel);
}

async function attributes(run) {
  const name = run.name("attributes");
  const given = {
    contentType: "text/plain",
    tags: { owner: "team a", umlaut: "ä" },
    enabled: true,
    notBefore: instant(-1),
    expiresOn: instant(30),
  };
  await run.secrets.setSecret(name, "v", given);
  const read = (await run.secrets.getSecret(name)).properties;
  for (const [key, value] of Object.entries(given)) assert.deepEqual(read[key], value, key);
}

async function versions(run) {
  const name = run.name("versions");
  const first = (await run.secrets.setSecret(name, "one")).properties.version;
  const second = (await run.secrets.setSecret(name, "two")).properties.version;
  assert.notEqual(first, second);
  const newest = await run.secrets.getSecret(name);
  assert.deepEqual([newest.properties.version, newest.value], [second, "two"]);
  assert.equal((await run.secrets.getSecret(name, { version: first })).value, "one");
}

async function listVersions(run) {
  const name = run.name("list-versions");
  const made = new Set();
  for (const value of ["a", "b", "c"]) made.add((await run.secrets.setSecret(name, value)).properties.version);
  const listed = await all(run.secrets.listPropertiesOfSecretVersions(name));
  assert.deepEqual(new Set(listed.map((item) => item.version)), made);
  assert.deepEqual(new Set(listed.map((item) => item.name)), new Set([name]));
  assert.ok(listed.every((item) => !("value" in item)), "a value is listed");
}

async function listPages(run) {
  const names = Array.from({ length: 30 }, (_, i) => run.name(`page-${String(i).padStart(2, "0")}`));
  for (const name of names) await run.secrets.setSecret(name, "v");
  const found = await pages(run.secrets.listPropertiesOfSecrets());
  const sizes = found.map((page) => page.length);
  const listed = found.flat();
  assert.ok(found.length > 1 && Math.max(...sizes) <= 25, `sizes of the pages: ${sizes}`);
  const listedNames = new Set(listed.map((item) => item.name));
  assert.deepEqual(names.filter((name) => !listedNames.has(name)), [], "names missing from the list");
  assert.equal(new Set(listed.map((item) => item.id)).size, listed.length, "number of distinct ids");
  assert.ok(listed.every((item) => !item.version && !("value" in item)), "a version or value is listed");
}

async function pageSize(run) {
  for (let i = 0; i < 5; i += 1) await run.secrets.setSecret(run.name(`size-${i}`), "v");
  const sizes = (await pages(run.secrets.listPropertiesOfSecrets(), { maxPageSize: 3 })).map((page) => page.length);
  assert.ok(sizes.length > 1 && Math.max(...sizes) <= 3, `sizes of the pages: ${sizes}`);
}

async function update(run) {
  const name = run.name("update");
  const written = (await run.secrets.setSecret(name, "kept", { tags: { a: "1" }, contentType: "old" })).properties;
  const change = { contentType: "new", tags: { b: "2" }, expiresOn: instant(7), notBefore: instant(-7) };
  const changed = await run.secrets.updateSecretProperties(name, written.version, change);
  assert.equal(changed.version, written.version);
  const read = await run.secrets.getSecret(name);
  assert.equal(read.value, "kept");
  for (const [key, value] of Object.entries(change)) assert.deepEqual(read.properties[key], value, key);
  assert.deepEqual(read.properties.createdOn, written.createdOn);
  assert.ok(read.properties.updatedOn >= written.updatedOn);
}

async function disabled(run) {
  const name = run.name("disabled");
  const { version } = (await run.secrets.setSecret(name, "v")).properties;
  await run.secrets.updateSecretProperties(name, version, { enabled: false });
  await refused(() => run.secrets.getSecret(name), 403, "Forbidden", "SecretDisabled");
  const listed = (await all(run.secrets.listPropertiesOfSecrets())).filter((item) => item.name === name);
  assert.deepEqual(listed.map((item) => item.enabled), [false]);
  await run.secrets.updateSecretProperties(name, version, { enabled: true });
  assert.equal((await run.secrets.getSecret(name)).value, "v");
}

async function outsideValidity(run) {
  const [expired, early] = [run.name("expired"), run.name("early")];
  await run.secrets.setSecret(expired, "old", { notBefore: instant(-3), expiresOn: instant(-2) });
  await run.secrets.setSecret(early, "new", { notBefore: instant(2), expiresOn: instant(3) });
  assert.equal((await run.secrets.getSecret(expired)).value, "old");
  assert.equal((await run.secrets.getSecret(early)).value, "new");
}

async function versionNotFound(run) {
  const name = run.name("version-not-found");
  await run.secrets.setSecret(name, "v");
  await refused(() => run.secrets.getSecret(name, { version: "0".repeat(32) }), 404, "SecretNotFound");
}

async function tooLarge(run) {
  const name = run.name("large");
  await run.secrets.setSecret(name, "x".repeat(25_000));
  assert.equal((await run.secrets.getSecret(name)).value.length, 25_000);
  await refused(() => run.secrets.setSecret(name, "x".repeat(25_601)), 400, "BadParameter");
}

async function deleteSecret(run) {
  const name = run.name("delete");
  await run.secrets.setSecret(name, "v");
  const deleted = await finished(run.secrets.beginDeleteSecret(name, POLL));
  assert.equal(deleted.name, name);
  const { deletedOn, scheduledPurgeDate, recoveryId } = (await run.secrets.getDeletedSecret(name)).properties;
  assert.ok(scheduledPurgeDate > deletedOn, "purge date");
  assert.ok(recoveryId.endsWith(`/deletedsecrets/${name}`), recoveryId);
  await refused(() => run.secrets.getSecret(name), 404, "SecretNotFound");
  const gone = await all(run.secrets.listDeletedSecrets());
  assert.ok(gone.some((item) => item.name === name), "not among the deleted ones");
  const listed = await all(run.secrets.listPropertiesOfSecrets());
  assert.ok(!listed.some((item) => item.name === name), "still listed");
}

async function deletedConflict(run) {
  const name = run.name("conflict");
  await run.secrets.setSecret(name, "v");
  await finished(run.secrets.beginDeleteSecret(name, POLL));
  await refused(() => run.secrets.setSecret(name, "again"), 409, "Conflict", "ObjectIsDeletedButRecoverable");
}

async function recover(run) {
  const name = run.name("recover");
  const first = (await run.secrets.setSecret(name, "one")).properties.version;
  await run.secrets.setSecret(name, "two");
  await finished(run.secrets.beginDeleteSecret(name, POLL));
  assert.equal((await finished(run.secrets.beginRecoverDeletedSecret(name, POLL))).name, name);
  assert.equal((await run.secrets.getSecret(name)).value, "two");
  assert.equal((await run.secrets.getSecret(name, { version: first })).value, "one");
}

async function purge(run) {
  const name = run.name("purge");
  await run.secrets.setSecret(name, "v");
  await finished(run.secrets.beginDeleteSecret(name, POLL));
  await run.secrets.purgeDeletedSecret(name);
  await untilGone(() => run.secrets.getDeletedSecret(name));
  await refused(() => run.secrets.getSecret(name), 404, "SecretNotFound");
  await run.secrets.setSecret(name, "reborn");
  assert.equal((await all(run.secrets.listPropertiesOfSecretVersions(name))).length, 1);
}
