"""structlog without rich, which it loads wherever that is installed.

A server prints no coloured tracebacks, and rich with what it needs is a twentieth of
all that a server loads.
"""

from __future__ import annotations

import sys


def load() -> None:
    """Load structlog, and hide rich from it; nothing where either is loaded already."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # as `import` documents it
    try:
        import structlog  # noqa: F401, PLC0415 - now, while it finds no rich
    finally:
        del sys.modules["rich"]
