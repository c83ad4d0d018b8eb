"""The descriptor of this source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return "log_id" in body and ("data" in body or "type" in body)


VENDOR = Descriptor(
    name="auth0",
    reader="streams.sources.auth0.auth0:Auth0",
    speaks=_speaks,
    page="auth0.md",
    samples="tests/samples/auth0",
    hooks={"auth0": "streams.sources.auth0.hook:Auth0Hook"},
)
