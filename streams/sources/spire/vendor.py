"""The descriptor of this source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE: Final = re.compile(
    rb'\btime=\\?"[^"\n]{10,40}" level=\w+ msg=[^\n]*\btype=audit\b'
)


def _speaks(body: Mapping[str, Any]) -> bool:
    return body.get("type") == "audit" and "method" in body


VENDOR = Descriptor(
    name="spire",
    reader="streams.sources.spire.spire:Spire",
    speaks=_speaks,
    line=_LINE,
    page="spire.md",
    samples="tests/samples/spire",
)
