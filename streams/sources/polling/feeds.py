"""What every feed is: which request comes next, and what its answer means.

A feed is pure. Its place in the vendor's log is a cursor, a JSON object that the
driver saves in the transaction that writes what was read there. So after a crash a
page is read again or is not, and is never lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urljoin, urlsplit

import orjson
from attrs import frozen

from streams.model.times import SECOND, sound_time
from streams.outbound.answers import HttpAnswer, UnreadableAnswerError

Cursor = dict[str, Any]

NEVER: Final = 2**62  # ns: later than every time that is read

_LINK: Final = re.compile(
    r"<([^<>]*)>((?:\s*;\s*[\w*]+\s*=\s*(?:\"[^\"]*\"|[^\s;,]*))*)"
)
_NEXT: Final = re.compile(r";\s*rel\s*=\s*(?:\"next\"|next)(?=\s*;|$)", re.IGNORECASE)


@frozen
class Page:
    """What an answer means.

    Attributes:
        data: for the source's reader; empty where there is nothing new.
        cursor: the place after it.
        more: there is more at once; else the round has ended.
    """

    data: bytes
    cursor: Cursor
    more: bool


@frozen
class Start:
    """Where reading begins.

    Attributes:
        cursor: the place.
        lost: from when to when (ns) the vendor kept nothing; None: nothing is lost.
    """

    cursor: Cursor
    lost: tuple[int, int] | None = None


class VendorFeed(Protocol):
    """One log of a vendor."""

    @property
    def name(self) -> str:
        """Key of its cursor."""

    @property
    def source(self) -> str:
        """Name of the source that reads it."""

    def start(self, saved: Cursor | None, now: int) -> Start:
        """Begin, or go on where an earlier run stopped."""

    def url(self, cursor: Cursor) -> str:
        """URL to get."""

    def take(self, cursor: Cursor, answer: HttpAnswer, now: int) -> Page:
        """Read an answer.

        Raises:
            UnreadableAnswerError: it is no page of this log.
        """

    def again(self, cursor: Cursor) -> Cursor | None:
        """Begin the round again, for a place that the vendor refuses; None: it did."""


def same_origin(base: str, link: str) -> str:
    """Link of an answer, if it stays where the token belongs.

    Raises:
        UnreadableAnswerError: it leads to another scheme, host or port, and would take
            the credentials there.
    """
    try:
        there = urljoin(base, link)
        ours, theirs = urlsplit(base), urlsplit(there)
        same = (ours.scheme, ours.hostname, ours.port) == (
            theirs.scheme, theirs.hostname, theirs.port,
        )  # fmt: skip
    except ValueError as error:
        raise UnreadableAnswerError("the next link is no URL") from error
    # Nor one that would be more than a link once it is written into a request.
    odd = not there.isascii() or any(c <= " " or c in "\\\x7f" for c in there)
    if not same or odd or "@" in theirs.netloc:
        raise UnreadableAnswerError("the next link leads to another host")
    return there


def still_ours(base: str, link: Any) -> bool:
    """Whether a saved link may be asked; the settings may have a new host."""
    try:
        return isinstance(link, str) and same_origin(base, link) == link
    except UnreadableAnswerError:
        return False


def next_link(headers: Mapping[str, str], base: str) -> str | None:
    """``rel="next"`` of a Link header (RFC 8288), checked.

    Raises:
        UnreadableAnswerError: it leads elsewhere.
    """
    for target, parameters in _LINK.findall(headers.get("link", "")):
        if _NEXT.search(parameters):
            return same_origin(base, target)
    return None


def encoded(value: Any, *, option: int = 0) -> bytes:
    """Write events again.

    Raises:
        UnreadableAnswerError: they are nested too deep.
    """
    try:
        return orjson.dumps(value, option=option)
    except orjson.JSONEncodeError as error:
        raise UnreadableAnswerError("an event is nested too deep") from error


def time_of(event: Mapping[str, Any], name: str) -> int:
    """Time of an event; NEVER where it has none that can be."""
    found = sound_time(event.get(name))
    return NEVER if found is None else found


def newest_of(times: Iterable[int], before: int, now: int) -> int:
    """Newest time that lies not in the future, at least ``before``.

    A clock that runs ahead must not move a window past events that will come.
    """
    return max(before, *(time for time in times if time <= now), 0)


def seconds(value: float) -> int:
    """Seconds as nanoseconds."""
    return int(value * SECOND)
