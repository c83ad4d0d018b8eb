"""JSON that is too large to be read in one go: frames of a feed, answers of an API.

A decoder in C takes 100 to 400 ms for 16 MiB, and keeps the interpreter meanwhile, also
in a thread. So what is large is read in small pieces, each by that decoder, and others
have their turn in between. Whatever stands in it, no step is longer than some pieces
are: names, texts and blanks have no length that one step would be as long as.

It is read as what is small is read, the same values and the same errors, but for three
bounds that what is small has not. Beyond one of them it is refused, and says so:

- 64 levels. Each level that is larger than a piece takes as long as many values, and
  without a bound some texts take 25 times as long as by one call.
- 262,144 members of one object. It grows all at once: a larger one for 10 ms and more.
  A list has no such bound.
- 16,384 digits of a number in a row: before the point, behind it, or of the exponent.

- `decoded` reads a text, whatever its size, by the decoder of the standard library;
  `reading` by any.
- `drop` and `free` take what was read apart in turns: all at once takes as long.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from enforcement.turns import in_turns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.steps import Steps

Loads: TypeAlias = Callable[[str], Any]

LARGE: Final = 1 << 19  # characters: less takes some 4 ms
PIECE: Final = 1 << 14  # characters that are read at once: some 0.1 ms
TOGETHER: Final = 16  # values between two looks at the clock
DEEPEST: Final = 64  # levels; the decoder has 1,024
MEMBERS: Final = 1 << 18  # of one object
TRIES: Final = 4  # where a piece may end, until one value is read by itself
MOST_MISSED: Final = 63
_CLOSES: Final = {"[": "]", "{": "}"}
_HOLDS: Final = (list, dict)
_BLANK: Final = re.compile(rf"[ \t\n\r]{{0,{PIECE}}}")
_SHORT: Final = re.compile(rf'"[^"\\\x00-\x1f]{{0,{PIECE}}}"')
_PART: Final = re.compile(
    r"(?:[^\"\\\x00-\x1f]{1,256}+|\\[\"\\/bfnrt]"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}){1,64}+"
)
_SCALAR: Final = re.compile(
    r"true|false|null"
    rf"|-?(?:0|[1-9][0-9]{{0,{PIECE - 1}}}+)(?:\.[0-9]{{1,{PIECE}}}+)?"
    rf"(?:[eE][+-]?[0-9]{{1,{PIECE}}}+)?(?P<more>[0-9])?"
)


async def decoded(text: str) -> Any:
    """Read JSON, a large one in turns.

    Raises:
        ValueError: it is none.
    """
    if len(text) <= LARGE:
        return loads(text)
    return await in_turns(reading(text, loads))


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)


def loads(text: str) -> Any:
    """Read JSON by the standard library, which allows more than there is in JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("too many levels") from error


async def drop(values: Any) -> None:
    """Empty a list in turns; what stands in it may be held by others."""
    if isinstance(values, list):
        await in_turns(_emptying(values))


async def free(value: Any) -> None:
    """Empty all that was read in turns; nobody else may hold any part of it."""
    await in_turns(_freeing(value))


def _emptying(values: list[Any]) -> Steps[None]:
    while values:
        del values[-TOGETHER:]
        yield


def _freeing(value: Any) -> Steps[None]:
    left = [value]
    while left:
        top = left[-1]
        some: list[Any] = []
        if isinstance(top, list):
            some = top[-TOGETHER:]
            del top[-TOGETHER:]
        elif isinstance(top, dict):
            some = [top.popitem()[1] for _ in range(min(TOGETHER, len(top)))]
        if not some:
            left.pop()
        left += (each for each in some if isinstance(each, list | dict))
        yield


def reading(text: str, loads: Loads) -> Steps[Any]:
    """Read JSON in steps.

    Args:
        text: of any size.
        loads: reads a piece of it at once; a ValueError where that is no JSON.

    Raises:
        ValueError: it is none.
    """
    found, at = yield from _Reader(text, loads).value()
    at = yield from _past_blank(text, at)
    if at < len(text):
        raise ValueError(f"more follows at {at}")
    return found


