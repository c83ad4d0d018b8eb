"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return str(body.get("table_name")).startswith("LiteLLM_")


VENDOR = Descriptor(
    name="litellm",
    reader="streams.sources.litellm.litellm:LiteLlm",
    speaks=_speaks,
    page="agent-platforms.md",
    samples="tests/samples/litellm",
    configured="streams.sources.litellm.litellm:configured",
    polls={"litellm": "streams.sources.litellm.poll:LiteLlmPoll"},
)
