"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return "organization_id" in body and "actor" in body


VENDOR = Descriptor(
    name="anthropic",
    reader="streams.sources.anthropic.anthropic:Anthropic",
    speaks=_speaks,
    page="agent-platforms.md",
    samples="tests/samples/anthropic",
    polls={"anthropic": "streams.sources.anthropic.poll:AnthropicPoll"},
)
