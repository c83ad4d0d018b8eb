"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="openai",
    reader="streams.sources.openai.openai:OpenAi",
    speaks=lambda body: "effective_at" in body and "actor" in body,
    page="agent-platforms.md",
    samples="tests/samples/openai",
    polls={"openai": "streams.sources.openai.poll:OpenAiPoll"},
)
