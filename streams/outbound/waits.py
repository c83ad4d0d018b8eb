"""How long an answer asks us to wait."""

from __future__ import annotations

from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from attrs import define, evolve

from streams.model.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.outbound.answers import HttpAnswer, RequestError

MOST_DOUBLED: Final = 20
LEAST_WAIT: Final = 1.0  # seconds, where a limit tells of none
TOO_MANY: Final = 429
LONGEST_WAIT: Final = 3600.0  # seconds; a vendor may ask for patience, not for ever
_SPELLINGS: Final = ("x-rate-limit", "x-ratelimit")


@define
class Backoff:
    """Seconds between attempts that fail, doubled each time, or as long as is asked."""

    first: float
    longest: float
    failures: int = 0

    def failed(self, error: RequestError, now: int) -> float:
        """Count a failure; return the seconds until the next attempt."""
        wait = min(self.first * 2.0**self.failures, self.longest)
        self.failures = min(self.failures + 1, MOST_DOUBLED)
        asked = error.answer and waiting(error.answer.headers, now)
        return max(wait, asked or 0.0)


def retry_after(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds of Retry-After, a number or a date (RFC 9110 section 10.2.3)."""
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    date = _date(asked)
    return None if date is None else max(0.0, date - now / SECOND)


def waiting(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds that a vendor asks to wait; None where it asks for nothing.

    Retry-After, else X-Rate-Limit-Reset or X-RateLimit-Reset once nothing remains: a
    time in epoch seconds. Times are the vendor's, so they are
    compared with the Date of the same answer.
    """
    sent = _date(headers.get("date", ""))
    there = now if sent is None else int(sent * SECOND)
    seconds = retry_after(headers, there)
    if seconds is None:
        seconds = _limit(headers, there)
    return None if seconds is None else min(seconds, LONGEST_WAIT)


def limited(answer: HttpAnswer, now: int) -> float | None:
    """Seconds that an answer asks to wait; None where it is no limit that it tells of.

    A status 429 is one whatever its headers say (RFC 6585 section 4).
    """
    asked = waiting(answer.headers, now)
    return LEAST_WAIT if asked is None and answer.status == TOO_MANY else asked


def timed(answer: HttpAnswer, seconds: int) -> HttpAnswer:
    """Answer of a limit that names its time, these seconds where it names none."""
    if waiting(answer.headers, 0) is not None:
        return answer
    return evolve(answer, headers={**answer.headers, "retry-after": str(seconds)})


def _limit(headers: Mapping[str, str], now: int) -> float | None:
    for name in _SPELLINGS:
        if headers.get(f"{name}-remaining", "").strip() == "0":
            with suppress(ValueError):
                until = float(headers.get(f"{name}-reset", ""))
                if until < float("inf"):
                    return max(0.0, until - now / SECOND)
    return None


def _date(text: str) -> float | None:
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(text).timestamp()
    return None
