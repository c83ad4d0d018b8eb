"""Keycloak user events and admin events, from its API, a listener or its log.

Rules:

- A user is ``keycloak.user`` (its UUID); a reader that is told the realm's issuer adds
  the name that tokens carry, ``jwt.sub`` (``issuer|sub``). Clients are named by realm
  and client id, which may be given again, so their end is a not_before.
- A token requires its session, client, user, realm and grant (client and user). The
  refresh token that it was made with too.
- No event names the token that was exchanged for another one: only its client and its
  user. So an exchanged token requires ``keycloak.exchange`` of that pair, and the end
  of one token of the pair is a not_before on it: everything exchanged from tokens of
  that client for that user up to then is denied, though Keycloak honours it. What is
  exchanged later may come from a token of before, for as long as that one lives: the
  exchanged token stands as one of its own, as old as it can be (the lookback).
- An event with an error changes nothing; a refresh is an access, with an error too. An
  UPDATE without ``enabled`` is no change;
  it needs adminEventsDetailsEnabled, else a disable cannot be told.
- A new password ends no session.
- The server's other lines, in its text log as in its JSON console log (of Quarkus or
  ECS), are counted as ``log``.
- A line of the log that breaks off inside a value ends what it names so far, and gives
  nothing: a dead letter says so.

Source: Keycloak 26 server developer and admin guides ("Auditing", "Events"); shapes
seen on a running 26.7.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from streams.model.records import ENDING_EFFECTS, DeadLetter, Lifecycle, moved
from streams.model.times import SECOND
from streams.sources.keycloak.admin import admin_changes
from streams.sources.keycloak.users import refused_refresh, user_changes
from streams.sources.reading.envelope import Event
from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent
from streams.sources.reading.fields import text
from streams.sources.reading.wrapping import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.model.records import Record

NOT_OURS: Final = "not_keycloak: no type and realmId; look which system wrote it"
_JSON: Final = re.compile(rb'[\xef\xbb\xbf\s]*(?:\{|\[\s*[\[{"\]]|\0|\Z)')
LOOKBACK: Final = 300 * SECOND  # how long Keycloak's access tokens live by default
_LINE: Final = re.compile(rb"[^\r\n]+")
_START: Final = re.compile(r'(?:^|[\s)])(?=(?:type|operationType)="?[A-Z_]+"?, )')
# Every value is quoted, unless Keycloak is told not to. At level TRACE cookies stand
# behind them, which are not, and hold whatever the browser sent.
_PAIR: Final = r'[^\s=",]++="[^"\\]*+(?:\\.[^"\\]*+)*+"'
_QUOTED: Final = re.compile(rf"{_PAIR}(?:, {_PAIR})*+")
_END: Final = re.compile(r"\s*\Z|, cookies=\[")
_VALUES: Final = re.compile(r'([^\s=",]++)="([^"\\]*+(?:\\.[^"\\]*+)*+)"')
_STAMP: Final = re.compile(
    r"\s*(\d{4}-\d\d-\d\d[T ][\d:]+(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
)
_BARE: Final = re.compile(r"(\w+)=([^,]*)(?:, |\s*$)")
TORN: Final = "truncated: the line breaks off inside a value; read the file again"
_TOP: Final = frozenset({
    "type", "realmId", "clientId", "userId", "sessionId", "ipAddress", "error",
    "operationType", "resourceType", "resourcePath", "representation", "id", "time",
})  # fmt: skip
_BY: Final = ("clientId", "userId", "ipAddress")


class Keycloak(EventLog):
    """Read the events of one realm or of many."""

    name = "keycloak"
    foreign = NOT_OURS

    def __init__(self, issuer: str | None = None, lookback: int = LOOKBACK) -> None:
        """Read; with the realm's issuer its users get the name that tokens carry.

        Args:
            issuer: ``iss`` of the realm's tokens.
            lookback: ns; how old a token may be when it is exchanged.
        """
        super().__init__()
        self._issuer = issuer
        self._lookback = lookback

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a file or a request body, in its order."""
        if _JSON.match(data) or CONTAINER.match(data):
            yield from super().records(data)
            return
        for found in _LINE.finditer(data):
            if found.group().startswith(b"{"):  # JSON behind a torn first line
                for record in super().records(found.group()):
                    yield moved(record, found.start())
            else:
                yield from self._line(found.group(), found.start())

    def _line(self, line: bytes, offset: int) -> Iterator[Record]:
        read = _of_line(line.decode(errors="replace"))
        self.read += 1
        if read is None:
            self._count("log")
            return
        body, whole = read
        item = Event(offset, len(line), body)
        yield from self.read_event(item) if whole else self._torn(item)

    def read_event(self, item: Event) -> Iterator[Record]:
        """Return the records of an event, of which a line of the console log is one."""
        printed = _printed(item.body)
        if printed is None:
            yield from super().read_event(item)
            return
        said = _of_line(printed)
        if said is None:
            self._count("log")
        elif said[1]:
            yield from super().read_event(item._replace(body=said[0]))
        else:
            yield from self._torn(item._replace(body=said[0]))

    def _torn(self, item: Event) -> Iterator[Record]:
        """Return the records of a line that breaks off, with a dead letter."""
        for record in super().read_event(item):
            if isinstance(record, Lifecycle) and record.effect in ENDING_EFFECTS:
                yield record
        yield DeadLetter(self.name, item.offset, item.length, TORN)

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find id, type and time of a user event or an admin event."""
        if not text(body.get("realmId")):
            return None
        kind = text(body.get("type"))
        if operation := text(body.get("operationType")):
            kind = f"{operation} {text(body.get('resourceType')) or '?'}"
        if kind is None:
            return None
        return EventHead(text(body.get("id")), kind, body.get("time"))

    def changes(self, heard: LogEvent) -> Iterable[Record]:
        """Return the changes of an event; none for a failed one."""
        body = heard.body
        if text(body.get("error")) or heard.event_type.endswith("_ERROR"):
            refresh = heard.event_type.startswith("REFRESH_TOKEN")
            return refused_refresh(heard, self._issuer) if refresh else ()
        if "operationType" in body:
            return admin_changes(heard, self._issuer)
        return user_changes(heard, self._issuer, self._lookback)


def _printed(body: dict[str, Any]) -> str | None:
    """Line of the text log that an entry of the console log holds.

    It is one where a logger or a container's stream is told; else it is an event.
    """
    if "log" in body and "stream" in body:
        return text(body["log"]) or ""
    if "message" not in body or not (body.get("loggerName") or body.get("log.logger")):
        return None
    return f"{body.get('timestamp') or body.get('@timestamp')} {body['message']}"


def _of_line(line: str) -> tuple[dict[str, Any], bool] | None:
    """Read a line of the server's log (``type="LOGIN", realmId=...``).

    Returns:
        The event, and whether all of it is there; None for a line of another kind.
    """
    start = _START.search(line)
    if start is None:
        return None
    pairs, whole = _pairs(line[start.end() :])
    details: dict[str, Any] = {}
    body: dict[str, Any] = {"details": details}
    for name, value in pairs:
        if value and value != "null":
            (body if name in _TOP else details)[name] = value.replace('\\"', '"')
    body.setdefault("time", _stamp(line))
    if "operationType" in body:
        body["authDetails"] = {name: body.pop(name, None) for name in _BY}
    return body, whole


def _pairs(said: str) -> tuple[list[tuple[str, str]], bool]:
    """Names and values of an event, and whether these are all.

    Without quotes a value with a comma in it looks like two, so nothing tells a
    broken line there.
    """
    if not said.partition("=")[2].startswith('"'):
        return _BARE.findall(said), True
    quoted = _QUOTED.match(said)
    if quoted is None:
        return [], False
    return _VALUES.findall(quoted[0]), _END.match(said, quoted.end()) is not None


def _stamp(line: str) -> str:
    """Time before a log line: date and time without a blank after it."""
    found = _STAMP.match(line)
    return found[1] if found else ""
