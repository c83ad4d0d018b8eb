"""Exports of an audit chain: where the lines are, a part of them, the proof of all."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from attrs import frozen

from schemas.codec import decode_fact
from streams.model.times import SECOND, typed_time
from streams.services.audit_heads import peek
from streams.stages.audit.chain import BrokenChainError
from streams.stages.audit.portion import behind, between
from streams.stages.audit.proof import ChainVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from agents_registry.facts import Fact
    from streams.clients.rescind import Client
    from streams.stages.audit.chain import Head

FIRST: Final = "first"
PAGE: Final = 1000


class ChainExport(Protocol):
    """Where the lines of an export come from: a file, a server or Kafka."""

    def lines(self, after: int = 0) -> Iterable[Any]:
        """Lines; those up to an entry may be left out."""

    def last_head(self) -> str | None:
        """Head that is kept beside the chain; None where none is."""

    def read_fact(self, value: bytes) -> Fact:
        """Read the value of a record; raises SchemaError."""


@frozen
class ServerChain:
    """The chain of a server, page by page."""

    client: Client

    def lines(self, after: int = 0) -> Iterator[Any]:
        """Lines behind an entry."""
        more: int | None = after
        while more is not None:
            page = self.client.get("audit", after=more, limit=PAGE)
            yield from page["lines"]
            more = page["after"]

    def last_head(self) -> None:
        """None: the server keeps its heads in the chain."""

    read_fact = staticmethod(decode_fact)


@frozen
class FileChain:
    """An export in a file."""

    path: Path

    def lines(self, after: int = 0) -> Iterator[Any]:
        """All lines.

        Raises:
            BrokenChainError: one is not JSON.
        """
        del after
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    message = f"line {number} is not JSON: changed, or cut off"
                    raise BrokenChainError(message) from error

    def last_head(self) -> None:
        """None."""

    read_fact = staticmethod(decode_fact)


@frozen
class Wanted:
    """Which part of a chain is exported, each as the option of its name.

    Attributes:
        start: the head that it begins behind (compact JWS).
        since: with the last head that was signed by then.
        until: with the first head that was signed then or later.
    """

    start: str | None = None
    since: str | None = None
    until: str | None = None


@frozen
class Against:
    """What a chain is held against.

    Attributes:
        keys: files of public keys; without any, that of the data folder.
        heads: signed heads that were kept elsewhere, and must be in it.
        files: of such heads, as a sink has written them.
        start: the head to begin behind, kept elsewhere too; `FIRST` trusts that of
            the export.
    """

    keys: Sequence[Path] = ()
    heads: Sequence[str] = ()
    files: Sequence[Path] = ()
    start: str | None = None


def wanted_lines(chain: ChainExport, wanted: Wanted) -> Iterable[Any]:
    """Lines of a chain or of a part of it, with its signed heads.

    Raises:
        ClientError: nobody answers.
        ValueError: an option cannot be read.
    """
    since, until = _moment("since", wanted.since), _moment("until", wanted.until)
    try:
        start = None if wanted.start is None else peek(wanted.start)
    except BrokenChainError as error:
        raise ValueError(f"--from: {error}") from error
    lines = chain.lines(0 if start is None else start.sequence)
    if start is not None:
        lines = itertools.chain([{"head": wanted.start}], behind(lines, start))
    if since is not None or until is not None:
        lines = between(lines, peek, since, until)
    return lines


def verified(
    chain: ChainExport, against: Against, read_head: Callable[[str], Head]
) -> tuple[Head, Head | None]:
    """Check a chain; its last head, and the head that the check began behind.

    Raises:
        BrokenChainError, IncompleteChainError, UnknownSignerError: it does not hold.
        ClientError: nobody answers.
        OSError: a file cannot be read.
        ValueError: a file of kept heads holds something else.
    """
    start = None
    if against.start not in (None, FIRST):
        start = read_head(str(against.start))
    # Before the end of the lines is: a chain that is written meanwhile gets new heads.
    last = chain.last_head()
    lines = iter(chain.lines(0 if start is None else start.sequence))
    first = next(lines, None)
    if against.start == FIRST:
        if not isinstance(first, dict) or "head" not in first:
            raise BrokenChainError("it begins with no head: leave --from out")
        start = read_head(str(first["head"]))
    lines = itertools.chain([first], lines)
    if start is not None:
        lines = behind(lines, start)
    given = [*against.heads, *([] if last is None else [last])]
    known = [read_head(each) for each in given]
    kept = map(read_head, _kept(against.files))
    known += _of_chain(kept, _realm_of(first), start)
    verifier = ChainVerifier(read_head, chain.read_fact, known, start)
    for line in lines:
        verifier.take(line)
    return verifier.end(), start


def _of_chain(
    heads: Iterable[Head], realm: str | None, start: Head | None
) -> Iterator[Head]:
    """Leave out of what a sink kept other realms, and what is older than the start."""
    begin = 0 if start is None else start.sequence
    for head in heads:
        if head.realm == realm and head.sequence >= begin:
            yield head


def _realm_of(line: Any) -> str | None:
    if not isinstance(line, dict):
        return None
    if "head" in line:
        return peek(str(line["head"])).realm
    entry = line.get("entry")
    return str(entry.get("realm")) if isinstance(entry, dict) else None


def _kept(files: Iterable[Path]) -> Iterator[str]:
    """Heads of files, a line of JSON each, as a sink or a log writes them.

    Raises:
        ValueError: one holds something else.
    """
    for path in files:
        for line in path.read_text("utf-8").splitlines():
            try:
                yield str(orjson.loads(line)["head"])
            except (orjson.JSONDecodeError, LookupError, TypeError) as error:
                message = f"--heads {path}: a line of it is no JSON with a head"
                raise ValueError(message) from error


def _moment(option: str, text: str | None) -> int | None:
    """Read a time of an option, in seconds.

    Raises:
        ValueError: it is none.
    """
    if text is None:
        return None
    try:
        return typed_time(text) // SECOND
    except ValueError as error:
        raise ValueError(f"--{option} {text!r} {error}") from error
