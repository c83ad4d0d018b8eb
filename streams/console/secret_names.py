"""Secrets that somebody typed where a name belongs, or where an address holds them."""

from __future__ import annotations

import re
from typing import Final

from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import HASHED_KINDS, has_secret
from agents_registry.secret_shapes import is_secret as is_secret_name
from streams.console.api import ApiProblem

SECRET_IN_URL: Final = ApiProblem(
    "A secret stands in the address",
    "The history of your browser has it by now, and maybe the log of a proxy.",
    "Revoke it. To look for one, type it into the page Credential or agent: there it "
    "is posted, and follow the name that it has.",
    422,
)
# Hashes that begin so: what a pattern may say of them.
_HASHES: Final = re.compile(r"[0-9a-f]{0,31}\*")


def is_secret(text: str) -> bool:
    """Whether a text is a secret, names one by its value, or bears the mark of one."""
    kind, _, value = as_named(text).partition(":")
    named = bool(value) and is_secret_name(Identifier(kind, value))
    return has_secret(text) or (named and not is_hash_pattern(text))


def is_hash_pattern(text: str) -> bool:
    """Whether a text is a pattern of names that are hashes."""
    return _HASHES.fullmatch(text.partition(":")[2].strip()) is not None


def as_named(text: str) -> str:
    """Text as a person means it: the kind of a secret may be typed in capitals."""
    kind, colon, value = text.strip().partition(":")
    meant = kind.strip().lower()
    return (
        f"{meant}:{value.strip()}" if colon and meant in HASHED_KINDS else text.strip()
    )
