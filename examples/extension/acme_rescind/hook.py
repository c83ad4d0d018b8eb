"""ACME's webhooks, which send a secret in a header of their own."""

from __future__ import annotations

from streams.sources.hooking import HeaderHook


class AcmeHook(HeaderHook):
    """One event or a list of them in a body."""

    source = "acme"
    header = "X-Acme-Secret"
