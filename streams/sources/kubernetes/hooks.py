"""The audit log of an API server by its webhook, or through Google's Pub/Sub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.sources.hooking import HeaderHook, HookVendor, same

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest


class KubernetesHook(HeaderHook):
    """The audit webhook backend of an API server, with a bearer token."""

    source = "kubernetes"
    header = "Authorization"
    prefix = "Bearer "


class PubSub(HookVendor):
    """Push subscriptions of Google's Pub/Sub, which send no header of ours.

    The secret is the parameter ``token`` of the push endpoint's URL.
    """

    source = "kubernetes"
    carries = True
    knows_early = True

    def admits(self, request: HookRequest) -> bool:
        """Compare in constant time."""
        return same(request.secret, request.query.get("token", ""))
