"""What each adapter of the ports must do: the same cases for every engine.

A module of an engine's tier subclasses the cases and gives them its ``backend``.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from attrs import field, frozen

from agents_registry.facts import HOUR, Cause, Effect, Fact, Node
from agents_registry.flaws import flaws_of
from agents_registry.identifiers import Identifier
from agents_registry.lineage import NONE
from agents_registry.registry import Registry
from schemas.entries import Act
from streams.model.findings import Finding, FindingKind, Severity
from streams.model.records import DeadLetter
from streams.ports.fact_log import Encoded, FactLog, LogBatch, NotWrittenError
from streams.ports.findings_log import DeadLetterLog, ListedFinding, SearchedFindings
from streams.ports.keyed_store import KeyedStore, Put
from streams.ports.table_reader import (
    Table,
    TableAwayError,
    TableReader,
    UnknownRealmError,
)
from streams.services.intake import encode
from streams.services.status_entries import StatusEntries
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.admission import Admission
from streams.stages.ingest.ingress import Origin
from streams.stages.sentinel.episode import Episode
from streams.stages.status.status_list import StatusEntry
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

REALM = "r"
NOW = 500_000 * HOUR
ORIGIN = Origin("okta", REALM, NOW, "okta-hook")
NAMES = ("plain", "a/b", "a/b/c", "über ✓", " ", "%2F", "'")
SMALL = b'{"at":1}'


@frozen
class Process:
    """The adapters of one process."""

    kept: KeyedStore
    log: FactLog
    findings: SearchedFindings
    letters: DeadLetterLog


class Backend(Protocol):
    """Where an engine keeps its data."""

    def process(self) -> AbstractAsyncContextManager[Process]:
        """Run one process; a second one at the same time only where that is meant."""
        ...

    def peer(self, one: Process) -> AbstractAsyncContextManager[Process]:
        """Run another process beside one; itself, where there can be one alone."""
        ...

    def failing(self) -> AbstractContextManager[None]:
        """Let nothing become durable meanwhile."""
        ...

    async def tell(self, process: Process, episodes: Sequence[Episode]) -> None:
        """Write findings as the stages do, in this order."""
        ...

    async def write_held(self, process: Process) -> None:
        """Write the repeats of dead letters that a process held back."""
        ...

    async def bodies(self) -> dict[tuple[str, str], bytes]:
        """Read what is durable under kinds and names, past the adapters."""
        ...

    async def entries(self) -> list[str]:
        """List what is durable in the log: keys of facts, and ``act``, in order."""
        ...

    async def uses(self) -> int:
        """Count the accesses that are durable."""
        ...


class KeyedStoreCases:
    """Contract of `KeyedStore`."""

    async def test_what_was_put_is_durable_at_once(self, backend: Backend) -> None:
        """Whatever its name; what was forgotten is gone as soon."""
        async with backend.process() as process:
            for name in NAMES:
                await process.kept.put("cursor", name, SMALL)
                assert ("cursor", name) in await backend.bodies()
            await process.kept.forget("cursor", "plain")
            assert ("cursor", "plain") not in await backend.bodies()

    async def test_a_new_process_finds_what_the_last_one_left(
        self, backend: Backend
    ) -> None:
        """The last body of each name, and none that was forgotten."""
        async with backend.process() as process:
            for name in NAMES:
                await process.kept.put("cursor", name, SMALL)
            for number in range(20):
                await process.kept.put("cursor", "a/b", b"%d" % number)
            await process.kept.put("silence", "a/b", SMALL)
            await process.kept.forget("cursor", "plain")

        async with backend.process() as process:
            wanted = dict.fromkeys(NAMES[2:], SMALL) | {"a/b": b"19"}
            assert process.kept.items("cursor") == wanted
            assert process.kept.items("silence") == {"a/b": SMALL}
            assert process.kept.get("cursor", "plain") is None

    async def test_whoever_follows_hears_all_in_order(self, backend: Backend) -> None:
        """What is there first, then each write; a repeated one changes nothing."""
        heard: list[tuple[str, bytes | None]] = []
        async with backend.process() as process:
            await process.kept.put("cursor", "before", SMALL)
            await process.kept.catch_up()
            process.kept.follow("cursor", lambda *one: heard.append(one))
            for body in (b"1", b"2", b"2"):
                await process.kept.put("cursor", "x", body)
                await process.kept.put("silence", "x", SMALL)
            await process.kept.forget("cursor", "x")
            await process.kept.forget("cursor", "x")
            await process.kept.catch_up()

            assert heard[:4] == [
                ("before", SMALL), ("x", b"1"), ("x", b"2"), ("x", b"2")
            ]  # fmt: skip
            assert {*heard[4:]} == {("x", None)}
            assert process.kept.items("cursor") == {"before": SMALL}

    async def test_who_caught_up_knows_what_others_wrote(
        self, backend: Backend
    ) -> None:
        """Also what was forgotten by then."""
        async with backend.process() as one, backend.peer(one) as other:
            for number in range(5):
                await one.kept.put("pending", f"p{number}", SMALL)
                await other.kept.catch_up()
                assert other.kept.get("pending", f"p{number}") == SMALL
            await other.kept.forget("pending", "p0")
            await one.kept.catch_up()
            assert one.kept.get("pending", "p0") is None

    async def test_what_was_refused_is_neither_durable_nor_known(
        self, backend: Backend
    ) -> None:
        """A patient write waits until there is room."""
        async with backend.process() as process:
            await process.kept.put("cursor", "x", b"1")
            with backend.failing():
                with pytest.raises(NotWrittenError):
                    await process.kept.put("cursor", "x", b"2")
                with pytest.raises(NotWrittenError):
                    await process.kept.forget("cursor", "x")
                put = process.kept.put("cursor", "y", b"1", patient=True)
                patient = asyncio.create_task(put)
                await asyncio.wait([patient], timeout=0.1)
                assert not patient.done()
            await patient
            await process.kept.catch_up()
            assert process.kept.items("cursor") == {"x": b"1", "y": b"1"}
            assert await backend.bodies() == {
                ("cursor", "x"): b"1", ("cursor", "y"): b"1"
            }  # fmt: skip


def encoded(log: FactLog, *names: str, at: int = NOW) -> list[Encoded]:
    """Encode a node and a cause of each name, as one event."""
    facts: list[Fact] = []
    for name in names:
        node = Identifier("vault.accessor", name)
        common: dict[str, Any] = {"authority": "okta", "version": 1}
        common |= {"received_at": at, "event_id": f"e-{name}"}
        facts.append(Node(node=node, **common))
        facts.append(Cause(target=node, effect=Effect.REVOKE, at=at, **common))
    return encode(facts, ORIGIN, Admission(), log.key)


def a_use() -> AccessEvent:
    """Make one use."""
    return AccessEvent(
        (Identifier("vault.accessor", "a"),), "api", "allowed", NOW, "e1"
    )


class FactLogCases:
    """Contract of `FactLog`."""

    async def test_what_was_appended_is_durable_before_the_token(
        self, backend: Backend
    ) -> None:
        """Each entry lies before the offset that the token names."""
        async with backend.process() as process:
            before = int(process.log.written(REALM).rpartition(":")[2])
            facts = encoded(process.log, "a", "b")
            also = [Put("cursor", "okta", SMALL), Put("cursor", "gone", None)]
            batch = LogBatch(
                name="n1", origin=ORIGIN, facts=facts, accesses=[a_use()], also=also
            )
            appended = await process.log.append(batch)

            assert [each.key for each in facts] == await backend.entries()
            assert {("cursor", "okta"): SMALL} == await backend.bodies()
            assert 1 == await backend.uses()
            assert appended.facts == len(facts)
            assert appended.token == process.log.written(REALM)
            end = int(appended.token.rpartition(":")[2])
            assert end - before >= len(facts)

    async def test_what_stands_behind_facts_finds_them(self, backend: Backend) -> None:
        """At the moment that a cursor is heard of, the log goes as far as the token."""
        seen: list[str] = []
        async with backend.process() as process:
            process.kept.follow(
                "cursor", lambda *_: seen.append(process.log.written(REALM))
            )
            for name in ("a", "b", "c"):
                facts = encoded(process.log, name)
                also = [Put("cursor", "okta", name.encode())]
                batch = LogBatch(name=name, origin=ORIGIN, facts=facts, also=also)
                appended = await process.log.append(batch)
                await process.kept.catch_up()
                assert appended.token == seen[-1]
        assert len(seen) == 3

    async def test_who_did_it_stands_behind_what_was_done(
        self, backend: Backend
    ) -> None:
        """An act alone is an entry too."""
        async with backend.process() as process:
            facts = encoded(process.log, "a")
            act = Act(realm=REALM, at=NOW, actor="ann", action="revoked a", facts=["f"])
            await process.log.append(
                LogBatch(name="n1", origin=ORIGIN, facts=facts, acts=[act])
            )
            await process.log.append(LogBatch(name="n2", origin=ORIGIN, acts=[act]))

            keys = [each.key for each in facts]
            assert [*keys, "act", "act"] == await backend.entries()

    async def test_a_batch_that_comes_again_changes_no_table(
        self, backend: Backend
    ) -> None:
        """After a restart neither; a later one goes on from there."""
        tokens: list[str] = []
        facts: list[Encoded] = []
        for _ in range(2):
            async with backend.process() as process:
                facts = encoded(process.log, "a")
                also = [Put("cursor", "okta", SMALL)]
                batch = LogBatch(name="n1", origin=ORIGIN, facts=facts, also=also)
                tokens += [(await process.log.append(batch)).token for _ in range(2)]
        async with backend.process() as process:
            more = encoded(process.log, "b")
            last = await process.log.append(
                LogBatch(name="n2", origin=ORIGIN, facts=more)
            )

        keys = [each.key for each in (*facts, *more)]
        assert keys == list(dict.fromkeys(await backend.entries()))
        places = [int(each.rpartition(":")[2]) for each in (*tokens, last.token)]
        assert places == sorted(places)
        assert places[-1] > places[0]
        assert 1 == len({each.rpartition(":")[0] for each in (*tokens, last.token)})

    async def test_whatever_is_refused_is_said(self, backend: Backend) -> None:
        """Each part of a batch, by itself: none of them may get lost silently."""
        act = Act(realm=REALM, at=NOW, actor="ann", action="looked", facts=[])
        async with backend.process() as process:
            for part in (
                {"facts": encoded(process.log, "a")},
                {"accesses": [a_use()]},
                {
                    "signals": [
                        {"kind": "unauthorised", "presented": ["a.b", "c"], "at": NOW}
                    ]
                },
                {"dead_letters": [DeadLetter("okta", 0, 1, "misfit: x")]},
                {"acts": [act]},
                {"also": [Put("cursor", "okta", SMALL)]},
                {"also": [Put("cursor", "okta", None)]},
            ):
                batch = LogBatch(name="n1", origin=ORIGIN, **part)
                with backend.failing(), pytest.raises(NotWrittenError):
                    await process.log.append(batch)
                await process.log.append(batch)

    async def test_what_was_refused_has_left_nothing(self, backend: Backend) -> None:
        """It can be appended then; a patient caller waits until that."""
        async with backend.process() as process:
            facts = encoded(process.log, "a")
            also = [Put("cursor", "okta", SMALL)]
            batch = LogBatch(name="n1", origin=ORIGIN, facts=facts, also=also)
            with backend.failing():
                with pytest.raises(NotWrittenError):
                    await process.log.append(batch)
                assert [] == await backend.entries()
                patient = asyncio.create_task(process.log.append(batch, patient=True))
                await asyncio.wait([patient], timeout=0.1)
                assert not patient.done()
                assert {} == await backend.bodies()
            await patient
            assert [each.key for each in facts] == await backend.entries()
            assert {("cursor", "okta"): SMALL} == await backend.bodies()


def told(name: str, *, is_open: bool = True) -> Episode:
    """Make a finding as it is told."""
    finding = Finding(
        id=name,
        realm=REALM,
        kind=FindingKind.USE_AFTER_REVOCATION,
        severity=Severity.HIGH,
        presented=Identifier("vault.accessor", name),
        point="p",
        first_seen=NOW,
        last_seen=NOW,
        count=1,
        message="m",
    )
    return Episode(finding, 0, NOW, open=is_open)


class FindingsLogCases:
    """Contract of `FindingsLog`."""

    async def test_what_was_told_is_in_the_page_that_is_asked_for_then(
        self, backend: Backend
    ) -> None:
        """However short ago that was; each finding stands at its last change alone."""
        async with backend.process() as process:
            assert ([], 0) == await process.findings.page(0, 9)
            for number in range(5):
                await backend.tell(process, [told("same"), told(f"f{number}")])
                rows, left_out = await process.findings.page(0, 99)
                wanted = [*(f"f{n}" for n in range(number)), "same", f"f{number}"]
                assert (wanted, 0) == ([each.finding.id for each in rows], left_out)
            await backend.tell(process, [told("f1", is_open=False)])
            rows, _ = await process.findings.page(0, 99)

        assert [("f4", True), ("f1", False)] == [
            (each.finding.id, each.open) for each in rows[-2:]
        ]
        assert rows[-1].finding == told("f1").finding

    async def test_a_list_goes_on_where_it_was_left(self, backend: Backend) -> None:
        """Page by page, and in a process that starts later."""
        async with backend.process() as process:
            await backend.tell(process, [told(name) for name in "abcda"])
            whole, _ = await process.findings.page(0, 99)
            pages: list[ListedFinding] = []
            after = 0
            while page := (await process.findings.page(after, 1))[0]:
                pages += page
                after = page[-1].changed
            assert whole == pages
        async with backend.process() as process:
            assert ([], 0) == await process.findings.page(after, 99)
            await backend.tell(process, [told("c")])
            later, _ = await process.findings.page(after, 99)

        assert ["b", "c", "d", "a"] == [each.finding.id for each in whole]
        assert ["c"] == [each.finding.id for each in later]
        assert whole[0].changed < whole[-1].changed < later[0].changed

    async def test_people_look_from_the_newest_change_back(
        self, backend: Backend
    ) -> None:
        """Page by page; a finding is found by its id, and no other is."""
        async with backend.process() as process:
            log = process.findings
            assert [] == [*await log.before(None, 9)]
            assert await log.find("a") is None
            episodes = [*map(told, "abcda"), told("c", is_open=False)]
            await backend.tell(process, episodes)
            whole = [*await log.before(None, 99)]
            pages: list[ListedFinding] = []
            place = None
            while page := await log.before(place, 1):
                pages += page
                place = page[-1].changed
            found = await log.find("c")
            assert (await log.find("x"), await log.find("c/1")) == (None, None)

        oldest, _ = whole[::-1], None
        assert whole == pages
        assert ["c", "a", "d", "b"] == [each.finding.id for each in whole]
        assert found == whole[0]
        assert not found.open
        assert [each.changed for each in oldest] == sorted(e.changed for e in oldest)


class DeadLetterLogCases:
    """Contract of `DeadLetterLog`, of what a `FactLog` wrote."""

    async def test_repeats_of_a_day_are_one_row_that_grows(
        self, backend: Backend
    ) -> None:
        """At its last change, also in a process that starts later."""
        first = DeadLetter("okta", 0, 3, "malformed: x", event_id="e", pieces=2, span=7)
        other = DeadLetter("okta", 0, 3, "malformed: y")
        rows: Sequence[dict[str, Any]] = ()
        async with backend.process() as process:
            for name, letter in (("1", first), ("2", other), ("3", first)):
                batch = LogBatch(name=name, origin=ORIGIN, dead_letters=[letter])
                await process.log.append(batch)
                await backend.write_held(process)
                rows = await process.letters.page(-1, 99)
                assert letter.reason == rows[-1]["reason"], rows
            assert rows == [
                *(one := await process.letters.page(-1, 1)),
                *await process.letters.page(one[-1]["offset"], 99),
            ]
            last = rows[-1]["offset"]
            assert [] == await process.letters.page(last, 99)
            newest = [*await process.letters.newest(last + 1, 99)]
            assert newest == [*rows][::-1]
            assert newest == [
                *await process.letters.newest(last + 1, 1),
                *await process.letters.newest(last, 1),
            ]
            assert [] == [*await process.letters.newest(rows[0]["offset"], 99)]
        async with backend.process() as process:
            assert rows == await process.letters.page(-1, 99)

        wanted = {
            "source": "okta", "authority": "okta", "reason": "malformed: x", "at": NOW,
            "position": 0, "length": 3, "digest": "", "event_id": "e", "count": 4,
            "last_at": NOW, "last_position": 7, "offset": rows[1]["offset"],
        }  # fmt: skip
        assert wanted == rows[1]
        assert [1, 4] == [each["count"] for each in rows]


@frozen
class Tables:
    """The tables of a running process.

    Attributes:
        accept: writes the revocation of an identifier; gives its token.
    """

    reader: TableReader
    accept: Callable[[Identifier], Awaitable[str]]


class TableReaderCases:
    """Contract of `TableReader`."""

    async def test_a_table_holds_all_before_its_token(self, tables: Tables) -> None:
        """It never goes back; and no realm has what is another's."""
        reader, ends = tables.reader, []
        for number in range(3):
            name = Identifier("aws.access_key", f"AKIAEXAMPLE{number:09}")
            genesis, partition, end = (await tables.accept(name)).split(":")

            def read(end: str = end) -> Table | None:
                found = _table(reader)
                if found is None or int(found.as_of.split(":")[2]) < int(end):
                    return None
                return found

            table = await until(read)
            assert [genesis, partition] == table.as_of.split(":")[:2]
            assert table.registry.lineage.find(name) != NONE
            assert flaws_of(table.registry, name, NOW)
            ends.append(int(table.as_of.split(":")[2]))
            assert not _knows(reader, "another", name)
        assert ends == sorted(ends)
        assert [] == list(reader.undeclared(None) or ())


