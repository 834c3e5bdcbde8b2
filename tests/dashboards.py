"""Reads dashboards with Grafana's own types, writes them again, and says what did not come back: unknown keys, and values that were changed.
Keys that the types add with their defaults are of no interest, and a null is the same as nothing.

usage: dashboards.py FILE...
"""

import json
import sys

from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard


def lost(before, after, path):
    """The paths in `before` that are not in `after`, or are something else there."""
    if isinstance(before, dict):
        if not isinstance(after, dict):
            yield f"{path}: not an object any more"
            return
        for key, value in before.items():
            if value is not None and key not in after:
                yield f"{path}.{key}: not known"
            elif value is not None:
                yield from lost(value, after[key], f"{path}.{key}")
    elif isinstance(before, list):
        if not isinstance(after, list) or len(before) != len(after):
            yield f"{path}: not as many any more"
            return
        for place, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}[{place}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def main(paths):
    plugins.register_default_plugins()
    found = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            before = json.load(file)
        read = dashboard.Dashboard.from_json(before)
        after = json.loads(JSONEncoder(sort_keys=True, indent=2).encode(read))
        panels = sum(panel["type"] != "row" for panel in after["panels"])
        for loss in lost(before, after, path.rsplit("/", 1)[-1]):
            found += 1
            print(loss, file=sys.stderr)
        print(f"{path}: {panels} panels, {len(after['templating']['list'])} variables")
    return 1 if found or not paths else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
