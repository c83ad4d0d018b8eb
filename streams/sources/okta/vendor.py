"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return "outcome" in body and ("eventType" in body or "eventtype" in body)


VENDOR = Descriptor(
    name="okta",
    reader="streams.sources.okta.okta:Okta",
    speaks=_speaks,
    page="okta.md",
    samples="tests/samples/okta",
    polls={"okta": "streams.sources.okta.poll:OktaPoll"},
    hooks={"okta": "streams.sources.okta.hook:OktaHook"},
    adopts={"okta": "streams.sources.okta.adopt:ADOPT"},
)
