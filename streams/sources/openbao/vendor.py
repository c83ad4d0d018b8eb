"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="openbao",
    reader="streams.sources.openbao.openbao:OpenBao",
    # The audit device's format: internal/audit/format.go of OpenBao
    speaks=lambda body: (
        body.get("type") in ("request", "response")
        and isinstance(body.get("request"), dict)
    ),
    page="openbao.md",
    samples="examples/openbao",
    hooks={"openbao": "streams.sources.openbao.hook:OpenBaoHook"},
    adopts={"openbao": "streams.sources.openbao.adopt:ADOPT"},
)
