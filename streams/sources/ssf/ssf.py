"""Shared Signals: CAEP and RISC security event tokens (SETs), decoded or signed.

Rules:

- Verify first (`set_verifier`): this mapper reads claims and checks no signature.
- "Sessions of a user" is a not_before at the time of the event, which spares
  credentials whose own node fact names another device or tenant (CAEP's complex
  subjects match all members). A named session is revoked; Keycloak's session "ALL"
  names none.
- A subject known by an e-mail address, phone number or account alone is a cause on
  the keyed hash of it: ingress makes the hash. A value that cannot be read gives the
  record without identifiers and the dead letter ``subject_by_attribute``: never
  silence.
- A SET whose iat is no time at all, or that is older than 30 days when it is received,
  is told by a dead letter. What it ends counts; what it gives back does not.
- The time is event_timestamp, else iat. One SET may carry several events of one type
  under aliases; each is read.

Source: OpenID Shared Signals Framework 1.0 section 3, CAEP 1.0 section 3, RISC 1.0
section 2, RFC 8417 (SET).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from streams.model.records import DeadLetter, Lifecycle
from streams.model.times import DAY, AbsurdTimeError, parse_time
from streams.sources.reading.dialect import CLOCK, NO_TARGET
from streams.sources.reading.envelope import Event
from streams.sources.reading.eventlog import (
    ACTED_ON,
    EventHead,
    EventLog,
    LogEvent,
    inside,
    qualified,
)
from streams.sources.reading.fields import named, requires, text
from streams.sources.ssf.subjects import Subject, as_session, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents_registry.identifiers import Identifier
    from streams.model.records import Record

BY_ATTRIBUTE: Final = (
    "subject_by_attribute: known by an e-mail address, phone number or account alone, "
    "which cannot be read; set the stream to iss_sub subjects, and revoke this one by "
    "hand"
)
NOT_OURS: Final = "not_ssf: no iss, jti and events; look which system wrote it"
MAX_DAYS: Final = 30  # transmitters keep what they could not deliver for days
STALE: Final = (
    "stale: the SET was issued {} days before it came; what it ends counts, what it "
    "gives back does not; ask the transmitter why it was sent now"
)
NOT_A_SET: Final = "malformed: not a compact JWS of JSON claims; look at the sender"
_COMPACT: Final = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]*", re.ASCII)
# The first line is of a token, of which the beginning may be torn off.
_TOKENS: Final = re.compile(rb"\s*[\w.-]+[ \t\r]*(?:\n|\Z)", re.ASCII)
_LINE: Final = re.compile(rb"[^\r\n]+")
_TYPE: Final = re.compile(r"/secevent/(\w+)/event-type/([\w-]+)/?$")


class _Said(NamedTuple):
    """One event of a SET, with its subject."""

    heard: LogEvent
    body: dict[str, Any]
    subject: Subject
    raw: Any

    def about(self, effect: str | None, **values: Any) -> Lifecycle:
        """Effect on the principal."""
        subject = self.subject  # a signal needs nobody to be looked up
        targets = subject.principals if effect is None else subject.user
        return self._change(effect, targets, **values)

    def ended(self, effect: str = "not_before") -> Lifecycle:
        """Revoke the session or token that is named, else all of the principal."""
        subject = self.subject
        if subject.credentials:
            return self._change("revoke", subject.credentials)
        return self._change(
            effect, subject.user, device=subject.device, tenant=subject.tenant
        )

    def on(self, effect: str, target: Identifier | None, **values: Any) -> Lifecycle:
        """Effect on one credential that requires the principal."""
        return self._change(effect, named(target), **values)

    def _change(
        self, effect: str | None, targets: tuple[Identifier, ...], **values: Any
    ) -> Lifecycle:
        return self.heard.change(
            effect, *targets, reason=values.pop("reason", _reason(self.body)), **values
        )


class Ssf(EventLog):
    """Read SETs: claims as JSON, compact JWS one a line, or a poll response."""

    name = "ssf"
    foreign = NOT_OURS

    def __init__(self, received_at: int | None = None) -> None:
        """Read.

        Args:
            received_at: when the SETs came (ns); None for those of a file, whose age
                says nothing.
        """
        super().__init__()
        self._received_at = received_at

    def records(self, data: bytes) -> Iterator[Record]:
        """Return the records of a file or a request body, in its order."""
        if _TOKENS.match(data):
            for line in _LINE.finditer(data):
                yield from self._token(line.group(), line.start())
            return
        yield from super().records(data)

    def read_event(self, item: Event) -> Iterator[Record]:
        """Return the records of one SET, or of all of a poll response (RFC 8936)."""
        sets = item.body.get("sets")
        if not isinstance(sets, dict) or "iss" in item.body:
            yield from self._set(item)
            return
        self.read += len(sets) - 1
        for token in sets.values():
            signed = str(token).encode(errors="replace")
            yield from self._claims(signed, item.offset, item.length)

    def head(self, body: dict[str, Any]) -> EventHead | None:
        """Find the jti, the type and the time of a SET with one event."""
        uri, event = next(iter(inside(body, "events").items()), (None, None))
        if uri is None or not text(body.get("iss")) or "jti" not in body:
            return None
        moment = inside(event).get("event_timestamp")
        time = body.get("iat") if moment is None else moment
        return EventHead(text(body["jti"]), event_type(uri), time)

    def changes(self, heard: LogEvent) -> Iterable[Record]:
        """Return the changes of the event of a SET."""
        claims = heard.body
        (event,) = claims["events"].values()
        body = inside(event)
        raw = claims.get("sub_id", body.get("subject"))
        read = EFFECTS.get(heard.event_type, _nothing)
        for subject in subject_of(raw, claims["iss"]).each():
            change = read(_Said(heard, body, subject, raw))
            yield change
            if change.effect in ACTED_ON and not change.identifiers:
                unread = BY_ATTRIBUTE if subject.by_attribute else NO_TARGET
                yield heard.letter(unread.format(heard.event_type))

    def _set(self, item: Event) -> Iterator[Record]:
        said = item.body.get("events")
        if not isinstance(said, dict) or len(said) <= 1:
            yield from self._alone(item)
            return
        for uri, body in said.items():
            alone = item.body | {"events": {uri: body}}
            yield from self._alone(item._replace(body=alone))

    def _alone(self, item: Event) -> Iterator[Record]:
        """Read a SET of one event, whatever its age."""
        fault = self._fault(item.body)
        for record in super().read_event(item):
            restores = isinstance(record, Lifecycle) and record.effect == "restore"
            if not (fault and restores):
                yield record
        if fault is not None:
            head = self.head(item.body)
            yield DeadLetter(
                self.name, item.offset, item.length, fault,
                head and head.event_id, head and head.event_type,
            )  # fmt: skip

    def _fault(self, claims: dict[str, Any]) -> str | None:
        """Say what is wrong with the time of issue, where the event has another one."""
        try:
            issued = parse_time(claims.get("iat"))
        except AbsurdTimeError as absurd:
            head = self.head(claims)
            other = head is not None and head.time != claims.get("iat")
            return CLOCK.format(absurd) if other else None
        if issued is None or self._received_at is None:
            return None
        days = (self._received_at - issued) // DAY
        return STALE.format(days) if days > MAX_DAYS else None

    def _token(self, line: bytes, offset: int) -> Iterator[Record]:
        token = line.strip()
        if token:
            self.read += 1
            yield from self._claims(token, offset, len(token))

    def _claims(self, token: bytes, offset: int, length: int) -> Iterator[Record]:
        claims = claims_of(token)
        if claims is None:
            yield DeadLetter(self.name, offset, length, NOT_A_SET)
        else:
            yield from self._set(Event(offset, length, claims))


def claims_of(token: bytes) -> dict[str, Any] | None:
    """Decode the claims of a compact JWS without verifying it; None: it is none."""
    if not _COMPACT.fullmatch(token):
        return None
    part = token.split(b".")[1]
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        return None
    return claims if isinstance(claims, dict) else None


def event_type(uri: str) -> str:
    """Shorten an event URI to ``caep/session-revoked``; old drafts differ before it."""
    found = _TYPE.search(uri)
    return uri if found is None else "/".join(found.groups())


def _reason(body: dict[str, Any]) -> str | None:
    """Take the administrator's reason: a text, or texts by language."""
    given = body.get("reason_admin")
    if isinstance(given, dict):
        given = given.get("en") or next(iter(given.values()), None)
    return text(given) or text(body.get("reason"))


