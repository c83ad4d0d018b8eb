"""The recorded log that the demo replays: its names, its one revocation, its times.

The tokens of the recording lived for an hour. Its times are therefore moved, all by
the same whole number of seconds, so that it ends now: then tokens that nobody revoked
are alive, on whatever day the demo runs. Nothing else of the bytes is touched.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from agents_registry.identifiers import Identifier
from streams.model.records import Lifecycle
from streams.model.times import SECOND, parse_time, rfc3339
from streams.sources.openbao.openbao import OpenBao

if TYPE_CHECKING:
    from pathlib import Path

FALLEN: Final = "P"  # the token whose revocation is shown
ORPHANS: Final = ("O1", "O2")
_TIME: Final = re.compile(rb'"(\d{4}-\d\d-\d\dT[\d:.]+Z)"|(?<=_time":)(1\d{9})(?=\D)')
_LAST: Final = re.compile(rb'^\{"time":"([^"]+)"', re.MULTILINE)


class RecordingError(ValueError):
    """The recording is missing or is not what the demo expects."""


@frozen
class RecordedCall:
    """The call that revoked.

    Attributes:
        by: name of the token that called.
        what: operation and path.
        at: when it was recorded, RFC 3339.
    """

    by: str
    what: str
    at: str


@frozen
class Recording:
    """A log in three parts, and what is known about it.

    Attributes:
        server: which vault it was.
        before: bytes up to the revocation.
        call: bytes of the revocation alone, its request and its response.
        after: the rest.
        revocation: who called what.
        names: the recorder's names of tokens and leases, by every identifier.
        family: the tokens and leases that exist before the revocation, each by the
            identifier to show to a guard.
        refused: event ids of the presentations that the vault itself refused.
        allowed: event ids of those that it allowed.
        moved: seconds by which the times were moved.
    """

    server: str
    before: bytes
    call: bytes
    after: bytes
    revocation: RecordedCall
    names: dict[Identifier, str]
    family: dict[Identifier, str]
    refused: frozenset[str]
    allowed: frozenset[str]
    moved: int


def read(folder: Path, now: int) -> Recording:
    """Read the recording in a folder and let it end now (ns).

    Raises:
        RecordingError: a file is missing, or the revocation is not in it.
    """
    try:
        log = (folder / "audit.log").read_bytes()
        truth = json.loads((folder / "truth.json").read_bytes())
    except FileNotFoundError as error:
        message = (
            f"{error.filename} is missing: the demo replays the recording in "
            "examples/openbao; install Rescind again, or check it out again"
        )
        raise RecordingError(message) from error
    names = _names(truth)
    revoked = _revocation(log, names)
    first, end = _lines_of(log, revoked.event_id or "")
    moved = (now - _last_time(log)) // SECOND
    shown = {
        name: label
        for name, label in names.items()
        if name.kind != "vault.accessor" and name.value.encode() in log[:first]
    }
    by = next((names[name] for name in revoked.actor if name in names), "?")
    what = revoked.event_type.partition(" ")[2]
    presented = truth["presentations"]
    refused = frozenset(each["event_id"] for each in presented if each["refused"])
    return Recording(
        server=truth["server"],
        before=shifted(log[:first], moved),
        call=shifted(log[first:end], moved),
        after=shifted(log[end:], moved),
        revocation=RecordedCall(by, what, rfc3339(revoked.occurred_at) or ""),
        names=names,
        family=shown,
        refused=refused,
        allowed=frozenset(each["event_id"] for each in presented) - refused,
        moved=moved,
    )


def shifted(log: bytes, seconds: int) -> bytes:
    """Audit log with all its times moved by whole seconds."""

    def move(found: re.Match[bytes]) -> bytes:
        text, number = found.groups()
        if number is not None:
            return str(int(number) + seconds).encode()
        time = parse_time(text.decode())
        if time is None:  # Go's zero time
            return found.group()
        return f'"{rfc3339(time + seconds * SECOND)}"'.encode()

    return _TIME.sub(move, log)


def _names(truth: dict[str, Any]) -> dict[Identifier, str]:
    names = {}
    for label, token in truth["tokens"].items():
        names[Identifier("vault.token_hmac", token["token_hmac"])] = label
        if token["accessor"] is not None:
            names[Identifier("vault.accessor", token["accessor"])] = label
    for label, lease in truth["leases"].items():
        names[Identifier("vault.lease", lease["id"])] = label
    return names


def _revocation(log: bytes, names: dict[Identifier, str]) -> Lifecycle:
    for record in OpenBao().records(log):
        if (
            isinstance(record, Lifecycle)
            and record.effect == "revoke"
            and any(names.get(name) == FALLEN for name in record.identifiers)
        ):
            return record
    raise RecordingError(f"nobody revokes {FALLEN} in the recorded log")


def _lines_of(log: bytes, event_id: str) -> tuple[int, int]:
    """First and last line of one call."""
    first, last = log.find(event_id.encode()), log.rfind(event_id.encode())
    return log.rfind(b"\n", 0, first) + 1, log.find(b"\n", last) + 1


def _last_time(log: bytes) -> int:
    times = [parse_time(text.decode()) for text in _LAST.findall(log)]
    return max(time for time in times if time is not None)
