"""Text that anybody may have written, made safe to look at and to open in a table.

Markup is escaped by the templates. Here is what escaping leaves: characters that are
not seen, or that turn the text around them (Unicode TR 36 section 2.10, TR 9), text
without end, and cells that a spreadsheet would compute.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST: Final = 4000  # characters of a text on a page
SHORT: Final = 200  # of which are seen before it is opened
_SEEN: Final = frozenset("\n\t")
# Control, format, surrogate and private characters, and breaks of lines.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_COMPUTED: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def visible(text: str) -> str:
    """Text in which every character is seen: ``<U+202E>`` stands for one that is not.

    The brackets are none that are on a keyboard, so nobody can write the same.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(char: str) -> str:
    if char in _SEEN or unicodedata.category(char) not in _UNSEEN:
        return char
    return f"⟨U+{ord(char):04X}⟩"


def cut(text: str, longest: int = LONGEST) -> str:
    """Beginning of a long text, and how much more there is."""
    more = len(text) - longest
    return text if more <= 0 else f"{text[:longest]}… ({more} more characters)"


def shown(value: object) -> object:
    """Value as a template may put it out; markup of our own templates stays."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(cut(value))
    return value


def exact(value: object) -> Markup:
    """Value for a form, unchanged: it comes back as it was."""
    return Markup.escape(value)


def csv_file(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Table for a spreadsheet (RFC 4180), in which no cell is computed."""
    lines = [",".join(map(csv_cell, heads))]
    lines += (",".join(map(csv_cell, row)) for row in rows)
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def csv_cell(value: object) -> str:
    """Cell in quotes; an apostrophe stands before what would be a formula."""
    text = "" if value is None else str(value)
    if isinstance(value, str):
        text = visible(text)
        if text.startswith(_COMPUTED):
            text = f"'{text}"
    return '"' + text.replace('"', '""') + '"'
