"""All pages: a line each."""

from __future__ import annotations

from typing import Final

from streams.console.pages import credential, find, now

KINDS: Final = (now.KIND, find.KIND, credential.KIND)
