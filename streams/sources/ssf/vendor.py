"""The descriptor of this source."""

from __future__ import annotations

import re
from typing import Final

from streams.sources.descriptor import Descriptor

_TOKEN: Final = re.compile(
    rb"^\s*eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$", re.ASCII | re.MULTILINE
)


VENDOR = Descriptor(
    name="ssf",
    reader="streams.sources.ssf.ssf:Ssf",
    # A SET (RFC 8417), or a poll's response (RFC 8936)
    speaks=lambda body: (
        ("iss" in body and isinstance(body.get("events"), dict))
        or isinstance(body.get("sets"), dict)
    ),
    line=_TOKEN,
    page="ssf.md",
    samples="tests/samples/ssf",
)
