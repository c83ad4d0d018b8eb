"""The one way from the console to the server: its HTTP API, asked for one person.

Requests are bounded in time and size. What goes wrong is a value that a page can show,
and never an exception: the API's own problem documents, and what a connection does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import orjson
from attrs import Factory, define, evolve, field, frozen

from streams.outbound.answers import RequestError, UnreadableAnswerError
from streams.outbound.client import RequestLimits
from streams.process.large_json import LARGE, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.outbound.answers import HttpAnswer
    from streams.outbound.client import HttpClient

LIMITS: Final = RequestLimits(seconds=30.0, largest=8 << 20)
UNAUTHORIZED: Final = 401
ERRORS: Final = 400
NO_ANSWER: Final = 502
_ADVICE: Final = {
    401: "Log in again.",
    403: "Log in with a credential that has the role, or ask somebody who has it.",
    404: "Check the name, or look for it on the page before.",
    409: "Load the page again: somebody else was here before you.",
    422: "Correct what was entered and send it again.",
    429: "Wait for a moment and try again.",
    501: "See docs/console.md: the server has to be set up for this.",
    503: "Try again: the server says that it cannot answer at this moment.",
}
_OF_CONNECTION: Final = {
    "timeout": "It did not answer in time. Try again, or ask for less.",
    "unreachable": "Check that the server runs, and the address that the console has.",
    "untrusted": "Name the CA of the server's certificate to the console.",
    "too_large": "Ask for less: the answer is larger than a page can show.",
}


@frozen
class ApiProblem:
    """Why there is no answer, for people.

    Attributes:
        title: what is wrong.
        detail: in which respect; "" where nobody knows.
        advice: what to do.
        status: of the answer; 502 where there was none.
    """

    title: str
    detail: str
    advice: str
    status: int


NOT_OURS: Final = ApiProblem(
    "The answer is not Rescind's",
    "",
    "Check the address of the server that the console has.",
    NO_ANSWER,
)


@frozen
class ApiAnswer:
    """An answer of the API, or the reason why there is none."""

    status: int
    body: dict[str, Any] = Factory(dict)
    problem: ApiProblem | None = None


@define(eq=False)
class Api:
    """Asks the server with the credential of one session.

    Attributes:
        client: holds the connections, for all sessions.
        url: of the server.
        credential: bearer token of the person.
        realm: sent with each request; None: the server's own.
        refused: called where the server does not take the credential any more.
    """

    _client: HttpClient
    _url: str
    _credential: str = field(repr=False)
    _realm: str | None = None
    _refused: Callable[[], None] = lambda: None

    async def get(self, path: str, *names: str, **query: object) -> ApiAnswer:
        """Ask ``/v1/path/name?query``; None in the query is left out."""
        return await self._asked("GET", path, names, query)

    async def post(
        self, path: str, *names: str, body: Mapping[str, Any] | None = None
    ) -> ApiAnswer:
        """Send an order to ``/v1/path/name``."""
        return await self._asked("POST", path, names, {}, orjson.dumps(body or {}))

    async def delete(self, path: str, *names: str) -> ApiAnswer:
        """Remove what is at ``/v1/path/name``."""
        return await self._asked("DELETE", path, names, {})

    async def _asked(
        self,
        method: str,
        path: str,
        names: tuple[str, ...],
        query: Mapping[str, object],
        body: bytes | None = None,
    ) -> ApiAnswer:
        headers = {"authorization": f"Bearer {self._credential}"}
        if body is not None:
            headers["content-type"] = "application/json"
        url = self._url + _target(path, names, query, self._realm)
        try:
            got = await self._client.request(
                method, url, headers=headers, data=body, bounds=LIMITS
            )
        except RequestError as error:
            return unreached(error)
        if got.status == UNAUTHORIZED:
            self._refused()
        if len(got.body) < LARGE:
            return answer_of(got)
        return await _large_answer(got)


def _target(
    path: str,
    names: tuple[str, ...],
    query: Mapping[str, object],
    realm: str | None,
) -> str:
    given = {name: _plain(value) for name, value in query.items() if value is not None}
    if realm is not None:
        given["realm"] = realm
    parts = "".join(f"/{quote(name, safe='')}" for name in names)
    return f"/v1/{path}{parts}" + (f"?{urlencode(given)}" if given else "")


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _large_answer(got: HttpAnswer) -> ApiAnswer:
    """Read an answer in turns; one that is none says why.

    One call on 8 MB keeps the interpreter for 120 ms, and in `rescind serve` the loop
    that feeds guards with it.
    """
    try:
        found = await decoded(got.body.decode())
    except ValueError as error:
        return ApiAnswer(NO_ANSWER, problem=evolve(NOT_OURS, detail=str(error)))
    return _answer(got.status, found if isinstance(found, dict) else None)


def unreached(error: RequestError) -> ApiAnswer:
    """Answer in place of one that did not come."""
    advice = _OF_CONNECTION.get(error.reason, "Try again.")
    problem = ApiProblem("The server cannot be asked", error.reason, advice, NO_ANSWER)
    return ApiAnswer(NO_ANSWER, problem=problem)


def answer_of(got: HttpAnswer) -> ApiAnswer:
    """Read an answer: an object, or a problem document (RFC 9457)."""
    try:
        return _answer(got.status, got.object())
    except UnreadableAnswerError:
        return _answer(got.status, None)


def _answer(status: int, body: dict[str, Any] | None) -> ApiAnswer:
    if body is None:
        return ApiAnswer(NO_ANSWER, problem=NOT_OURS)
    if status < ERRORS:
        return ApiAnswer(status, body)
    problem = ApiProblem(
        str(body.get("title") or f"status {status}"),
        str(body.get("detail") or ""),
        _ADVICE.get(status, "Try again; the log of the server says more."),
        status,
    )
    return ApiAnswer(status, body, problem)
