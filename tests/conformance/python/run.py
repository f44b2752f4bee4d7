"""Runs the list of checks in ../checks.json with Microsoft's Python SDK.

Usage: run.py TARGET.json   (the target file is described in ../README.md)
Exit code 0 when every check passed, 1 otherwise.
"""

import logging
import sys

from conformance import certificates, identity, keys, protocol, rbac, secrets, throttling
from conformance.harness import CheckList, Harness
from conformance.resolve import resolve_localhost
from conformance.target import Target


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    target = Target.load(sys.argv[1])
    # Half of the identity checks are about failures; the checks look at them, their log lines would only bury the list.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    resolve_localhost(target.facts.get("authority"))
    checks = CheckList("python")
    for module in (protocol, secrets, keys, certificates, identity, rbac, throttling):
        module.register(checks)
    return Harness(target, checks).run()


if __name__ == "__main__":
    sys.exit(main())
