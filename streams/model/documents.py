"""JSON objects that people and programs send as one document each.

How much they may hold is bounded before anything is made of it: to decode a megabyte
of JSON and to look for secrets in it takes up to 0.2 s, in which nobody else of the
process has a turn. What may be longer is read apart, see `Declarations`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import orjson
from attrs import field, frozen

from agents_registry.secret_shapes import has_secret, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 32 << 10  # bytes of a document that is read where it came: about 5 ms
MOST_ENTRIES: Final = 50_000  # of a list of declarations
MOST_ENTRY: Final = 64 << 10  # bytes of one of them
MOST_TEXT: Final = 16 << 10  # characters of a name, which may be a token itself
MOST_VALUES: Final = 50_000  # of a document that is decoded at once: up to 12 ms
MOST_NAME: Final = 40  # characters of a member's name that are shown
CREDENTIALS: Final = "credentials"
GIVE_THE_HASH: Final = (
    "a secret stands where its hash should: give the name that `rescind why` prints "
    "for it"
)
TEXTS: Final = frozenset({"reason", "listed"})  # for people
IDENTIFIER: Final = "identifier"
IDENTIFIERS: Final = "identifiers"
_NAMES: Final = frozenset({IDENTIFIER, IDENTIFIERS})


class DocumentError(ValueError):
    """A document cannot be used; the text says why, and quotes no secret."""


def crowded(data: bytes, most: int = MOST_VALUES) -> bool:
    """Whether JSON may hold more values than a caller can wait for.

    What it takes to decode it goes by their number much more than by its length. Those
    within texts count too.
    """
    return sum(map(data.count, (b",", b"{", b"["))) > most


def object_of(data: bytes, *, named: bool = False) -> dict[str, Any]:
    """Members of a JSON object, with secrets taken out of texts for people.

    Args:
        data: the document.
        named: its ``identifier`` or ``identifiers`` may be secrets, which the caller
            hashes.

    Raises:
        DocumentError: it is none, or a secret stands where nothing can take its place.
    """
    if not data.strip():
        raise DocumentError("the body is empty: send a JSON object")
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise DocumentError(_not_json(data, error)) from error
    if not isinstance(body, dict):
        raise DocumentError("the body is not an object: send JSON as {...}")
    if len(data) <= MOST:
        _each_once(data)
    return {
        name: value if named and name in _NAMES else _without_secrets(name, value)
        for name, value in body.items()
    }


def _not_json(data: bytes, error: orjson.JSONDecodeError) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as broken:
        return f"the body is not JSON: byte {broken.start + 1} is not UTF-8"
    where = f"line {error.lineno}, column {error.colno}"
    if not data[error.pos :].strip():
        return f"the body is not JSON: it breaks off at {where}"
    return f"the body is not JSON: look at {where}; send a JSON object"


def _each_once(data: bytes) -> None:
    """Refuse members of one name: readers differ in which of them they take."""

    def once(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            text = without_secrets(twice[:MOST_NAME])
            raise DocumentError(f"{text!r} stands twice in one object: send it once")

    json.loads(data, object_pairs_hook=once)


def _without_secrets(name: str, value: Any) -> Any:
    if name in TEXTS and isinstance(value, str):
        return without_secrets(value)
    if has_secret(orjson.dumps({name: value}).decode()):
        raise DocumentError(GIVE_THE_HASH)
    return value


@frozen
class Opened:
    """What stands around a list, or why nothing of it can be used."""

    members: dict[str, Any] = field(factory=dict)
    fault: str = ""


class OrderNames:
    """Reads ``{"identifiers": [...], ...}`` as `Declarations` does: `Opened`, texts."""

    def records(self, data: bytes) -> Iterator[Any]:
        """Texts of a document; none where it has a fault."""
        try:
            members = object_of(data, named=True)
            entries = texts_of(members.pop(IDENTIFIERS, None))
        except DocumentError as error:
            yield Opened(fault=str(error))
            return
        yield Opened(members)
        yield from entries


def texts_of(entries: Any) -> list[str]:
    """Texts of a list of names, as they stand there.

    Raises:
        DocumentError: it is no list, or holds what is no name.
    """
    if not isinstance(entries, list) or not entries:
        raise DocumentError(f"{IDENTIFIERS} is a list of texts, kind:value")
    if len(entries) > MOST_ENTRIES:
        what = f"{IDENTIFIERS} are {len(entries)} lines; an order takes {MOST_ENTRIES}"
        raise DocumentError(f"{what}: give several orders")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, str):
            raise DocumentError(f"line {number}: an identifier is a text, kind:value")
        if len(entry) > MOST_TEXT:
            raise DocumentError(
                f"line {number}: it has more than {MOST_TEXT} characters"
            )
    return entries


class Declarations:
    """Reads ``{"credentials": [...], ...}`` in any process: `Opened`, then the entries.

    Each entry is small, so that they can be handed over a few at a time.
    """

    def records(self, data: bytes) -> Iterator[Any]:
        """Entries of a document; none where it has a fault."""
        try:
            members = object_of(data)
            entries = _small(members.pop(CREDENTIALS, None))
        except DocumentError as error:
            yield Opened(fault=str(error))
            return
        yield Opened(members)
        yield from entries


def _small(entries: Any) -> list[Any]:
    if not isinstance(entries, list):
        raise DocumentError(f"{CREDENTIALS} is a list of objects")
    if len(entries) > MOST_ENTRIES:
        what = f"{CREDENTIALS} are {len(entries)}; a request takes {MOST_ENTRIES}"
        raise DocumentError(f"{what}: send several")
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise DocumentError(f"entry {number}: an entry is an object")
        if len(orjson.dumps(entry)) > MOST_ENTRY:
            raise DocumentError(f"entry {number}: it has more than {MOST_ENTRY} bytes")
    return entries
