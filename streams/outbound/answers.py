"""Answers to our requests, and the reasons for which there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

OK: Final = 200


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


class RequestError(Exception):
    """A request that gave no answer to use; its text holds no secret and no URL.

    Attributes:
        reason: ``status 429``, or one word: ``timeout``, ``unreachable``,
            ``untrusted`` (the certificate), ``too_large``, ``refused_address``,
            ``refused_url``,
            ``clear_text``, ``unresolved``, ``no_token``, ``no_key``.
        answer: of another status than 200; None where there was none.
    """

    def __init__(
        self, reason: str, detail: str = "", *, answer: HttpAnswer | None = None
    ) -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.answer = answer

    @property
    def status(self) -> int | None:
        """Status of the answer."""
        return None if self.answer is None else self.answer.status
