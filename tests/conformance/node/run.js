// Runs the list of checks in ../checks.json with Microsoft's JavaScript SDK.
//
// Usage: node --require ./resolve.cjs run.js TARGET.json   (the target file is described in ../README.md)
// Exit code 0 when every check passed, 1 otherwise.

import * as certificates from "./conformance/certificates.js";
import * as identity from "./conformance/identity.js";
import * as keys from "./conformance/keys.js";
import * as protocol from "./conformance/protocol.js";
import * as rbac from "./conformance/rbac.js";
import * as secrets from "./conformance/secrets.js";
import * as throttling from "./conformance/throttling.js";
import { Harness } from "./conformance/harness.js";
import { Target } from "./conformance/target.js";

if (process.argv.length !== 3) {
  console.log("usage: node --require ./resolve.cjs run.js TARGET.json");
  process.exit(2);
}
const modules = [protocol, secrets, keys, certificates, identity, rbac, throttling];
const checks = Object.assign({}, ...modules.map((module) => module.checks));
const harness = new Harness(Target.load(process.argv[2]), checks);
process.exit(await harness.run());
