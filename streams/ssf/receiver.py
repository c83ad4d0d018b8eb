"""Take in the SETs of one stream, however they were delivered.

Verified first, then written, and only then accepted. What a stream says of itself
(`verification`, `stream-updated`) goes into its health record and not into the log.

- A token whose key is not in the set makes the set be read again, once a minute at
  most. Where it could not be read the sender shall repeat (503): a rotation of keys
  during an outage must not cost a revocation.
- `StaleKeyError` says that the set is less than a minute old, but older than the
  token; a push is refused then, a poll leaves the token where it is.

Source: RFC 8417, RFC 8935 section 2, OpenID Shared Signals Framework 1.0 section 8.1.4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import attrs
import structlog
from attrs import define, field

from streams.services.intake import IntakeBatch, NotWrittenError, tell
from streams.services.reading import read
from streams.sources.ssf.ssf import Ssf, event_type
from streams.sources.ssf.verifier import SetRefusedError, UnknownKeyError, verify
from streams.ssf import health as steps
from streams.ssf.management import STATUSES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from streams.clients.jwks_cache import JwksCache
    from streams.services.ingest import Intake
    from streams.services.intake import Speaker
    from streams.settings.sources import SsfStream
    from streams.sources.ssf.verifier import StreamRules
    from streams.ssf.health import Step, StreamHealth
    from streams.stages.ingest.ingress import Origin
    from streams.stages.ingest.source_notices import SourceNotice

NAME: Final = "ssf"
# Of SSF, and of the drafts and of RISC before it.
_FAMILIES: Final = frozenset({"ssf", "sse", "risc"})

log = structlog.get_logger()


class KeysMissingError(NotWrittenError):
    """The key is unknown and the set cannot be read: answer 503."""


class StaleKeyError(UnknownKeyError):
    """The key is unknown, and it is too soon to read the set again."""


async def nowhere(name: str, state: str) -> bool:
    """Return False: no other process asks for verifications."""
    del name, state
    return False


@attrs.frozen
class StreamVerifier:
    """The rules of a stream and the keys of its transmitter."""

    rules: StreamRules
    keys: JwksCache

    async def claims(self, token: bytes, now: int) -> dict[str, Any]:
        """Verify a token, with newer keys where its own is not known.

        Raises:
            KeysMissingError: the keys cannot be read now.
            StaleKeyError: they may be read again in a minute.
            SetRefusedError: it is refused.
        """
        try:
            return verify(token, self.keys.keys, self.rules, now)
        except UnknownKeyError:
            fresh = await self.keys.refresh()
        try:
            return verify(token, self.keys.keys, self.rules, now)
        except UnknownKeyError as error:
            if self.keys.failed or not self.keys.loaded:
                raise KeysMissingError from error
            if not fresh:
                raise StaleKeyError(error.err, error.description) from error
            raise


@define(eq=False)
class StreamReceiver:
    """One stream.

    Attributes:
        name: of the stream.
        settings: of the stream.
        verifier: of its SETs.
        ingest: writes what is taken in.
        origin: of what we say about the stream ourselves, now.
        asked_elsewhere: as `HealthRecords` has it.
        name, settings: of the stream.
        health: how the stream is.
        changed: the record differs from the one that is kept.
    """

    name: str
    settings: SsfStream
    verifier: StreamVerifier
    _ingest: Intake
    _origin: Callable[[], Origin]
    _asked_elsewhere: Callable[[str, str], Awaitable[bool]] = nowhere
    health: steps.StreamHealth = field(factory=steps.StreamHealth, init=False)
    changed: bool = field(default=False, init=False)
    _telling: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    @property
    def source(self) -> str:
        """Name of the stream among all sources."""
        return f"{NAME}:{self.name}"

    async def take(self, token: bytes, speaker: Speaker) -> None:
        """Take in a SET; returns once what it says is durable.

        Raises:
            SetRefusedError: it is refused; nothing was changed.
            NotWrittenError: it could not be verified or written now.
        """
        now = speaker.origin.received_at
        claims = await self.verifier.claims(token, now)
        if await self._about_the_stream(claims, now):
            return
        records = await read(Ssf(now), token, NAME)
        await self._ingest.records(IntakeBatch(records, *speaker, via=self.source))
        self.note(steps.heard(self.health, claims["iat"], now))

    def count(self, refused: SetRefusedError, now: int) -> None:
        """Note that a SET was refused for good (ns)."""
        self.note(steps.refused(self.health, refused.err, now))

    def note(self, health: StreamHealth) -> None:
        """Change the record of the stream."""
        self.health = health
        self.changed = True

    async def tell(self, step: Callable[[StreamHealth], Step]) -> None:
        """Take a step with the record of the stream, once its notices are durable.

        The step is taken again after that: the record may have changed meanwhile.

        Raises:
            NotWrittenError: they could not be written.
        """
        async with self._telling:
            told, notices = step(self.health)
            if notices:
                await self._write(notices)
            health, _ = step(self.health)
            health = attrs.evolve(health, told=told.told)
            if health != self.health:
                self.note(health)

    async def _write(self, notices: Iterable[SourceNotice]) -> None:
        for one in notices:
            say = log.info if one.over else log.warning
            say("stream", name=self.name, kind=one.kind.value, over=one.over)
        signals = [one.signal(self.source) for one in notices]
        await tell(self._ingest, signals, self._origin())

    async def _about_the_stream(self, claims: dict[str, Any], now: int) -> bool:
        """Take in what a stream says of itself; tell whether it was that."""
        ((uri, event),) = claims["events"].items()
        family, _, kind = event_type(uri).partition("/")
        if family not in _FAMILIES or kind not in ("verification", "stream-updated"):
            return False
        self._check_subject(claims.get("sub_id"))
        if kind == "verification":
            state, issued = event.get("state"), claims["iat"]
            health = steps.verified(self.health, state, issued, now)
            if health is None and await self._asked_elsewhere(self.name, str(state)):
                health = steps.proven(self.health, issued, now)
            if health is None:
                message = "the state is none that we asked with"
                raise SetRefusedError("invalid_state", message)
            self.note(health)
            return True
        status, reason = _status_of(event)
        await self.tell(
            lambda health: steps.announced(health, status, reason, claims["iat"], now)
        )
        return True

    def _check_subject(self, subject: Any) -> None:
        """Refuse an event about another stream; old dialects name none."""
        ours = self.settings.stream_id
        if not ours or subject is None:
            return
        if subject.get("format") != "opaque" or subject.get("id") != ours:
            message = "the event is about another stream"
            raise SetRefusedError("invalid_request", message)


def _status_of(event: dict[str, Any]) -> tuple[str, str]:
    """Read status and reason; Keycloak 26 has both in an object called status."""
    inner = event.get("status")
    given = inner if isinstance(inner, dict) else event
    status, reason = given.get("status"), given.get("reason")
    if not isinstance(status, str) or status not in STATUSES:
        message = "status is not enabled, paused or disabled"
        raise SetRefusedError("invalid_request", message)
    return status, reason if isinstance(reason, str) else ""
