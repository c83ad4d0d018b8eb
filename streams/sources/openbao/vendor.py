"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    # The audit device's format: internal/audit/format.go of OpenBao
    kinds = ("request", "response")
    return body.get("type") in kinds and isinstance(body.get("request"), dict)


VENDOR = Descriptor(
    name="openbao",
    reader="streams.sources.openbao.openbao:OpenBao",
    speaks=_speaks,
    page="openbao.md",
    samples="examples/openbao",
    hooks={"openbao": "streams.sources.openbao.hook:OpenBaoHook"},
    adopts={"openbao": "streams.sources.openbao.adopt:ADOPT"},
)
