"""Build the distribution `rescind-guard` out of this tree: ``make guard-wheel``.

A customer's process must not get packages as generic as ``schemas``, so the schemas
that a guard on Kafka needs are copied below it, as ``enforcement.kafka._schemas``, and
the imports of the copies name that place. Nothing else is changed.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
TREE: Final = HERE.parent.parent
PACKAGES: Final = ("agents_registry", "enforcement")
VENDORED: Final = "enforcement.kafka._schemas"
_IMPORT: Final = re.compile(r"^(\s*(?:from|import)\s+)schemas(?=[.\s])", re.MULTILINE)
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", "avro")


def stage(folder: Path) -> None:
    """Lay out the sources of the distribution in an empty folder."""
    folder.mkdir(parents=True)
    for package in PACKAGES:
        shutil.copytree(TREE / package, folder / package, ignore=_LEFT_OUT)
    vendored = folder.joinpath(*VENDORED.split("."))
    shutil.copytree(TREE / "schemas", vendored, ignore=_LEFT_OUT)
    for module in (folder / "enforcement" / "kafka").rglob("*.py"):
        source = module.read_text("utf-8")
        module.write_text(_IMPORT.sub(rf"\g<1>{VENDORED}", source), "utf-8")
    shutil.copy(HERE / "pyproject.toml", folder)
    shutil.copy(HERE / "README.md", folder)
    shutil.copy(TREE / "LICENSE", folder)


def main() -> None:
    """Stage and build; the wheel and the source distribution land in a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--uv", required=True, help="the uv that builds")
    parser.add_argument("--out", type=Path, default=TREE / "dist")
    parser.add_argument("--stage", type=Path, default=TREE / "build" / "rescind-guard")
    parser.add_argument("--offline", action="store_true", help="ask no index")
    told = parser.parse_args()
    shutil.rmtree(told.stage, ignore_errors=True)
    stage(told.stage)
    offline = ["--offline"] if told.offline else []
    command = [told.uv, "build", "--quiet", *offline, "--out-dir", str(told.out)]
    subprocess.run([*command, str(told.stage)], check=True)


if __name__ == "__main__":
    main()
