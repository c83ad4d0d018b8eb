"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="litellm",
    reader="streams.sources.litellm.litellm:LiteLlm",
    speaks=lambda body: str(body.get("table_name")).startswith("LiteLLM_"),
    page="agent-platforms.md",
    samples="tests/samples/litellm",
    configured="streams.sources.litellm.litellm:configured",
    polls={"litellm": "streams.sources.litellm.poll:LiteLlmPoll"},
)
