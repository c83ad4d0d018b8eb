"""Secrets that somebody typed where a name belongs, or where an address holds them."""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus

from agents_registry.identifiers import Identifier
from agents_registry.secret_shapes import HASHED_KINDS, has_secret
from agents_registry.secret_shapes import is_secret as is_secret_name
from streams.console.api import ApiProblem
from streams.model.secret_texts import QUOTES, has_secret_beside
from streams.sources.openbao.call import HASHED, OPEN_KINDS
from streams.sources.openbao.call import HASHED_KINDS as OF_VAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_CODED: Final = 3  # times that a text may be percent-encoded
LONGEST: Final = 8190  # characters: no address, name or secret is longer


def is_secret(text: str, kinds: frozenset[str] = _NONE) -> bool:
    """Whether a text bears the mark of a secret, or names one by its value.

    What is longer than anything that has a meaning here is not looked through: it is
    refused as if it were one.

    Args:
        text: as somebody typed it; names may stand anywhere in it.
        kinds: further ones whose values are keyed hashes, as the server says.
    """
    if len(text) > LONGEST:
        return True
    return any(_is_secret(each, kinds) for each in _decoded(text))


def is_secret_address(address: str, kinds: frozenset[str] | None) -> bool:
    """Whether a secret may stand in a path or in its query, under whatever name.

    Args:
        address: path and query, as a browser sends them.
        kinds: further ones whose values are keyed hashes; None: nobody knows which
            they are, so any name may be one.
    """
    if kinds is None:
        names_any = any(":" in each for each in _decoded(address))
        return names_any or is_secret_address(address, _NONE)
    path, _, query = address.partition("?")
    given = parse_qsl(query, keep_blank_values=True)
    named = (f"{name}={value}" for name, value in given)
    texts = [*path.split("/"), *(text for pair in given for text in pair), *named]
    return len(address) > LONGEST or any(is_secret(each, kinds) for each in texts)


def _decoded(text: str) -> Iterator[str]:
    """Text as it was typed, and as what it was copied from may have meant it."""
    yield text
    for _ in range(_CODED):
        meant = unicodedata.normalize("NFKC", unquote_plus(text))
        if meant == text:
            return
        text = meant
        yield text


def _is_secret(text: str, kinds: frozenset[str]) -> bool:
    if has_secret(text):
        return True
    kind, _, value = as_named(text, kinds).partition(":")
    if value and _is_value(kind, value, kinds):
        return True
    lower = text.lower()
    if not any(each in lower for each in _listed(kinds)):
        return False
    if has_secret_beside(text, _listed(kinds)):
        return True
    found = _naming(kinds).finditer(text)
    named = (([text for text in each.groups() if text]) for each in found)
    return any(_is_value(kind.lower(), value, kinds) for kind, value in named)


def is_hash_pattern(text: str) -> bool:
    """Whether a text is a pattern of names that are hashes."""
    value = text.partition(":")[2].strip()
    begun = value.endswith("*") and HASHED.startswith(value[:-1])
    return begun or _HASHES.fullmatch(value) is not None


def as_named(text: str, kinds: frozenset[str] = _NONE) -> str:
    """Text as a person means it: the kind of a secret may be typed in capitals."""
    kind, colon, value = text.strip().partition(":")
    meant = kind.strip().lower()
    named = colon and meant in _listed(kinds)
    return f"{meant}:{value.strip()}" if named else text.strip()


def _is_value(kind: str, value: str, kinds: frozenset[str]) -> bool:
    if is_hash_pattern(f"{kind}:{value}"):
        return False
    if kind in _BY_HMAC:
        return not value.startswith(HASHED)
    return is_secret_name(Identifier(kind, value), kinds | HASHED_KINDS)


@functools.lru_cache(maxsize=8)
def _listed(kinds: frozenset[str]) -> frozenset[str]:
    """Return all kinds whose values are secrets or hashes of them."""
    return kinds | HASHED_KINDS | _BY_HMAC


@functools.lru_cache(maxsize=8)  # there is one set of kinds, and the default one
def _naming(kinds: frozenset[str]) -> re.Pattern[str]:
    """Pattern of a name of these kinds within a text: its kind, and its value.

    Also as JSON, as a shell and as a language write them: the kind in quotes, as the
    first one of two texts, or beside a field for the value.
    """
    listed = "|".join(map(re.escape, sorted(_listed(kinds))))
    quotes = f"[{QUOTES}]*+"
    value = rf"""[\s\[{QUOTES}]*+([^\s,;\]}}{QUOTES}]+)"""
    field = rf"{quotes}\s*+[,;&|]\s*+{quotes}value{quotes}\s*+[:=]"
    return re.compile(
        rf"(?<![\w.-])({listed})(?:{field}|{quotes}\s*+(?:[:=]+>?|->)){value}"
        rf"|[{QUOTES}]({listed})[{QUOTES}]{quotes}\s*+,\s*+[{QUOTES}]{value}",
        re.IGNORECASE,
    )
