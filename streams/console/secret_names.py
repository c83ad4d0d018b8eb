"""Secrets that somebody typed where a name belongs, or where an address holds them."""

from __future__ import annotations

import functools
import re
from typing import Final

from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import HASHED_KINDS, has_secret
from agents_registry.secret_shapes import is_secret as is_secret_name
from streams.console.api import ApiProblem
from streams.sources.openbao.call import HASHED, OPEN_KINDS
from streams.sources.openbao.call import HASHED_KINDS as OF_VAULTS

SECRET_IN_URL: Final = ApiProblem(
    "A secret stands in the address",
    "The history of your browser has it by now, and maybe the log of a proxy.",
    "Revoke it. To look for one, type it into the page Credential or agent: there it "
    "is posted, and follow the name that it has.",
    422,
)
_NONE: Final[frozenset[str]] = frozenset()
_BY_HMAC: Final = frozenset(OF_VAULTS) - OPEN_KINDS
# Hashes that begin so: what a pattern may say of them.
_HASHES: Final = re.compile(r"[0-9a-f]{0,31}\*")


def is_secret(text: str, kinds: frozenset[str] = _NONE) -> bool:
    """Whether a text bears the mark of a secret, or names one by its value.

    Args:
        text: as somebody typed it; names may stand anywhere in it.
        kinds: further ones whose values are keyed hashes, as the server says.
    """
    if has_secret(text):
        return True
    kind, _, value = as_named(text, kinds).partition(":")
    if value and _is_value(kind, value, kinds):
        return True
    found = _naming(kinds).finditer(text)
    return any(_is_value(each[1].lower(), each[2], kinds) for each in found)


def is_hash_pattern(text: str) -> bool:
    """Whether a text is a pattern of names that are hashes."""
    value = text.partition(":")[2].strip()
    begun = value.endswith("*") and HASHED.startswith(value[:-1])
    return begun or _HASHES.fullmatch(value) is not None


def as_named(text: str, kinds: frozenset[str] = _NONE) -> str:
    """Text as a person means it: the kind of a secret may be typed in capitals."""
    kind, colon, value = text.strip().partition(":")
    meant = kind.strip().lower()
    named = colon and meant in kinds | HASHED_KINDS | _BY_HMAC
    return f"{meant}:{value.strip()}" if named else text.strip()


def _is_value(kind: str, value: str, kinds: frozenset[str]) -> bool:
    if is_hash_pattern(f"{kind}:{value}"):
        return False
    if kind in _BY_HMAC:
        return not value.startswith(HASHED)
    return is_secret_name(Identifier(kind, value), kinds | HASHED_KINDS)


@functools.lru_cache(maxsize=8)  # there is one set of kinds, and the default one
def _naming(kinds: frozenset[str]) -> re.Pattern[str]:
    """Pattern of a name of these kinds within a text: its kind, and its value."""
    listed = "|".join(map(re.escape, sorted(kinds | HASHED_KINDS | _BY_HMAC)))
    return re.compile(
        rf"""(?<![\w.-])({listed})\s*:[\s"'\[]*([^\s"',;\]}}]+)""", re.IGNORECASE
    )
