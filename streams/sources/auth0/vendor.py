"""The descriptor of this source."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="auth0",
    reader="streams.sources.auth0.auth0:Auth0",
    speaks=lambda body: "log_id" in body and ("data" in body or "type" in body),
    page="auth0.md",
    samples="tests/samples/auth0",
    hooks={"auth0": "streams.sources.auth0.hook:Auth0Hook"},
)
