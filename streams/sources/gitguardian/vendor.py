"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    incident = "incident" in body and "action" in body
    return incident or "gitguardian_url" in body


VENDOR = Descriptor(
    name="gitguardian",
    reader="streams.sources.gitguardian.gitguardian:GitGuardian",
    speaks=_speaks,
    page="gitguardian.md",
    samples="tests/samples/gitguardian",
    hooks={"gitguardian": "streams.sources.gitguardian.hook:GitGuardianHook"},
)
