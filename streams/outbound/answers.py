"""Answers to our requests, and the reasons for which there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

OK: Final = 200


class UnreadableAnswerError(ValueError):
    """An answer is not what the system documents; nothing of it is used."""


@frozen
class HttpAnswer:
    """An answer; names of headers in lower case, and those of one name joined."""

    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    status: int = OK

    def ok(self) -> Self:
        """Itself, if its status is 200.

        Raises:
            RequestError: it is another one.
        """
        if self.status != OK:
            raise RequestError(f"status {self.status}", answer=self)
        return self

    def json(self) -> Any:
        """Decode it.

        Raises:
            UnreadableAnswerError: it is not JSON.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise UnreadableAnswerError("an answer is not JSON") from error

    def object(self) -> dict[str, Any]:
        """Decode it as an object.

        Raises:
            UnreadableAnswerError: it is none.
        """
        value = self.json()
        if not isinstance(value, dict):
            raise UnreadableAnswerError("an answer is not an object")
        return value

    def objects(self) -> list[dict[str, Any]]:
        """Decode it as a list of objects.

        Raises:
            UnreadableAnswerError: it is none.
        """
        return objects(self.json())


def objects(value: Any) -> list[dict[str, Any]]:
    """Items of a page.

    Raises:
        UnreadableAnswerError: it is no list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UnreadableAnswerError("a page is no list of objects")
    return value


class RequestError(Exception):
    """A request that gave no answer to use; its text holds no secret and no URL.

    Attributes:
        reason: ``status 429``, or one word: ``timeout``, ``unreachable``,
            ``untrusted`` (the certificate), ``too_large``, ``refused_address``,
            ``refused_url``,
            ``clear_text``, ``unresolved``, ``no_token``, ``no_key``.
        answer: of another status than 200; None where there was none.
        status: of the answer; None where there was none.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        answer: HttpAnswer | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.answer = answer
        self.status = status if answer is None else answer.status
