"""Print the version of all that a release has; refuse a tag of another one.

``python wheels/version.py [TAG]``: exit code 1 where distributions and chart differ.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parent.parent
PROJECTS: Final = (
    "pyproject.toml", "wheels/guard/pyproject.toml",
    "wheels/guard-compat/pyproject.toml",
)  # fmt: skip
CHART: Final = "deploy/helm/rescind/Chart.yaml"
_OF_CHART: Final = re.compile(r'^(version|appVersion): "?([^"\n]+)"?$', re.MULTILINE)


def versions(tree: Path) -> dict[str, str]:
    """Give the version that each file of a tree names, by its place."""
    found = {
        name: str(tomllib.loads((tree / name).read_text("utf-8"))["project"]["version"])
        for name in PROJECTS
    }
    for key, version in _OF_CHART.findall((tree / CHART).read_text("utf-8")):
        found[f"{CHART}, {key}"] = version
    return found


def main() -> int:
    """Print the version; give the exit code."""
    found = versions(TREE)
    if len(set(found.values())) != 1:
        for place, version in found.items():
            print(f"{place}: {version}", file=sys.stderr)
        return 1
    (version,) = set(found.values())
    for tag in sys.argv[1:]:
        if tag != f"v{version}":
            print(
                f"the tag {tag} is not v{version}: name what is there", file=sys.stderr
            )
            return 1
    print(version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
