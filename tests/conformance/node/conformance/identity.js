// Identity: every way to become somebody, and the code Entra gives for every way it goes wrong.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import {
  ClientAssertionCredential,
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  UsernamePasswordCredential,
  WorkloadIdentityCredential,
} from "@azure/identity";

const refusedAssertions = {
  "identity.wrong-subject": ["wrongSubject", "AADSTS700213"],
  "identity.wrong-audience": ["wrongAudience", "AADSTS700212"],
  "identity.wrong-issuer": ["wrongIssuer", "AADSTS700211"],
  "identity.api-server-wrong-audience": ["apiServerWrongAudience", "AADSTS700212"],
  "identity.expired-assertion": ["expired", "AADSTS700024"],
  "identity.forged-assertion": ["forged", "AADSTS"],
};

export const checks = {
  "identity.client-secret": (run) => reads(run, run.target.app("reader")),
  "identity.client-certificate": (run) => reads(run, certificate(run, "certificate")),
  "identity.workload-identity": (run) => reads(run, workloadIdentity(run, "valid")),
  "identity.client-assertion": (run) => reads(run, clientAssertion(run, "valid")),
  "identity.api-server-token": (run) => reads(run, workloadIdentity(run, "apiServer")),
  "identity.managed-system": (run) => withImds(run, () => reads(run, new ManagedIdentityCredential())),
  "identity.managed-user": managedUser,
  "identity.managed-unknown": managedUnknown,
  "identity.app-service": appService,
  "identity.user-password": (run) => reads(run, user(run, run.target.facts.user.password)),
  "identity.wrong-password": (run) => fails(run, user(run, "not this one"), "AADSTS50126"),
  "identity.wrong-secret": (run) => fails(run, withSecret(run, clientIdOf(run), "not this one"), "AADSTS7000215"),
  "identity.expired-secret": (run) => fails(run, run.target.app("expired"), "AADSTS7000222"),
  "identity.unknown-app": (run) =>
    fails(run, withSecret(run, "00000000-0000-0000-0000-0000000000aa", "any"), "AADSTS700016"),
  "identity.unknown-tenant": unknownTenant,
  "identity.unregistered-certificate": (run) => fails(run, certificate(run, "unregistered"), "AADSTS700027"),
  ...Object.fromEntries(
    Object.entries(refusedAssertions).map(([id, [token, code]]) => [
      id,
      (run) => fails(run, workloadIdentity(run, token), code),
    ]),
  ),
};

const clientIdOf = (run) => run.target.facts.apps.reader.clientId;

/** The credential reads the secret that the target holds for this. */
async function reads(run, credential) {
  const { name, value } = run.target.facts.knownSecret;
  assert.equal((await run.target.secrets({ credential }).getSecret(name)).value, value);
}

/** No token is given, and the reason has `words`. */
async function fails(run, credential, ...words) {
  let error;
  try {
    await credential.getToken(run.target.scope);
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `succeeded, expected a failure saying ${words}`);
  for (const word of words) assert.ok(error.message.includes(word), `the message lacks ${word}: ${error.message}`);
}

/** An app with this client id and secret. */
function withSecret(run, clientId, secret) {
  return new ClientSecretCredential(run.target.tenant, clientId, secret, run.target.authority());
}

/** The app that authenticates by certificate, with the PEM file (key and certificate) named `which`. */
function certificate(run, which) {
  const app = run.target.facts.certificateApp;
  const source = { certificatePath: app[which] };
  return new ClientCertificateCredential(run.target.tenant, app.clientId, source, run.target.authority());
}

/** The federated app with one of the token files of the target. */
function workloadIdentity(run, token) {
  const { clientId, tokens } = run.target.facts.federatedApp;
  return new WorkloadIdentityCredential({
    tenantId: run.target.tenant,
    clientId,
    tokenFilePath: tokens[token],
    ...run.target.authority(),
  });
}

/** The federated app with a callback that gives the token. */
function clientAssertion(run, token) {
  const { clientId, tokens } = run.target.facts.federatedApp;
  const callback = async () => readFileSync(tokens[token], "ascii");
  return new ClientAssertionCredential(run.target.tenant, clientId, callback, run.target.authority());
}

/** The user of the target, with this password. */
function user(run, password) {
  const { clientId, name } = run.target.facts.user;
  return new UsernamePasswordCredential(run.target.tenant, clientId, name, password, run.target.authority());
}

/** Runs `action` with these environment variables, which are restored afterwards. */
async function withEnvironment(variables, action) {
  const before = { ...process.env };
  Object.assign(process.env, variables);
  try {
    return await action();
  } finally {
    for (const name of Object.keys(variables)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
}

function withImds(run, action) {
  return withEnvironment({ AZURE_POD_IDENTITY_AUTHORITY_HOST: run.target.facts.imds }, action);
}

function managedUser(run) {
  const { clientId } = run.target.facts.managedIdentity;
  return withImds(run, () => reads(run, new ManagedIdentityCredential({ clientId })));
}

function managedUnknown(run) {
  const clientId = "00000000-0000-0000-0000-0000000000ff";
  return withImds(run, () => fails(run, new ManagedIdentityCredential({ clientId }), "Identity not found"));
}

function appService(run) {
  // An identity of its own: this SDK caches tokens by identity for the whole process.
  const { clientId, endpoint, header } = run.target.facts.appService;
  const variables = { IDENTITY_ENDPOINT: endpoint, IDENTITY_HEADER: header };
  return withEnvironment(variables, () => reads(run, new ManagedIdentityCredential({ clientId })));
}

async function unknownTenant(run) {
  const nowhere = "00000000-0000-0000-0000-0000000000bb";
  await fails(run, run.target.app("reader", nowhere));
  const url = `${run.target.facts.authority}/${nowhere}/v2.0/.well-known/openid-configuration`;
  const { status, body } = await fetchJson(url);
  assert.deepEqual([status, body.error], [400, "invalid_tenant"]);
  assert.ok(body.error_description.includes("AADSTS90002"), body.error_description);
  assert.ok(body.error_codes.includes(90002), String(body.error_codes));
}

/** GET with node:https (fetch has a resolver of its own). */
function fetchJson(url) {
  return new Promise((resolve, reject) => {
    const sent = request(url, async (response) => {
      const chunks = await response.toArray();
      resolve({ status: response.statusCode, body: JSON.parse(Buffer.concat(chunks)) });
    });
    sent.on("error", reject);
    sent.end();
  });
}
