"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    action = body.get("action")
    if "secret_type" in body and "locations_url" in body:
        return True
    if not isinstance(action, str):
        return False
    return "sender" in body or ("." in action and "actor" in body)


VENDOR = Descriptor(
    name="github",
    reader="streams.sources.github.github:GitHub",
    speaks=_speaks,
    page="github.md",
    samples="tests/samples/github",
    configured="streams.sources.github.github:configured",
    polls={"github": "streams.sources.github.poll:GitHubPoll"},
    hooks={
        "github": "streams.sources.github.hook:GithubHook",
        "github_secrets": "streams.sources.github.hook:GithubSecretsHook",
    },
    adopts={"github": "streams.sources.github.adopt:ADOPT"},
)
