"""The guards behind a relay: their receipts go to the topic ``receipts``.

Nothing orders that topic and ``facts``. So a registration is acknowledged before the
end is asked for that its guard is served with, and anew after the relay's own proof
lapsed. Closure lets a guard go that was silent for ten leases; one whose receipts were
not acknowledged for half of that gets no lease until one is.

Of what a guard applied the newest is written: at once where it covers facts, and often
enough that closure hears of the guard. Whoever reads the topic knows a receipt by the
relay's key, which vouches for the guards that the relay let in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from attrs import define, frozen

from enforcement.kafka.receipts import signed_record
from enforcement.kafka.reporter import REGISTERED_LEASES
from enforcement.turns import in_turns
from schemas.codec import in_force
from streams.engines.kafka.client.batcher import NotAckedError
from streams.engines.kafka.records.codec import Outgoing
from streams.engines.kafka.records.layout import RECEIPTS
from streams.engines.kafka.records.receipts import RELAYED
from streams.model.times import SECOND
from streams.services.intake import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agents_registry.steps import Steps
    from enforcement.receipts import Sign
    from streams.engines.kafka.client.publisher import Publisher
    from streams.engines.kafka.relay.fed_log import RelayedLog
    from streams.services.feed_ports import ReceiptSender
    from streams.settings.kafka import KafkaSettings
    from streams.stages.closure.closure import Registration
    from streams.stages.closure.guard_names import Bearer, GuardNames

GATHER_SECONDS: Final = 0.01
LOOK_SECONDS: Final = 0.1
PATIENCE: Final = 4 * SECOND  # a guard of a longer lease is asked to come anew

log = structlog.get_logger()


@frozen
class Signing:
    """With what a relay vouches for its guards.

    Attributes:
        name: of its key, as the settings of closure have it.
    """

    name: str
    sign: Sign


@frozen
class _Said:
    """What a guard said last.

    Attributes:
        applied: log and position, where it says one.
        sent_at: by its clock, or else the relay's (ns).
    """

    status: str
    instance: str
    sequence: int
    applied: tuple[str, int] = ("", 0)
    sent_at: int = 0


@define(eq=False)
class _Member:
    """A guard whose registration was acknowledged.

    Attributes:
        instance: tells its process from others of that name.
        since: when the first acknowledgement came of those that followed one another.
        until: when the last one is too old (ns).
        doubts: of the standing then.
        applied: position of the last receipt that was written, and when (ns).
        coming: what is to be written.
        parted: it is connected no more.
    """

    terms: Registration
    instance: str
    since: int
    until: int
    doubts: int
    applied: int = 0
    written_at: int = 0
    coming: _Said | None = None
    parted: bool = False


class RelayedRoll:
    """Who is registered over this relay, in one realm; `run` writes receipts.

    Attributes:
        failing_since: no receipt was acknowledged since then (s, of the loop).
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        publisher: Publisher,
        followed: RelayedLog,
        names: GuardNames,
        clocks: tuple[Callable[[], int], Callable[[], int]],
        signing: Signing | None = None,
    ) -> None:
        """Set up.

        Args:
            kafka: the cluster and the layout.
            publisher: writes the receipts.
            followed: the realm's log.
            names: which credential has which name.
            clocks: give the time, and that of a clock that nobody sets (ns).
            signing: without one receipts are not signed.
        """
        self.departed: list[Callable[[str], None]] = []
        self.names = names
        self._topic = kafka.topic(RECEIPTS)
        self._publisher = publisher
        self._log = followed
        self._clock, self._boottime = clocks
        self._signing = signing
        self._codec = in_force()
        self._members: dict[str, _Member] = {}
        self._news = asyncio.Event()
        self.failing_since: float | None = None

    def lease(self, guard: str) -> int:
        """Lease that a guard registered (ns); 0 where it did not over this relay."""
        member = self._members.get(guard)
        return 0 if member is None else member.terms.lease

    def since(self, guard: str) -> int | None:
        """Time since which a guard is a member without a break."""
        member = self._members.get(guard)
        stands = member is not None and self._stands(member, self._boottime())
        return member.since if member is not None and stands else None

    async def register(
        self, terms: Registration, bearer: Bearer, sender: ReceiptSender
    ) -> None:
        """Make a guard a member; on return that is acknowledged.

        Raises:
            NameRefusedError: the name is another credential's.
            NotWrittenError: it is not acknowledged in time.
        """
        guard = terms.guard
        self.names.bind(guard, bearer, self._members.keys())
        known = self._members.get(guard)
        if known is not None:
            known.coming = None  # an older process's, or an older receipt
        said = _Said("registered", sender.instance, sender.sequence)
        sent, doubts = self._boottime(), self._log.standing.doubts
        try:
            await self._write([(terms, said)])
        except NotAckedError as error:
            raise NotWrittenError(str(error)) from error
        # Closure knows it from now on: only an end that is asked for later serves.
        since, until = self._boottime(), _until(sent, terms)
        if known is not None and self._is_same(known, terms, sender, sent):
            since = known.since
        instance = sender.instance
        self._members[guard] = _Member(
            terms, instance, since, until, doubts, written_at=sent
        )

    def heard(self, guard: str) -> None:
        """Take no note: closure hears receipts."""

    def applied(
        self, sender: ReceiptSender, genesis: str, offset: int, sent_at: int | None
    ) -> None:
        """Take what a guard applied; of another log, or beyond its end, it is void."""
        member = self._members.get(sender.guard)
        if member is None or genesis != self._log.genesis or offset > self._log.end:
            return
        at = self._clock() if sent_at is None else sent_at
        applied = genesis, offset
        member.coming = _Said("applied", sender.instance, sender.sequence, applied, at)
        if self._is_due(member, self._boottime()):
            self._news.set()

    def leave(self, sender: ReceiptSender) -> None:
        """Let a guard go; it stays in the topic until that is written."""
        member = self._members.get(sender.guard)
        if member is not None:
            member.coming = _Said("goodbye", sender.instance, sender.sequence)
            self._news.set()

    def parted(self, guard: str) -> None:
        """Note that a guard is connected no more; closure waits for it as it must."""
        if (member := self._members.get(guard)) is not None:
            member.parted = True

    async def run(self) -> None:
        """Write receipts until cancelled."""
        while True:
            self._news.clear()
            await self.flush()
            self._part()
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(GATHER_SECONDS)  # many guards apply the same fact

    async def flush(self) -> None:
        """Write what is due, and take note of what is acknowledged."""
        now, doubts = self._boottime(), self._log.standing.doubts
        due = [m for m in self._members.values() if self._is_due(m, now)]
        said = [(member, member.coming) for member in due]
        for member in due:
            member.coming = None
        try:
            await self._write((m.terms, each) for m, each in said if each is not None)
        except NotAckedError as error:
            log.warning("receipts_not_written", error=str(error), count=len(said))
            if self.failing_since is None:
                self.failing_since = asyncio.get_running_loop().time()
            return
        if said:
            self.failing_since = None
        acked = self._boottime()
        for member, each in said:
            if each is None:
                continue
            if each.status == "goodbye":
                self._forget(member)
                continue
            if not self._stands(member, now):
                member.since = acked
            member.until, member.doubts = _until(now, member.terms), doubts
            member.applied, member.written_at = each.applied[1], now

    def _stands(self, member: _Member, now: int) -> bool:
        return now < member.until and member.doubts == self._log.standing.doubts

    def _is_same(
        self, known: _Member, terms: Registration, sender: ReceiptSender, now: int
    ) -> bool:
        """Whether a guard only connected anew, under the same terms."""
        same = known.terms == terms and known.instance == sender.instance
        return same and self._stands(known, now)

    def _is_due(self, member: _Member, now: int) -> bool:
        coming = member.coming
        if coming is None:
            return False
        covers = member.applied < min(coming.applied[1], self._log.replica.facts_end)
        silent = now - member.written_at >= member.terms.lease // 2
        late = silent or not self._stands(member, now)
        return coming.status == "goodbye" or covers or late

    def _part(self) -> None:
        """Forget who is gone; have those come anew that would not report for long."""
        now = self._boottime()
        for guard, member in list(self._members.items()):
            if self._stands(member, now):
                continue
            rare = member.terms.lease > PATIENCE and member.applied
            if member.parted or rare:
                self._forget(member)
                for told in self.departed:
                    told(guard)

    def _forget(self, member: _Member) -> None:
        guard = member.terms.guard
        if self._members.get(guard) is member:
            del self._members[guard]

    async def _write(self, said: Iterable[tuple[Registration, _Said]]) -> None:
        if records := await in_turns(self._records(said)):
            await self._publisher.publish(self._topic, records)

    def _records(
        self, said: Iterable[tuple[Registration, _Said]]
    ) -> Steps[list[list[Outgoing]]]:
        """Encode and sign: thousands of guards apply the same fact at the same time."""
        made = []
        for terms, each in said:
            made.append([self._record(terms, each)])
            yield
        return made

    def _record(self, terms: Registration, said: _Said) -> Outgoing:
        signing, realm = self._signing, self._log.realm
        genesis, applied = said.applied
        record: dict[str, Any] = {
            "realm": realm,
            "guard": terms.guard,
            "instance": said.instance,
            "lease": terms.lease,
            "mode": terms.mode.value,
            "live_sessions": terms.live_sessions,
            "routes": list(terms.routes),
            "status": said.status,
            "partition": self._log.partition,
            "genesis": genesis,
            "applied": applied,
            "sequence": said.sequence,
            "sent_at": said.sent_at or self._clock(),
            "key_id": "" if signing is None else RELAYED + signing.name,
            "signature": b"",
        }
        sign = None if signing is None else signing.sign
        value = signed_record(self._codec.encode("receipt", record), sign)
        key = f"{realm}/{terms.guard}".encode()
        partition = self._log.partition
        return Outgoing(partition=partition, key=key, value=value, headers=())


def _until(sent: int, terms: Registration) -> int:
    return sent + REGISTERED_LEASES * terms.lease
