"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return "effective_at" in body and "actor" in body


VENDOR = Descriptor(
    name="openai",
    reader="streams.sources.openai.openai:OpenAi",
    speaks=_speaks,
    page="agent-platforms.md",
    samples="tests/samples/openai",
    polls={"openai": "streams.sources.openai.poll:OpenAiPoll"},
)
