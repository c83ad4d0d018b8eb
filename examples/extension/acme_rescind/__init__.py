"""A source and a sink for Rescind, from outside its tree."""

from __future__ import annotations

from streams.sources.descriptor import Descriptor

VENDOR = Descriptor(
    name="acme",
    reader="acme_rescind.audit:AcmeAudit",
    speaks=lambda body: "acme" in body and "act" in body,
    kinds={"acme.token": "credential"},
    page="https://acme.example/docs/rescind",
    hooks={"acme": "acme_rescind.hook:AcmeHook"},
    polls={"acme": "acme_rescind.poll:AcmePoll"},
    adopts={"acme": "acme_rescind.adopt:ADOPT"},
)
