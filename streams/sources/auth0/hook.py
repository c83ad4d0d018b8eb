"""Auth0's log streams of the type Custom Webhook."""

from __future__ import annotations

from streams.sources.hooking import HeaderHook


class Auth0Hook(HeaderHook):
    """Sends the secret in a header of your choice."""

    source = "auth0"
    chooses_header = True
