"""Calls to an issuer's API, and what their answers are worth.

- The answer to an act says only whether it is worth making again.
- A look reads what the issuer documents. Everything else is no answer: a page of a
  proxy, a refusal, a limit, a body of another shape.
- Errors name the call and the status. No URL, header or body stands in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote, urlencode

import orjson
from attrs import define, field, frozen

from streams.outbound.answers import HttpAnswer, RequestError, UnreadableAnswerError
from streams.outbound.client import RequestLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.model.endings import RequestTurn
    from streams.outbound.client import HttpClient

    Sign = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
    Missing = Callable[[HttpAnswer], bool]

LARGEST: Final = 4 << 20
GONE: Final = frozenset({404, 410})
REFUSED: Final = frozenset({401, 403})
FORM: Final = "application/x-www-form-urlencoded; charset=utf-8"
JSON: Final = "application/json"
_OK: Final = 200
_BEHIND_2XX: Final = 300


def object_of(answer: HttpAnswer) -> Mapping[str, Any]:
    """JSON object that an answer holds; empty where it holds none."""
    try:
        return answer.object()
    except UnreadableAnswerError:
        return {}


class CallSender(Protocol):
    """Sends calls to an issuer."""

    async def send(self, call: Call) -> HttpAnswer:
        """Answer to a call, whatever the status.

        Raises:
            RequestError: there is none.
        """


@frozen
class Call:
    """One request.

    Attributes:
        name: what a person calls it, such as ``delete the session``.
        method: of HTTP.
        path: below the issuer's URL, encoded.
        json: body; None: there is none.
        form: body instead; pairs, since names repeat at some.
        headers: beside those of the issuer.
        also: further statuses that say that there is nothing left to do.
        by: sends it instead of the actuator's API: with another credential, or with
            other calls.
    """

    name: str
    method: str
    path: str
    json: Any = field(default=None, repr=False)
    form: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    also: frozenset[int] = frozenset()
    by: CallSender | None = field(default=None, repr=False)

    def taken(self, answer: HttpAnswer) -> bool:
        """Whether the issuer took the act, or says that its target is gone."""
        status = answer.status
        within = _OK <= status < _BEHIND_2XX
        return within or status in GONE or status in self.also


def path(*parts: str) -> str:
    """Path of parts, each of them encoded whole, so that none leads elsewhere.

    Raises:
        ValueError: a part means another folder.
    """
    if any(part in ("", ".", "..") for part in parts):
        message = "a part of a path is empty or dots"
        raise ValueError(message)
    return "/" + "/".join(quote(part, safe="") for part in parts)


@define(eq=False)
class IssuerApi:
    """The API of one issuer.

    Attributes:
        client: with the authorization for acting.
        base: URL, without a slash at its end.
        headers: of each request.
        sign: gives headers that sign a request: of method, URL, headers and body.
        seconds: of one request.
        turn: waited for before each request; None: nothing is.
    """

    client: HttpClient
    base: str
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    sign: Sign | None = field(default=None, repr=False)
    seconds: float = 10.0
    turn: RequestTurn | None = field(default=None, init=False)

    async def send(self, call: Call) -> HttpAnswer:
        """Make a call; its answer, whatever the status.

        Raises:
            RequestError: there is none.
        """
        if self.turn is not None:
            await self.turn()
        sent = {"accept": JSON, **self.headers, **call.headers}
        body: bytes | None = None
        if call.json is not None:
            body = orjson.dumps(call.json)
            sent.setdefault("content-type", JSON)
        elif call.form is not None:
            body = urlencode(call.form).encode()
            sent["content-type"] = FORM
        url, bounds = self.base + call.path, RequestLimits(self.seconds, LARGEST)
        try:
            if self.sign is not None:
                sent = dict(self.sign(call.method, url, sent, body or b""))
            return await self.client.request(
                call.method, url, headers=sent, data=body, bounds=bounds
            )
        except RequestError as error:
            text = f"{call.name}: {error.detail}" if error.detail else call.name
            answer, status = error.answer, error.status
            found = RequestError(error.reason, text, answer=answer, status=status)
            raise found from error
        except (OSError, ValueError) as error:
            text = f"{call.name}: the credential for acting cannot be read"
            raise RequestError("no_key", text) from error

    async def look(self, call: Call, missing: Missing | None = None) -> Any:
        """Read what the issuer says of something; None where it says it has none.

        Args:
            call: that changes nothing.
            missing: whether an answer is the issuer's own word that there is none.

        Raises:
            RequestError: the answer is neither.
        """
        answer = await self.send(call)
        if missing is not None and answer.status in GONE and missing(answer):
            return None
        if answer.status != _OK:
            raise unusable(call, answer)
        try:
            return answer.json()
        except UnreadableAnswerError as error:
            raise strange(call, answer, "the answer is not JSON") from error

    async def object(
        self, call: Call, missing: Missing | None = None
    ) -> dict[str, Any] | None:
        """Read an object as `look` does.

        Raises:
            RequestError: it is none.
        """
        answer = await self.look(call, missing)
        if answer is None or isinstance(answer, dict):
            return answer
        raise strange(call, None, "the answer is no object")

    async def objects(
        self, call: Call, key: str = "", missing: Missing | None = None
    ) -> list[dict[str, Any]]:
        """Read a list of objects; an empty one where the issuer has none.

        Args:
            call: that changes nothing.
            key: of the list, where the answer is an object.
            missing: as in `look`.

        Raises:
            RequestError: it is no list.
        """
        answer = await self.look(call, missing)
        if answer is None and missing is not None:
            return []
        items = answer.get(key) if key and isinstance(answer, dict) else answer
        if isinstance(items, list) and all(isinstance(one, dict) for one in items):
            return items
        raise strange(call, None, "the answer is no list")


def unusable(call: Call, answer: HttpAnswer) -> RequestError:
    """Error of an answer of another status."""
    text = call.name
    if answer.status in REFUSED:
        text += ": may the credential for acting do this?"
    return RequestError(f"status {answer.status}", text, answer=answer)


def strange(call: Call, answer: HttpAnswer | None, what: str) -> RequestError:
    """Error of an answer that is not what the issuer documents."""
    return RequestError("strange", f"{call.name}: {what}", answer=answer, status=_OK)
