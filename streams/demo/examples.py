"""Where the files lie that the demos replay."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_INSTALLED: Final = Path(__file__).parent / "examples"
_CHECKOUT: Final = Path(__file__).resolve().parents[2] / "examples"
# A wheel carries them beside this module, a checkout has them at its top.
EXAMPLES: Final = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