def _table(reader: TableReader, realm: str | None = None) -> Table | None:
    try:
        return reader.table(realm)
    except TableAwayError:
        return None


def _knows(reader: TableReader, realm: str, name: Identifier) -> bool:
    """Whether the table of a realm has a name, of which there may be no table."""
    try:
        found = _table(reader, realm)
    except UnknownRealmError:
        return False
    return found is not None and found.registry.lineage.find(name) != NONE


@frozen
class NoTable:
    """A table of nothing, of one log.

    Attributes:
        genesis: of that log.
    """

    genesis: str = "g1"
    registry: Registry = field(factory=Registry)

    async def catch_up(self) -> str:
        """Be there."""
        return f"{self.genesis}:0:0"


def status_entries(
    process: Process, draws: list[int], name: str, genesis: str = "g1"
) -> StatusEntries:
    """Make what gives indices in a process, which draws these."""
    fresh, drawn = itertools.count(), iter(draws)
    return StatusEntries(
        process.kept,
        NoTable(genesis),
        lambda: NOW,
        lambda: f"{name}{next(fresh)}",
        lambda _: next(drawn),
    )


class StatusEntriesCases:
    """Contract of a keyed store under the status lists."""

    async def test_an_index_is_given_once(self, backend: Backend) -> None:
        """To whoever claims it first, while others do, and after a restart."""
        entry, given = StatusEntry((Identifier("jwt.jti", "t"),), 1), []
        async with backend.process() as one, backend.peer(one) as other:
            first = status_entries(one, [3, 7, 5, 6, 0], "a")
            given.append(await first.give(entry, 2, 64))
            second = status_entries(other, [3, 7, 5, 1, 2], "b")
            await second.catch_up()
            async with asyncio.TaskGroup() as tasks:
                at_once = [
                    tasks.create_task(each.give(entry, 2, 64))
                    for each in (first, second, first, second)
                ]
            given += [each.result() for each in at_once]
        async with backend.process() as last:
            later = status_entries(last, [*(each.idx for each in given), 9], "c")
            await later.catch_up()
            given.append(await later.give(entry, 2, 64))
            (known,) = await later.lists()

        assert {known.name} == {each.list for each in given}
        assert len(given) == len({each.idx for each in given}) == 6

    async def test_indices_are_not_given_in_a_list_of_another_log(
        self, backend: Backend
    ) -> None:
        """What was given since a backup is not known any more."""
        entry = StatusEntry((Identifier("jwt.jti", "t"),), 1)
        async with backend.process() as process:
            before = await status_entries(process, [3], "a").give(entry, 2, 64)
        async with backend.process() as process:
            restored = status_entries(process, [3], "b", genesis="g2")
            await restored.catch_up()
            after = await restored.give(entry, 2, 64)
            known = {each.name for each in await restored.lists()}

        assert before.list != after.list
        assert {before.list, after.list} == known
