"""Who may ask: the static tokens of callers, as bearer tokens or Basic passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from aiohttp import hdrs

from streams.http.connections import prove
from streams.http.problems import unauthorized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from streams.pdp.settings import PdpCaller


class PdpCallers:
    """The configured callers; every token is compared in constant time."""

    def __init__(self, callers: Sequence[PdpCaller]) -> None:
        self._callers = tuple(callers)

    def admit(self, request: web.Request) -> PdpCaller:
        """Caller of a request.

        A client that can only do HTTP Basic (RFC 6749 section 2.3.1) sends its name
        and, as password, the token.

        Raises:
            ProblemError: 401, it is none of the configured.
        """
        name, token = _given(request.headers.get(hdrs.AUTHORIZATION, ""))
        digest = hashlib.sha256(token).hexdigest()
        found = None
        for caller in self._callers:
            same = hmac.compare_digest(caller.sha256, digest)
            if same and name in {None, caller.name}:
                found = caller
        if found is None:
            detail = "send Authorization: Bearer <token> of a caller in the settings"
            raise unauthorized("unknown caller", detail)
        prove(request, found.name)
        return found


def _given(header: str) -> tuple[str | None, bytes]:
    scheme, _, rest = header.partition(" ")
    if scheme.casefold() == "bearer":
        return None, rest.strip().encode(errors="surrogateescape")
    if scheme.casefold() == "basic":
        try:
            name, _, word = base64.b64decode(rest, validate=True).partition(b":")
            return name.decode(), word
        except ValueError:
            pass
    return None, b""
