"""A source and a sink for Rescind, from outside its tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.sources.descriptor import Descriptor

if TYPE_CHECKING:
    from collections.abc import Mapping


def _speaks(body: Mapping[str, Any]) -> bool:
    return "acme" in body and "act" in body


VENDOR = Descriptor(
    name="acme",
    reader="acme_rescind.audit:AcmeAudit",
    speaks=_speaks,
    kinds={"acme.token": "credential"},
    page="https://acme.example/docs/rescind",
    hooks={"acme": "acme_rescind.hook:AcmeHook"},
    polls={"acme": "acme_rescind.poll:AcmePoll"},
    adopts={"acme": "acme_rescind.adopt:ADOPT"},
)
