"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="anthropic",
    reader="streams.sources.anthropic.anthropic:Anthropic",
    speaks=lambda body: "organization_id" in body and "actor" in body,
    page="agent-platforms.md",
    samples="tests/samples/anthropic",
    polls={"anthropic": "streams.sources.anthropic.poll:AnthropicPoll"},
)
