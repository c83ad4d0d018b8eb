"""All pages: a line each."""

from __future__ import annotations

from typing import Final

from streams.console.pages import now

KINDS: Final = (now.KIND,)
