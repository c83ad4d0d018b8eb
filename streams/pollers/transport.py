"""One request to a vendor: bounded in time and size, and where it may go.

The host is the operator's choice and may be private; links of answers are checked by
`streams.pollers.feeds.same_origin`, and redirects are not followed, so nothing that a
vendor answers sends the credentials elsewhere.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import aiohttp
from yarl import URL

from streams.model.times import SECOND
from streams.pollers.feeds import VendorAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

TIMEOUT: Final = 60.0
MOST_BYTES: Final = 64 << 20
LONGEST_WAIT: Final = 3600.0  # seconds; a vendor may ask for patience, not for ever
_OK: Final = 200
_LIMITS: Final = ("x-rate-limit", "x-ratelimit")


class FailedError(Exception):
    """A request that gave no answer to use.

    Attributes:
        reason: ``status 429``, ``timeout``, ``unreachable``, ``too_large``.
        status: of the answer; None where there was none.
        wait: seconds that the vendor asked to wait.
    """

    def __init__(
        self, reason: str, status: int | None = None, wait: float | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.wait = wait


async def fetch(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    now: int,
    *,
    headers: Mapping[str, str] | None = None,
    data: Any = None,
) -> VendorAnswer:
    """Make one attempt.

    Raises:
        FailedError: it gave no 200 with a body of a bearable size.
    """
    try:
        async with (
            asyncio.timeout(TIMEOUT),
            session.request(
                # As it is: a vendor's link may hold what another spelling breaks.
                method,
                URL(url, encoded=True),
                headers=headers,
                data=data,
                allow_redirects=False,
            ) as got,
        ):
            given = joined(got.headers.items())
            if got.status != _OK:
                reason = f"status {got.status}"
                raise FailedError(reason, got.status, waiting(given, now))
            return VendorAnswer(given, await _body(got.content))
    except TimeoutError as error:
        raise FailedError("timeout") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FailedError("unreachable") from error


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names in lower case, those of one name as one.

    RFC 9110 section 5.3. Okta has a Link header for each link.
    """
    given: dict[str, str] = {}
    for name, value in headers:
        key = name.casefold()
        given[key] = f"{given[key]}, {value}" if key in given else value
    return given


async def _body(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise FailedError("too_large")
    return bytes(body)


def waiting(headers: Mapping[str, str], now: int) -> float | None:
    """Seconds that a vendor asks to wait; None where it asks for nothing.

    Retry-After (RFC 9110 section 10.2.3), else X-Rate-Limit-Reset of Okta or
    X-RateLimit-Reset of GitHub once nothing remains: a time in epoch seconds of the
    vendor's clock, so it is compared with the Date of the same answer.
    """
    asked = headers.get("retry-after", "").strip()
    if asked.isascii() and asked.isdigit():
        return min(float(asked[:9]), LONGEST_WAIT)
    there = _date(headers.get("date", ""))
    there = now / SECOND if there is None else there
    until = _date(asked)
    for limit in _LIMITS:
        if until is None and headers.get(f"{limit}-remaining", "").strip() == "0":
            with suppress(ValueError):
                until = float(headers.get(f"{limit}-reset", ""))
    if until is None or not until < float("inf"):
        return None
    return min(max(until - there, 0.0), LONGEST_WAIT)


def _date(text: str) -> float | None:
    with suppress(ValueError, OverflowError):
        return parsedate_to_datetime(text).timestamp()
    return None
