"""Know what a line of JSON says by pieces of it that came before.

Most lines of a log are other lines with another id and time. Cut at these, the pieces
between come again, so each is decoded once, and a line of known pieces is not decoded.

Why that is right: a JSON text is read from left to right, and what the reader knows of
the text behind it is its state, as "in a text" or "behind a value of the event". So a
piece may be decoded with another text before it that leads to the same state, and with
another one behind it that can be read in no other state than the rest of the line:

- A piece that follows a text begins with the quote that ends it. `AFTER_TEXT` begins an
  object and a text.
- Behind a piece that a comma and a key follow stands `BEFORE_KEY`. It ends the object
  where the reader is behind one of its values. In a text it is a part of the text, in a
  list it is wrong, and in an object within the object it ends that one: then the text
  breaks off.
- What stands between two pieces is a key as it is written here, and a text without a
  quote, a backslash, a control character or a byte above 0x7f.

The members of the event are those of its pieces, in their order: as in one text, the
last of one name counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Collection

AFTER_TEXT: Final = b'{"":"'  # before a piece that begins with the quote of a text
BEFORE_KEY: Final = b"}"  # behind a piece that a comma and a key follow
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
