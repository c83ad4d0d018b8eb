"""The descriptor of this source."""

from __future__ import annotations

import re
from typing import Final

from streams.sources.descriptor import Descriptor

_LINE: Final = re.compile(
    rb'\btime=\\?"[^"\n]{10,40}" level=\w+ msg=[^\n]*\btype=audit\b'
)


VENDOR = Descriptor(
    name="spire",
    reader="streams.sources.spire.spire:Spire",
    speaks=lambda body: body.get("type") == "audit" and "method" in body,
    line=_LINE,
    page="spire.md",
    samples="tests/samples/spire",
)
