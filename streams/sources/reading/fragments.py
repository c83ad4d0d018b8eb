"""Know what a line of JSON says by pieces of it that came before.

Most lines of a log are other lines with another id and time. Cut at these, the pieces
between come again, so each is decoded once, and a line of known pieces is not decoded.

Why that is right. A JSON text is read from left to right, and what the reader knows of
the text behind it is its state: inside a string, behind a value of an object, and so
on. Each piece is decoded between a text that brings the reader into the state in which
the piece begins, and one that can be read only in the state in which the next one
begins:

- Where a piece follows a text value, it begins with the quote that closes that text:
  ``{"":"`` before it opens one.
- Where a key is cut off behind a piece, ``,"":0}`` stands behind it instead. In a string
  its first quote would end the string, and a string that was opened behind it is not
  closed; in a list the colon is wrong; in an object within the event the brace closes
  that object, and not the event.
- What stands between pieces is a key as it is written here, and a text without a quote,
  a backslash, a control character or a byte above 0x7f.

Members of the event are those of its pieces, a later one of a name in the place of an
earlier one. So a name that matters may stand in one piece only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection

AFTER_TEXT: Final = b'{"":"'  # before a piece that begins with the quote of a text
BEFORE_KEY: Final = b',"":0}'  # behind a piece that a comma and a key follow
_SHORT: Final = 2048  # bytes of a piece that is remembered
_MOST: Final = 8192  # pieces


class Fragments:
    """Decodes pieces of events, and remembers what they say."""

    def __init__(self, names: Collection[str]) -> None:
        """Start with none.

        Args:
            names: the members that matter.
        """
        self._names = frozenset(names)
        self._known: dict[bytes, dict[str, Any] | None] = {}

    def members(self, piece: bytes) -> dict[str, Any] | None:
        """Return the members that matter; None where it is no piece of an event.

        Args:
            piece: with what stands before and behind it in the place of the rest.
        """
        try:
            return self._known[piece]
        except KeyError:
            pass
        found = self.decoded(piece)
        if len(piece) <= _SHORT:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[piece] = found
        return found

    def decoded(self, piece: bytes) -> dict[str, Any] | None:
        """Return what `members` does, and remember nothing."""
        try:
            body = orjson.loads(piece)
        except orjson.JSONDecodeError:
            return None
        if type(body) is not dict:
            return None
        return {name: body[name] for name in self._names.intersection(body)}


def joined(*pieces: dict[str, Any] | None) -> dict[str, Any] | None:
    """Members of several pieces; None where one is none, or two have one name."""
    found: dict[str, Any] = {}
    size = 0
    for piece in pieces:
        if piece is None:
            return None
        found.update(piece)
        size += len(piece)
    return found if len(found) == size else None
