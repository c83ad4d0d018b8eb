"""Okta's Event Hooks, and the answer to their one-time verification.

Okta signs nothing: it sends a secret that you chose, in a header that you chose.
Source: Okta developer documentation, "Event hooks", "One-time verification request".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from streams.sources.hooking import HeaderHook

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest

CHALLENGE: Final = "X-Okta-Verification-Challenge"
_MAX_CHALLENGE: Final = 1_024


class OktaHook(HeaderHook):
    """Okta Event Hooks."""

    source = "okta"
    chooses_header = True

    def verification(self, request: HookRequest) -> bytes | None:
        """Answer the challenge; it says nothing about the secret.

        None: the request carries none, or one that no Okta would send.
        """
        for name, value in request.headers.items():
            fits = 0 < len(value) <= _MAX_CHALLENGE
            if fits and name.casefold() == CHALLENGE.casefold():
                return orjson.dumps({"verification": value})
        return None
