"""Audit chains for commands: where their lines are, export and proof."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from attrs import frozen

from schemas.codec import decode_fact
from streams.cli.output import clean
from streams.clients.rescind import AUDIT_PUBLIC, DEFAULT_DATA_DIR
from streams.model.times import SECOND, rfc3339, typed_time
from streams.services.audit_heads import head_reader, peek, public_key
from streams.stages.audit.chain import (
    BrokenChainError,
    IncompleteChainError,
    UnknownSignerError,
)
from streams.stages.audit.portion import behind, between
from streams.stages.audit.proof import ChainVerifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from agents_registry.facts import Fact
    from streams.clients.rescind import Client
    from streams.stages.audit.chain import Head

HOLDS: Final = 0
BROKEN: Final = 1
INCOMPLETE: Final = 4
NO_KEY: Final = 5
_VERDICTS: Final = {
    IncompleteChainError: ("INCOMPLETE", INCOMPLETE),
    UnknownSignerError: ("NO KEY", NO_KEY),
}
FIRST: Final = "first"
PAGE: Final = 1000


class ChainExport(Protocol):
    """Where the lines of an export come from: a file, a server or Kafka."""

    def lines(self, after: int = 0) -> Iterable[Any]:
        """Lines; those up to an entry may be left out."""
        ...

    def last_head(self) -> str | None:
        """Head that is kept beside the chain; None where none is."""
        ...

    def read_fact(self, value: bytes) -> Fact:
        """Read the value of a record; raises SchemaError."""
        ...


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


def export(chain: ChainExport, wanted: Wanted) -> int:
    """Write a chain or a part of it, a line an entry, with its signed heads.

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
    for line in lines:
        sys.stdout.write(json.dumps(line) + "\n")
    return HOLDS


def verify(chain: Callable[[], ChainExport], against: Against) -> int:
    """Check a chain; 0 where it holds.

    `BROKEN`: something in it was changed, put in or taken out. `INCOMPLETE`: what is
    there fits, and its end is missing. `NO_KEY`: no key given has signed a head.

    Args:
        chain: finds it.
        against: what it is held against.

    Raises:
        ClientError: nobody answers.
        OSError: a file cannot be read.
        ValueError: a key cannot be used.
    """
    read_head = head_reader([_key(path) for path in against.keys or [_own_key()]])
    try:
        head, start = _verified(chain(), against, read_head)
    except BrokenChainError as error:
        word, code = _VERDICTS.get(type(error), ("BROKEN", BROKEN))
        sys.stdout.write(f"{word}: {clean(str(error))}\n")
        return code
    at = rfc3339(head.at * SECOND)
    realm, last = clean(head.realm), head.sequence
    behind_what = "" if start is None else f" from behind entry {start.sequence}"
    sys.stdout.write(
        f"The audit chain of {realm} holds{behind_what} up to entry {last}, "
        f"signed at {at}.\n"
    )
    return HOLDS


def _verified(
    chain: ChainExport, against: Against, read_head: Callable[[str], Head]
) -> tuple[Head, Head | None]:
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


def _own_key() -> Path:
    folder = Path(os.environ.get("RESCIND_DATA_DIR") or DEFAULT_DATA_DIR)
    path = folder / AUDIT_PUBLIC
    if not path.exists():
        message = f"no public key: there is no {path}; name a copy of it with --key"
        raise ValueError(message)
    return path


def _key(path: Path) -> Ed25519PublicKey:
    try:
        return public_key(path.read_bytes())
    except ValueError as error:
        message = f"--key {path}: {error}"
        raise ValueError(message) from error
