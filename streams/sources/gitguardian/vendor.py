"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="gitguardian",
    reader="streams.sources.gitguardian.gitguardian:GitGuardian",
    speaks=lambda body: (
        ("incident" in body and "action" in body) or "gitguardian_url" in body
    ),
    page="gitguardian.md",
    samples="tests/samples/gitguardian",
    hooks={"gitguardian": "streams.sources.gitguardian.hook:GitGuardianHook"},
)
