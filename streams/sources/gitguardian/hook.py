"""GitGuardian's custom webhooks, signed over time and body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.gitguardian.gitguardian import SIGNATURE, TIMESTAMP, authentic
from streams.sources.hooking import MOST_UNSIGNED, HookVendor

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest


class GitGuardianHook(HookVendor):
    """Signs with the token of the webhook's settings."""

    source = "gitguardian"
    largest = MOST_UNSIGNED

    def admits(self, request: HookRequest) -> bool:
        """Look for a signature and its time."""
        return SIGNATURE in request.headers and TIMESTAMP in request.headers

    def proves(self, request: HookRequest, body: bytes) -> bool:
        """Verify; an old request is a replay."""
        sent, signature = request.headers[TIMESTAMP], request.headers[SIGNATURE]
        return authentic(body, sent, signature, request.secret.encode(), request.now)
