"""The guard in Go: its toolchain, and the programs built with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "guards/go"
TOOLS = ROOT / "build/go/bin"  # `make go` puts it there
BUILD_SECONDS = 600


def go(*arguments: str, folder: Path = MODULE) -> str:
    """Run the go command in a module; give what it prints.

    Raises:
        AssertionError: it is not there, or it failed.
    """
    assert (TOOLS / "go").exists(), "run `make go`: it fetches the toolchain"
    # Neither another toolchain nor flags of the machine's own, nor a look at git.
    flags = "-mod=readonly -buildvcs=false"
    here = {"GOTOOLCHAIN": "local", "GOFLAGS": flags, "GOWORK": "off"}
    run = subprocess.run(
        [TOOLS / "go", *arguments],
        cwd=folder,
        env=os.environ | here,
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def built(program: str, folder: Path) -> str:
    """Build a program of the module; give the path of its file."""
    path = folder / Path(program).name
    go("build", "-o", str(path), program)
    return str(path)
