"""Make the virtual environment of a peer, once, with its version pinned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[2] / "build" / "peers"
CODEC: Final = "fastavro==1.13.1"  # both decode what we decode, with what we use


def python_of(pin: str) -> str:
    """Give the interpreter of the environment that holds a pinned package.

    Args:
        pin: ``name==version``, as pip takes it.

    Raises:
        subprocess.CalledProcessError: it cannot be made.
    """
    folder = FOLDER / pin
    done = folder / "installed"
    python = folder / "bin" / "python"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([python, *install, pin, CODEC], check=True)
        done.touch()
    return str(python)
