"""SPIRE server's audit log: agents that are banned or evicted, entries, SVIDs.

Rules:

- Only ``type=audit`` lines with ``status=success`` count; a batch gives one line for
  each of its operations, all with one request_id. The server writes its other lines
  into the same log: they are counted, and are no dead letters.
- The log comes as JSON or as text, SPIRE's default: names and values, one event a line.
- A SPIFFE ID may be given again, so its end is a not_before: SVIDs up to then are
  denied, though SPIRE lets them run to their (short) expiry.
- An SVID is its SPIFFE ID and serial number; it requires its ID, its entry and the
  agent that asked for it. An entry requires its parent, by ``parent_id``.

Source: SPIRE doc/auditlog.md; the names of the fields are those of its telemetry. No
public sample was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from streams.model.records import Lifecycle, moved
from streams.model.times import sound_time
from streams.sources.reading.envelope import Event
from streams.sources.reading.eventlog import EventHead, EventLog, LogEvent, qualified
from streams.sources.reading.fields import identifier, named, requires, text, tied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

_TEXT: Final = re.compile(rb"\s*(?:[^\n{\[]*\btime=|[a-z]+=)")
_LINE: Final = re.compile(rb"[^\r\n]+")
_FIELD: Final = re.compile(r'([\w.-]+)=(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s"]*))')
NOT_OURS: Final = "not_spire: type is not audit; look which system wrote it"


class Spire(EventLog):
    """Read the server's log, in either ``log_format``."""

    name = "spire"
    foreign = NOT_OURS

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a file or a request body, in its order."""
        if not _TEXT.match(data):
            yield from super().records(data)
            return
        for found in _LINE.finditer(data):
            line, offset = found.group(), found.start()
            if line.startswith(b"{"):
                for record in super().records(line):
                    yield moved(record, offset)
                continue
            self.read += 1
            fields = _fields(line.decode(errors="replace"))
            yield from self.read_event(Event(offset, len(line), fields))

    def read_event(self, item: Event) -> Iterator[Record]:
        """Return the records of an audit line; pass over the server's own lines."""
        body = item.body
        if "log" in body and "stream" in body:  # what a container printed, as text
            body = _fields(text(body["log"]) or "")
            item = item._replace(body=body)
        if "type" not in body and "level" in body and "msg" in body:
            self._count("log")
            return
        yield from super().read_event(item)

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find the request's id, the method and the time of an audit line."""
        method = text(body.get("method"))
        if body.get("type") != "audit" or method is None:
            return None
        return EventHead(text(body.get("request_id")), method, body.get("time"))

    def changes(self, heard: LogEvent) -> Iterator[Record]:
        """Return the changes of a successful operation."""
        if heard.body.get("status") != "success":
            return
        read = EFFECTS.get(heard.event_type.removeprefix("Batch"))
        yield heard.change(None, _spiffe(heard)) if read is None else read(heard)


def _fields(line: str) -> dict[str, Any]:
    """Read the names and values of a line of text."""
    return {
        name: quoted.replace('\\"', '"') if quoted else bare
        for name, quoted, bare in _FIELD.findall(line)
    }


def _spiffe(heard: LogEvent, name: str = "spiffe_id") -> Identifier | None:
    value = text(heard.body.get(name))
    if value is not None and not value.startswith("spiffe://"):
        # Entries log trust domain and path; a path alone names nobody.
        return None
    return identifier("spiffe.id", value)


def _entry(heard: LogEvent) -> Identifier | None:
    body = heard.body
    return identifier(
        "spire.entry", body.get("registration_id") or body.get("entry_id")
    )


def _by(heard: LogEvent) -> dict[str, Any]:
    return {"actor": named(_spiffe(heard, "caller_id"))}


def _agent_ended(heard: LogEvent) -> Lifecycle:
    return heard.change(
        "delete_subject", _spiffe(heard), reason="source_still_honours", **_by(heard)
    )


def _entry_created(heard: LogEvent) -> Lifecycle:
    return heard.change(
        "issue",
        _entry(heard),
        parents=requires(_spiffe(heard, "parent_id")),
        **_by(heard),
    )


def _entry_deleted(heard: LogEvent) -> Lifecycle:
    entry = _entry(heard)
    target = _spiffe(heard) if entry is None else entry
    return heard.change(
        "delete_subject", target, reason="source_still_honours", **_by(heard)
    )


def _svid(heard: LogEvent) -> Lifecycle:
    body = heard.body
    subject, entry = _spiffe(heard), _entry(heard)
    serial = body.get("serial_num") or body.get("serial_number")
    svid = qualified("x509.serial", text(body.get("spiffe_id")), serial)
    parent = _spiffe(heard, "parent_id")
    return heard.change(
        "issue" if svid is not None else None,
        svid,
        parents=requires(subject, entry, _spiffe(heard, "caller_id")),
        expires_at=sound_time(body.get("expires_at") or body.get("expiration")),
        ties=tied(entry, parent),
        **_by(heard),
    )


EFFECTS: Final[dict[str, Callable[[LogEvent], Lifecycle]]] = {
    "BanAgent": _agent_ended,
    "DeleteAgent": _agent_ended,
    "CreateEntry": _entry_created,
    "DeleteEntry": _entry_deleted,
    "NewX509SVID": _svid,
    "MintX509SVID": _svid,
    "RenewAgent": _svid,
    "AttestAgent": _svid,
}
