"""The descriptor of this source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(
    rb"^\s*eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$", re.ASCII | re.MULTILINE
)


def _speaks(body: Mapping[str, Any]) -> bool:
    """Whether it holds a SET (RFC 8417), or is a poll's response (RFC 8936)."""
    is_set = "iss" in body and isinstance(body.get("events"), dict)
    return is_set or isinstance(body.get("sets"), dict)


VENDOR = Descriptor(
    name="ssf",
    reader="streams.sources.ssf.ssf:Ssf",
    speaks=_speaks,
    line=_TOKEN,
    page="ssf.md",
    samples="tests/samples/ssf",
)
