"""The text of an error, as a person reads it."""

from __future__ import annotations


def error_text(error: object) -> str:
    """Of an error of the system the path and its words, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return ": ".join(filter(None, (str(error.filename or ""), error.strerror)))
    return str(error)
