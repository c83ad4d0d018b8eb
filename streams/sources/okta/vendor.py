"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="okta",
    reader="streams.sources.okta.okta:Okta",
    speaks=lambda body: (
        "outcome" in body and ("eventType" in body or "eventtype" in body)
    ),
    page="okta.md",
    samples="tests/samples/okta",
    polls={"okta": "streams.sources.okta.poll:OktaPoll"},
    hooks={"okta": "streams.sources.okta.hook:OktaHook"},
    adopts={"okta": "streams.sources.okta.adopt:ADOPT"},
)
