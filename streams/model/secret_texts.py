"""Secrets that stand behind their kind and a blank: ``secret hunter2-hunter2``.

A blank says less than a colon: behind it may stand the next word of a sentence. So what
follows counts as a secret only where no word, name, number, date or identifier looks
like that.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

SHORTEST: Final = 6  # characters of a secret
LONGEST_WORD: Final = 24
LONGEST_NAME: Final = 16  # of a name with digits, amid others
FEW_DIGITS: Final = 2
# Also those that chats and editors make of plain ones.
QUOTES: Final = "\"'`\\\\\u2018-\u201f\u00ab\u00bb"
_AROUND: Final = ".,:;!?()[]{}<>*\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"
_CAMEL: Final = re.compile("(?:[A-Z]?[a-z]{2,}){1,5}")
_WORDS: Final = re.compile("[a-z]+(?:[-_./][a-z]+)*", re.IGNORECASE)
_NAME: Final = re.compile("[a-z][a-z0-9]*(?:[-_./][a-z0-9]+)*")
_DATE: Final = re.compile(
    r"\d{4}-\d\d?(?:-\d\d?(?:T[\d:.]+Z?)?)?|\d\d?[:.]\d\d(?:[:.]\d+)?"
)
_ADDRESS: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IDENTIFIER: Final = re.compile(r"[a-z0-9]+\.[a-z_]+:\S+")
_HASH: Final = re.compile("[0-9a-f]{32}|hmac-sha256:[0-9a-f]+")
_HONEST: Final = (_DATE, _ADDRESS, _IDENTIFIER, _HASH)


def has_secret_beside(text: str, kinds: AbstractSet[str]) -> bool:
    """Whether a value that looks like a secret stands behind one of these kinds.

    Args:
        text: as somebody typed it.
        kinds: whose values are secrets or keyed hashes of them.
    """
    lower = text.lower()
    if not any(each in lower for each in kinds):
        return False
    for found in _beside(frozenset(kinds)).finditer(text):
        rest = text[: found.start()] + text[found.end() :]
        if _is_secret(found["value"], alone=not rest.strip(_AROUND + " \t\r\n")):
            return True
    return False


def _is_secret(given: str, *, alone: bool) -> bool:
    value = given.strip(_AROUND)
    if len(value) < SHORTEST or any(each.fullmatch(value) for each in _HONEST):
        return False
    if value.isalpha():
        cased = value.islower() or value.isupper() or value.istitle()
        return len(value) > LONGEST_WORD or not (cased or _CAMEL.fullmatch(value))
    if len(value) <= LONGEST_WORD and _WORDS.fullmatch(value):
        return False
    digits = sum(map(str.isdigit, value))
    if digits == len(value):
        return alone
    short = len(value) < LONGEST_NAME and digits <= FEW_DIGITS
    return alone or not (short and _NAME.fullmatch(value))


@functools.lru_cache(maxsize=8)  # there is one set of kinds, and the default one
def _beside(kinds: frozenset[str]) -> re.Pattern[str]:
    listed = "|".join(map(re.escape, sorted(kinds)))
    return re.compile(
        rf"(?<![\w.-])(?:{listed})[{QUOTES}]*+\s++(?:(?:is|was|value)\s++)?"
        rf"(?P<value>\S++)",
        re.IGNORECASE,
    )
