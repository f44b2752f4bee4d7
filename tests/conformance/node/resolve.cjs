// Name resolution for `*.localhost` (node --require ./resolve.cjs).
//
// RFC 6761 wants these names to mean the loopback address; glibc's resolver does not do that without systemd-resolved.
// This is the one thing the harness changes in the process: the SDKs themselves are used as they are.
"use strict";
const dns = require("node:dns");

const original = dns.lookup;

dns.lookup = function lookup(hostname, options, callback) {
  const name = typeof hostname === "string" ? hostname.replace(/\.$/, "") : hostname;
  if (typeof name !== "string" || !name.endsWith(".localhost")) return original(hostname, options, callback);
  const done = typeof options === "function" ? options : callback;
  const all = typeof options === "object" && options !== null && options.all;
  process.nextTick(() => (all ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)));
};