class _Reader:
    """Reads one value, without a call for each level of it."""

    def __init__(self, text: str, loads: Loads) -> None:
        self._text, self._loads = text, loads
        self._open: list[Any] = []  # containers, from the outermost one on
        self._names: list[str] = []  # of their members that are being read
        self._missed = 0  # how often in a row no piece could be read
        self._rest = 0  # members for which none is tried

    def value(self) -> Steps[tuple[Any, int]]:
        """Read a value; return it, and where it ends."""
        text, at = self._text, 0
        while True:
            at = yield from _past_blank(text, at)
            found, at, is_whole = yield from self._begun(at)
            while is_whole:
                yield
                if not self._open:
                    return found, at
                at = yield from self._put(found, at)
                closes = _CLOSES["[" if isinstance(self._open[-1], list) else "{"]
                if text[at : at + 1] == closes:
                    found, at = self._closed(), at + 1
                    continue
                at = yield from self._past_comma(at)
                break

    def _begun(self, at: int) -> Steps[tuple[Any, int, bool]]:
        """Read a value that is small, or the beginning of one that is not."""
        text, first = self._text, self._text[at : at + 1]
        if first == '"':
            found, at = yield from _string(text, at, self._loads)
            return found, at, True
        if first not in _CLOSES or not first:
            return *_scalar(text, at, self._loads), True
        levels = DEEPEST - len(self._open)
        if not levels:
            raise _too_deep(at)
        if self._may_try():
            if (small := _small(text, at, levels, self._loads)) is not None:
                self._missed = 0
                return *small, True
            self._miss()
        at = yield from _past_blank(text, at + 1)
        if text[at : at + 1] == _CLOSES[first]:
            return ([] if first == "[" else {}), at + 1, True
        self._open.append([] if first == "[" else {})
        self._names.append("")
        at = yield from self._member(at)
        return None, at, False

    def _may_try(self) -> bool:
        """Whether to try a piece: seldom, where many of them were none."""
        if self._rest:
            self._rest -= 1
        return not self._rest

    def _miss(self) -> None:
        self._missed = min(2 * self._missed + 1, MOST_MISSED)
        self._rest = self._missed

    def _put(self, found: Any, at: int) -> Steps[int]:
        """Put a value where it belongs; return where the next sign is."""
        into = self._open[-1]
        if isinstance(into, list):
            into.append(found)
        else:
            into[self._names[-1]] = found
            _bound(into, at)
        return (yield from _past_blank(self._text, at))

    def _closed(self) -> Any:
        self._names.pop()
        return self._open.pop()

    def _past_comma(self, at: int) -> Steps[int]:
        text = self._text
        if text[at : at + 1] != ",":
            raise ValueError(f"neither a comma nor an end at {at}")
        at = yield from _past_blank(text, at + 1)
        return (yield from self._member(at))

    def _member(self, at: int) -> Steps[int]:
        """Read small members as they come, and the name of the next one."""
        text, into = self._text, self._open[-1]
        while self._may_try():
            some = _several(text, at, into, DEEPEST - len(self._open), self._loads)
            yield
            if some is None:
                self._miss()
                break
            self._missed = 0
            at = yield from _past_blank(text, some + 1)  # a comma follows them
        if isinstance(into, list):
            return at
        if text[at : at + 1] != '"':
            raise ValueError(f"no member at {at}")
        self._names[-1], at = yield from _string(text, at, self._loads)
        at = yield from _past_blank(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"no value at {at}")
        return at + 1


def _several(text: str, at: int, into: Any, levels: int, loads: Loads) -> int | None:
    """Read members that fit into a piece; return where the comma behind them is.

    What ends elsewhere is no JSON: whatever the decoder takes are whole members.
    """
    if isinstance(into, list):
        first = text[at : at + 1]
        ends = {"{": "},", "[": "],", '"': '",'}.get(first, ",")
        opened, closed, behind = "[", "]", len(ends) - 1
    else:
        ends, opened, closed, behind = ',"', "{", "}", 0
    size = PIECE
    for _ in range(TRIES):
        cut, size = text.rfind(ends, at, at + size), size >> 2
        if cut <= at:
            continue
        end = cut + behind
        try:
            found = loads(opened + text[at:end] + closed)
        except ValueError:
            continue
        if not found:
            return None
        members = found.values() if isinstance(found, dict) else found
        if not _is_flat(text[at:end], members, levels):
            raise _too_deep(at)
        if isinstance(into, list):
            into.extend(found)
        else:
            into.update(found)
            _bound(into, at)
        return end
    return None


def _is_flat(piece: str, members: Iterable[Any], levels: int) -> bool:
    """Whether what was read of a piece has no more levels than there may be."""
    if piece.count("[") + piece.count("{") <= levels:
        return True
    level = [each for each in members if isinstance(each, _HOLDS)]
    for _ in range(levels):
        if not level:
            break
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level = [one for each in inner for one in each if isinstance(one, _HOLDS)]
    return not level


def _bound(members: dict[str, Any], at: int) -> None:
    if len(members) > MEMBERS:
        raise ValueError(
            f"an object of more than {MEMBERS:,} members at {at}; send a list"
        )


def _too_deep(at: int) -> ValueError:
    return ValueError(f"more than {DEEPEST} levels at {at}")


def _small(text: str, at: int, levels: int, loads: Loads) -> tuple[Any, int] | None:
    """Read a container that fits into a piece, and its end; None: it may not."""
    end, closes = at, _CLOSES[text[at]]
    for _ in range(TRIES):
        end = text.find(closes, end + 1, at + PIECE)
        if end < 0:
            return None
        try:
            found = loads(text[at : end + 1])
        except ValueError:
            continue
        if not _is_flat(text[at : end + 1], [found], levels):
            raise _too_deep(at)
        return found, end + 1
    return None


def _string(text: str, at: int, loads: Loads) -> Steps[tuple[str, int]]:
    """Read a text, a long one in parts."""
    if (short := _SHORT.match(text, at)) is not None:
        return short[0][1:-1], short.end()
    at += 1
    parts: list[str] = []
    while (part := _PART.match(text, at)) is not None:
        parts.append(loads(f'"{part[0]}"'))
        at = part.end()
        yield
    if text[at : at + 1] != '"':
        raise ValueError(f"no text at {at}")
    return "".join(parts), at + 1


def _scalar(text: str, at: int, loads: Loads) -> tuple[Any, int]:
    found = _SCALAR.match(text, at)
    if found is None:
        raise ValueError(f"no value at {at}")
    if found["more"]:
        raise ValueError(f"a number of more than {PIECE:,} digits in a row at {at}")
    return loads(found[0]), found.end()


def _past_blank(text: str, at: int) -> Steps[int]:
    while text[at : at + 1] in _BLANKS:
        matched = _BLANK.match(text, at)
        if matched is None or matched.end() == at:
            break
        at = matched.end()
        yield
    return at


_BLANKS: Final = frozenset(" \t\n\r")
