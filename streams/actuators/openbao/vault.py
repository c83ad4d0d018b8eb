"""Requests to the API of a vault, with the token for acting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import define, field

from streams.actuators.calls import object_of
from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import HttpClient, RequestLimits

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from streams.model.endings import RequestTurn
    from streams.outbound.answers import HttpAnswer

NOT_FOUND: Final = 404
MOST_ERROR: Final = 200  # characters of what the vault says


@define(eq=False, repr=False)
class VaultRequests:
    """Asks one cluster; connections are kept until it is closed.

    Attributes:
        namespace: of the token; those that requests name are below it.
        turn: waited for before each request; None: nothing is.
    """

    _base: str = field(kw_only=True)
    _token: Callable[[], str] = field(kw_only=True)
    namespace: str = field(kw_only=True, default="")
    _seconds: float = field(kw_only=True, default=10.0)
    _tls: ssl.SSLContext | None = field(kw_only=True, default=None)
    turn: RequestTurn | None = field(init=False, default=None)
    _client: HttpClient | None = field(init=False, default=None)

    async def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        namespace: str = "",
    ) -> HttpAnswer:
        """Send one request, whatever the status of its answer.

        Args:
            method: of HTTP.
            path: within the namespace.
            body: None: there is none.
            namespace: below that of the settings; empty: that one itself.

        Raises:
            RequestError: there is no answer, or no token to ask with.
        """
        if self.turn is not None:
            await self.turn()
        try:
            # Read each time: whoever renews the token writes the file anew.
            headers = {"X-Vault-Token": self._token()}
        except (OSError, ValueError) as error:
            raise RequestError("no_token", type(error).__name__) from error
        places = (self.namespace.strip("/"), namespace)
        if where := "/".join(place for place in places if place):
            headers["X-Vault-Namespace"] = where
        if self._client is None:
            self._client = HttpClient(tls=self._tls)
        return await self._client.request(
            method,
            f"{self._base}/v1/{path}",
            headers=headers,
            data=None if body is None else orjson.dumps(body),
            bounds=RequestLimits(self._seconds),
        )

    async def data(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        namespace: str = "",
    ) -> dict[str, Any]:
        """Return ``data`` of an answer with the status 200.

        Raises:
            RequestError: there is none.
        """
        answer = (await self.call(method, path, body, namespace)).ok()
        try:
            found = answer.object().get("data")
        except UnreadableAnswerError as error:
            raise RequestError("unreadable") from error
        if not isinstance(found, dict):
            raise RequestError("unreadable")
        return found

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.__aexit__()
            self._client = None


def says_none(answer: HttpAnswer | None) -> bool:
    """Whether a vault itself says that there is nothing: 404 with no error."""
    if answer is None or answer.status != NOT_FOUND:
        return False
    return object_of(answer).get("errors") == []


def errors_of(answer: HttpAnswer) -> str:
    """Return what a vault says is wrong; its errors name no secret of ours."""
    errors = object_of(answer).get("errors")
    texts = errors if isinstance(errors, list) else []
    said = "; ".join(" ".join(str(each).split()) for each in texts)
    return said[:MOST_ERROR]
