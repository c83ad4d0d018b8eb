"""How OpenBao's HTTP audit device proves who it is: by a header of your choice.

Each line of the log is one POST. The device waits for the answer, takes 2xx alone and
never repeats: what it could not hand over fails the call that it stands for, unless
another device took the line.

Source: openbao/openbao builtin/audit/http, and OpenBao 2.7.2 as it ran.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.sources.hooking import HeaderHook, same

if TYPE_CHECKING:
    from streams.sources.hooking import HookRequest

_SCHEME: Final = "bearer "


def authentic(secret: str, header: str | None) -> bool:
    """Whether a header holds the secret, as a bearer token (RFC 6750 section 2.1).

    An empty secret fits nothing.
    """
    if not secret or header is None or header[: len(_SCHEME)].lower() != _SCHEME:
        return False
    return same(secret, header[len(_SCHEME) :].strip())


class OpenBaoHook(HeaderHook):
    """OpenBao's HTTP audit device, with a bearer token."""

    source = "openbao"

    def admits(self, request: HookRequest) -> bool:
        """Compare in constant time; the scheme in any case."""
        return authentic(request.secret, request.headers.get(request.header))
