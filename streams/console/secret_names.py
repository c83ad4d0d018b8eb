"""Secrets that somebody typed where they stand in an address."""

from __future__ import annotations

from typing import Final

from streams.console.api import ApiProblem

SECRET: Final = "secret:"  # noqa: S105 - the kind of what is named by its value
SECRET_IN_URL: Final = ApiProblem(
    "A secret stands in the address",
    "The history of your browser has it by now, and maybe the log of a proxy.",
    "Revoke it. To look for one, type it into the page Credential or agent: there it "
    "is posted, and follow the name that it has.",
    422,
)


def is_secret(text: str) -> bool:
    """Whether a text names a secret by its value."""
    return text.strip().lower().startswith(SECRET)
