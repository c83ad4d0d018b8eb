"""Times that a person types behind an option."""

from __future__ import annotations

from streams.model.times import is_bare_number, rfc3339, typed_time


def moment_of(text: str | None, option: str = "--at") -> str | None:
    """Time of an option as RFC 3339.

    Raises:
        ValueError: it cannot be read, or is a bare number.
    """
    if text is None:
        return None
    refuse_number(text, option)
    try:
        return rfc3339(typed_time(text))
    except ValueError as error:
        raise ValueError(f"{option} {text!r} {error}") from error


def refuse_number(text: str, option: str) -> None:
    """Refuse a date without hyphens, which would be a second of the year 1970.

    Raises:
        ValueError: it is a bare number.
    """
    if is_bare_number(text):
        message = "is a number: write a time as 2030-12-31T00:00:00Z"
        raise ValueError(f"{option} {text!r} {message}")
