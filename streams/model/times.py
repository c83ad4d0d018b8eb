"""Read and write times; inside the product a time is integer nanoseconds UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
# Beyond this a clock is broken (a published SET carries iat in the year 2451), and
# the nanoseconds would no longer fit 64 bits.
ABSURD = int(datetime(2200, 1, 1, tzinfo=UTC).timestamp()) * SECOND

# RFC 3339 section 5.6, and what log exporters make of it: a space for the T, a comma
# before the fraction, any number of digits, no zone (then it is UTC).
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)"
    r"(?:[.,](\d+))?\s*(?:[Zz]|UTC|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)
_ZONE: Final = re.compile(r"(?:[Zz]|UTC|[+-]\d\d:?\d\d)$", re.ASCII)
# RFC 3339 section 5.6: hours to 23 and minutes to 59; some logs write others.
_NO_OFFSET: Final = re.compile(r"[+-](?:2[4-9]|[3-9]\d|\d\d:?[6-9]\d)(?::?\d\d)?$")
AS: Final = "write it as RFC 3339, such as 2026-01-31T09:00:00Z"
# CloudTrail's credentials.expiration and createDate (Java's medium format; the older
# form has no second comma, newer JDKs put U+202F before AM and PM).
_ENGLISH: Final = re.compile(
    r"([A-Z][a-z]{2}) (\d{1,2}), (\d{4}),? (\d{1,2}):(\d\d):(\d\d)\s?([AP]M)"
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        start=1,
    )
}  # fmt: skip
_HALF_DAY: Final = 12
_DURATION: Final = re.compile(r"(\d{1,9})([smhd])", re.ASCII)
_LENGTHS: Final = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": DAY}
_LONGEST_DURATION: Final = 366 * DAY
_LONGEST: Final = 128  # characters; longer texts would fill the memory of times
_PLAIN: Final = len("2026-01-01T00:00:00Z")
_PLAIN_SECONDS: Final = {f"{second:02}Z": second * SECOND for second in range(60)}
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]\+?\d{1,2})?", re.ASCII)
# A number's unit follows from its size: seconds stay below 1e11 until the year 5138.
_UNITS: Final = ((10**11, SECOND), (10**14, 10**6), (10**17, 10**3), (10**20, 1))


class AbsurdTimeError(ValueError):
    """A clock is broken: the time lies before 1970 or after the year 2199."""


def typed_time(value: Any) -> int:
    """Read a time that somebody gives us, with its zone, see `parse_time`.

    A log's zone is known by its source; of a time that a person writes nobody knows
    where they are, and hours decide what is dead.

    Raises:
        ValueError: it is none; the text goes on behind the name of what was given.
    """
    try:
        time = parse_time(value)
    except AbsurdTimeError as error:
        raise ValueError(f"lies outside 1970..2199: {AS}") from error
    text = value.strip() if isinstance(value, str) else ""
    if time is None and parse_time("+".join(text.rsplit(" ", 1))) is not None:
        raise ValueError("has a space for a +: in a URL, + is %2B")
    if time is None:
        raise ValueError(f"is not a time: {AS}")
    if _RFC3339.fullmatch(text) and _NO_OFFSET.search(text[19:]):
        raise ValueError(f"has an offset of a day or more, or no minutes: {AS}")
    if _RFC3339.fullmatch(text) and not _ZONE.search(text):
        raise ValueError(f"has no zone: {AS}, or with +02:00 for the Z")
    return time


def is_bare_number(text: str) -> bool:
    """Whether a text would be read as an epoch number."""
    return _NUMBER.fullmatch(text.strip()) is not None


def duration(text: str) -> int:
    """Read a length of time such as 30m, 2h or 1d (ns).

    Raises:
        ValueError: it is none, or longer than 366 days.
    """
    found = _DURATION.fullmatch(text.strip())
    length = int(found[1]) * _LENGTHS[found[2]] if found else 0
    if not 0 < length <= _LONGEST_DURATION:
        raise ValueError(
            "no length of time: write it as 90s, 30m, 2h or 7d, up to 366d"
        )
    return length


def rfc3339(time: int | None) -> str | None:
    """Write a time with a ``Z`` and no more fraction digits than it needs."""
    if time is None:
        return None
    seconds, fraction = divmod(time, SECOND)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{_second(seconds)}{digits}Z"


@lru_cache(maxsize=1024)  # what is written together is mostly of a few seconds
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(value: Any) -> int | None:
    """Read a time as a source wrote it and give nanoseconds since 1970 (UTC).

    Takes epoch numbers (seconds, milli-, micro- or nanoseconds, by size), RFC 3339
    with any number of fraction digits, the same with a space and without a zone
    (UTC), and CloudTrail's ``Jul 10, 2023, 12:09:47 PM``. None means that there is no
    time in the value; Go's zero time (the year 1) is none too.

    Raises:
        AbsurdTimeError: the time lies before 1970 or after the year 2199.
    """
    if type(value) is str:
        # The form that most logs write, without a cache entry per second.
        second = _PLAIN_SECONDS.get(value[17:])
        if second is not None and len(value) == _PLAIN:
            minute = _parse_text(value[:17] + "00Z")
            return None if minute is None else minute + second
        text = value.strip()
        return _parse_text(text) if len(text) <= _LONGEST else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _parse_number(str(value))
    return None


def sound_time(value: Any) -> int | None:
    """Read a time as `parse_time` does; one that cannot be is none."""
    try:
        return parse_time(value)
    except AbsurdTimeError:
        return None


@lru_cache(maxsize=65_536)  # a log repeats its seconds; a hit costs 0.1 us
def _parse_text(text: str) -> int | None:
    if match := _RFC3339.fullmatch(text):
        return _parse_rfc3339(match)
    if match := _ENGLISH.fullmatch(text):
        return _parse_english(match)
    if _NUMBER.fullmatch(text):
        return _parse_number(text)
    return None


def _parse_rfc3339(match: re.Match[str]) -> int | None:
    day, minute, second, fraction, sign, hours, minutes = match.groups()
    # RFC 3339 section 5.7: a leap second is :60, which datetime refuses.
    leap = second == "60"
    try:
        moment = datetime.fromisoformat(
            f"{day}T{minute}:{'59' if leap else second}+00:00"
        )
    except ValueError:
        return None
    if moment.year == 1:
        return None
    seconds = int(moment.timestamp()) + leap
    if sign:
        ahead = int(hours) * 3600 + int(minutes) * 60
        seconds += ahead if sign == "-" else -ahead
    return _checked(seconds * SECOND + int((fraction or "0")[:9].ljust(9, "0")), match)


def _parse_english(match: re.Match[str]) -> int | None:
    month, day, year, hour, minute, second, half = match.groups()
    if not 1 <= int(hour) <= _HALF_DAY:
        return None
    hours = int(hour) % _HALF_DAY + (_HALF_DAY if half == "PM" else 0)
    try:
        moment = datetime(
            int(year), _MONTHS.get(month, 0), int(day),
            hours, int(minute), int(second), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
    return _checked(int(moment.timestamp()) * SECOND, match)


def _parse_number(text: str) -> int | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    if not number.is_finite():
        return None
    for limit, unit in _UNITS:
        if abs(number) < limit:
            return _checked(int(number * unit), text)
    message = f"{text} is no time in any unit: check the clock of the source"
    raise AbsurdTimeError(message)


def _checked(time: int, text: str | re.Match[str]) -> int:
    if 0 <= time < ABSURD:
        return time
    shown = text if isinstance(text, str) else text.group()
    message = f"{shown} lies outside 1970..2199: check the clock of the source"
    raise AbsurdTimeError(message)
