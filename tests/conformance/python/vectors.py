"""Makes test vectors with Microsoft's Python SDK: what a vault answers, and what Kubernetes data must come of it.

Usage: vectors.py TARGET.json OUT.json   (both files are described in ../README.md)
"""

import sys

from conformance import vectors
from conformance.resolve import resolve_localhost
from conformance.target import Target


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    target = Target.load(sys.argv[1])
    resolve_localhost(target.facts.get("authority"))
    print(vectors.write(target, sys.argv[2]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
