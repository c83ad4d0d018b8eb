"""Make the virtual environment of a peer, once, with its version pinned."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Final

BUILD: Final = Path(__file__).parents[2] / "build"
FOLDER: Final = BUILD / "peers"
CODEC: Final = "fastavro==1.13.1"  # both decode what we decode, with what we use


def python_of(*pins: str, folder: Path = FOLDER) -> str:
    """Give the interpreter of the environment that holds pinned packages.

    Args:
        pins: ``name==version``, as pip takes it; the first names the environment.
        folder: of all environments.

    Raises:
        subprocess.CalledProcessError: it cannot be made.
    """
    place = folder / pins[0]
    folder.mkdir(parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # processes of a test run ask at once
        if not (place / "installed").exists():
            _make(place, pins)
    return str(place / "bin" / "python")


def _make(place: Path, pins: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
    python = place / "bin" / "python"
    install: list[Path | str] = [python, "-m", "pip", "install"]
    for uv in BUILD.glob("uv-*"):  # which `make install` fetched; much faster
        install = [uv, "pip", "install", "--python", python]
    subprocess.run([*install, "--quiet", *pins, CODEC], check=True)
    (place / "installed").touch()
