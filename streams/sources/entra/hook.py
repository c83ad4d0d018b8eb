"""Microsoft Graph's change notifications as a hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.entra import graph
from streams.sources.hooking import MOST_UNSIGNED, HookReply, HookVendor

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest


class GraphHook(HookVendor):
    """Notifications that have a ``clientState`` each."""

    source = "entra"
    largest = MOST_UNSIGNED

    def admits(self, request: HookRequest) -> bool:
        """Read each: the secret is in the body."""
        del request
        return True

    def proves(self, request: HookRequest, body: bytes) -> bool:
        """Compare the secret of every notification."""
        return graph.authentic(request.secret, body)

    def shaken(self, request: HookRequest) -> HookReply | None:
        """Return the validation token as plain text: a stranger may choose it."""
        token = graph.validation(request.query)
        if token is None:
            return None
        return HookReply(
            token, "text/plain", headers={"X-Content-Type-Options": "nosniff"}
        )
