"""Checks Kubernetes objects against the API schemas of several versions, offline.

usage: validate.py VERSION... < objects.json (a JSON list)
Prints a line for each version, and one for each object that does not fit; exit code 1 if there is any. Kinds that no
Kubernetes knows are counted apart.
"""

import json
import sys

import kubernetes_validate as kube


def main() -> int:
    objects = json.load(sys.stdin)
    flaws = 0
    for version in sys.argv[1:]:
        checked = foreign = 0
        for item in objects:
            name = f"{item['kind']}/{item['metadata']['name']}"
            try:
                kube.validate(item, version, strict=True)
                checked += 1
            except kube.SchemaNotFoundError:
                foreign += 1
                print(f"{version}: no schema for {item['apiVersion']} {item['kind']}")
            except kube.ValidationError as error:
                flaws += 1
                place = "/".join(str(part) for part in error.absolute_path)
                print(f"{version}: {name}: {place}: {error.message}")
        print(f"{version}: {checked} fit, {foreign} of other kinds")
    return 1 if flaws else 0


if __name__ == "__main__":
    sys.exit(main())
