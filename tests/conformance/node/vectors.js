// Makes test vectors with Microsoft's JavaScript SDK: what a vault answers, and what Kubernetes data must come of it.
//
// Usage: node --require ./resolve.cjs vectors.js TARGET.json OUT.json   (both files are described in ../README.md)

import { Target } from "./conformance/target.js";
import { write } from "./conformance/vectors.js";

if (process.argv.length !== 4) {
  console.log("usage: node --require ./resolve.cjs vectors.js TARGET.json OUT.json");
  process.exit(2);
}
console.log(await write(Target.load(process.argv[2]), process.argv[3]));
