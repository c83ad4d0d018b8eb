"""Make the virtual environment of a peer, once, with its version pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "build" / "peers"
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
    done = place / "installed"
    python = place / "bin" / "python"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([python, *install, *pins, CODEC], check=True)
        done.touch()
    return str(python)