def _nothing(said: _Said) -> Lifecycle:
    return said.about(None)


def _session_revoked(said: _Said) -> Lifecycle:
    return said._replace(subject=as_session(said.subject, said.raw)).ended()


def _claims_changed(said: _Said) -> Lifecycle:
    subject = said.subject
    scope = tuple(
        f"{name}|{one if isinstance(one, str) else orjson.dumps(one).decode()}"
        for name, value in inside(said.body, "claims").items()
        for one in (value if isinstance(value, list) else (value,))
    )
    change = said.about("narrow", scope=scope)
    return change._replace(identifiers=subject.credentials or subject.user)


def _credential_changed(said: _Said) -> Lifecycle:
    body = said.body
    effect = {"create": "issue", "update": "rotate"}.get(
        str(body.get("change_type")), "revoke"
    )
    credential = qualified("x509.serial", body.get("x509_issuer"),
                            body.get("x509_serial")) or qualified(
        "keycloak.credential", body.get("kc_credential_id")
    )  # fmt: skip
    kind = text(body.get("credential_type"))
    if effect == "rotate" and credential is None:
        return said.about(None, reason=kind)  # a new password ends no session
    if effect != "issue":
        return said.on(effect, credential, reason=kind)
    principals = said.subject.principals
    return said.on(
        effect,
        credential,
        parents=requires(*principals[:1]),
        owner=principals[0].value if principals else None,
        reason=kind,
    )


def _assurance_changed(said: _Said) -> Lifecycle:
    body = said.body
    namespace, level = str(body.get("namespace")), str(body.get("current_level"))
    match body.get("change_direction"):
        case "decrease":
            return said.about("narrow", scope=(f"{namespace}|{level}",),
                              aspect=f"assurance:{namespace}")  # fmt: skip
        case "increase":
            return said.about("restore", aspect=f"assurance:{namespace}")
    return said.about(None)


EFFECTS: Final[dict[str, Callable[[_Said], Lifecycle]]] = {
    "caep/session-revoked": _session_revoked,
    "caep/token-claims-change": _claims_changed,
    "caep/credential-change": _credential_changed,
    "caep/assurance-level-change": _assurance_changed,
    "risc/account-disabled": lambda said: said.about("suspend", aspect="account"),
    "risc/account-enabled": lambda said: said.about("restore", aspect="account"),
    "risc/account-purged": lambda said: said.about("delete_subject"),
    # The compromised credential is not named: what it gave so far is not trusted.
    "risc/credential-compromise": lambda said: said.ended(),
    "risc/account-credential-change-required": lambda said: said.about("leak"),
    "risc/identifier-recycled": lambda said: said.ended(),
    "risc/sessions-revoked": _session_revoked,
    "oauth/token-revoked": lambda said: said.ended(),
    "oauth/tokens-revoked": lambda said: said.ended(),
}
