"""The table beside the log: what a restart takes from it, and when it must not."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from agents_registry.death import death
from agents_registry.facts import (
    Cause,
    Distrust,
    Effect,
    Lift,
    Node,
    OwnerSet,
    fact_id,
)
from agents_registry.identifiers import VOCABULARY, Identifier
from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.engines.embedded import kept_table
from streams.engines.embedded.data_folder import FILE
from streams.engines.embedded.store import Store
from streams.pipeline import table_file
from streams.stages.access.uses import AccessEvent
from tests.integration.serving import until
from tests.integration.test_stages_loop import (
    COMMON,
    TOKEN,
    TOP,
    S,
    append,
    looping,
    revoke,
    show,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.facts import Fact
    from agents_registry.inventory import Row
    from streams.engines.embedded.reading import Stored
    from streams.engines.embedded.stages import Stages

pytestmark = pytest.mark.integration

KNOWN: Final = Node(node=TOP, **COMMON)
OTHER: Final = Node(node=TOKEN, **COMMON)
PRUNED: Final = "DELETE FROM recent_facts WHERE offset = 0"


@pytest.fixture(autouse=True)
def _keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the file written after each fact."""
    monkeypatch.setattr(kept_table, "KEEP_AFTER", 1)


async def keep(folder: Path, *facts: Fact) -> Path:
    """Write facts into a folder's log, with the table that they make beside it."""
    async with looping(folder) as (store, stages):
        if facts:
            await append(store, *facts)
        await kept(store, stages)
    return folder / kept_table.FILE


async def kept(store: Store, stages: Stages) -> None:
    """Wait until the file has all that the log holds."""
    path = store.path.with_name(kept_table.FILE)

    def whole() -> bool:
        file = table_file.read(path, store.genesis, dict(VOCABULARY))
        writing = stages.kept._writing
        if file is None or (writing is not None and not writing.done()):
            return False
        return bool(file.about["position"] == store.end)

    await until(whole)
    assert stages.kept.position == store.end


async def restarted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Registry, int]:
    """Start once more; give the table, and the first fact that was read for it."""
    read: list[int] = []
    wrapped = Store.facts

    async def reading(self: Store, start: int, limit: int) -> list[Stored]:
        read.append(start)
        return await wrapped(self, start, limit)

    monkeypatch.setattr(Store, "facts", reading)
    async with looping(folder) as (store, stages):
        assert stages.applied == store.end
        return stages.registry, min(read, default=store.end)


def rows(registry: Registry) -> list[Row]:
    """Give what a table says."""
    return table(registry, 9 * S)


def run(folder: Path, *texts: str) -> None:
    """Change a log by hand."""
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        for text in texts:
            db.execute(text)


async def test_a_restart_merges_what_came_after_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All below is in the table of the file, with owners and acceptances."""
    owned = OwnerSet(node=TOKEN, owners=(TOP,), **COMMON)
    await keep(tmp_path, KNOWN, OTHER, owned, revoke())
    monkeypatch.setattr(kept_table, "KEEP_AFTER", 100)
    late = Node(node=Identifier("jwt.jti", "late"), **COMMON)
    async with looping(tmp_path) as (store, stages):
        before = stages.realm.accepted, stages.realm.known.turns()
        await append(store, late)
        await until(lambda: stages.applied == 5)

    registry, first = await restarted(tmp_path, monkeypatch)
    assert 4 == first
    assert rows(Registry.build([KNOWN, OTHER, owned, revoke(), late])) == rows(registry)
    accepted, turns = before
    assert {fact_id(revoke()).hex()} == accepted.keys()
    assert (0, 0, [(*TOKEN, 3)]) == turns


@pytest.mark.parametrize("restart", [False, True])
async def test_a_late_line_is_judged_as_without_a_restart(
    tmp_path: Path, *, restart: bool
) -> None:
    """A guard was right that had applied the lift of a key distrusted since."""
    suspend = Cause(target=TOP, effect=Effect.SUSPEND, at=S, **COMMON)
    later = COMMON | {"version": 2 * S, "received_at": 2 * S}
    lift = Lift(target=TOP, ingress_key="stolen", **later)
    distrust = Distrust(
        authority="operators", version=3 * S, received_at=3 * S, suspect="a",
        suspect_key="stolen", received_from=0, received_to=2 * S,
    )  # fmt: skip
    line = AccessEvent((TOP,), "door", "allowed", 3 * S, "e", applied=3)

    async def judged(store: Store, stages: Stages) -> None:
        assert death(stages.registry, TOP) is not None
        stages.sentinel.points.registered("door", S, enforces=True)
        await show(store, line)
        await until(lambda: stages.judged == 1 and stages.idle)
        assert ["enforcement_lag"] == [kind.value for kind in stages.tally.opened]

    async with looping(tmp_path) as (store, stages):
        await append(store, KNOWN, suspend, lift)
        await until(lambda: stages.applied == 3 and stages.idle)
        assert death(stages.registry, TOP) is None
        await append(store, distrust)
        await kept(store, stages)
        if not restart:
            await judged(store, stages)
    if restart:
        async with looping(tmp_path) as (store, stages):
            assert stages.kept.position == 4
            await judged(store, stages)


async def test_what_was_not_listed_is_listed_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that holds a cause says nothing of who was told of it."""
    await keep(tmp_path, KNOWN, revoke())
    run(tmp_path, "DELETE FROM invalidations", "UPDATE positions SET position = 1"
        " WHERE stage = 'registry'")  # fmt: skip

    async with looping(tmp_path) as (store, stages):
        await until(lambda: stages.idle)
        listed = "SELECT identifier FROM invalidations"
        assert [(str(TOP),)] == store.read_now(listed)


async def test_what_was_taken_back_is_not_kept(tmp_path: Path) -> None:
    """A table that is to be built anew would be taken for the right one."""
    async with looping(tmp_path) as (store, stages):
        await append(store, KNOWN)
        await kept(store, stages)
        stages.kept.position = 0
        assert stages.kept.due(stages.facts, calm=True)
        stages.registry.needs_rebuild = True
        assert not stages.kept.due(stages.facts, calm=True)


async def test_code_without_a_name_keeps_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled modules alone do not tell one version from another."""
    async with looping(tmp_path) as (store, stages):
        await append(store, KNOWN)
        await kept(store, stages)
        stages.kept.position = 0
        assert stages.kept.due(stages.facts, calm=True)
        monkeypatch.setattr(table_file, "CODE", None)
        assert not stages.kept.due(stages.facts, calm=True)


async def test_an_import_is_not_written_again_and_again(tmp_path: Path) -> None:
    """A file has all names, so while facts come in it waits for more of them."""
    names = [Identifier("jwt.jti", f"t{number}") for number in range(100)]
    async with looping(tmp_path) as (store, stages):
        await append(store, *(Node(node=name, **COMMON) for name in names))
        await kept(store, stages)
        stages.kept.position = stages.facts.position - 10

        assert stages.kept.due(stages.facts, calm=True)
        assert not stages.kept.due(stages.facts, calm=False)


@pytest.mark.parametrize("name", ["pack", "write", "read"])
async def test_a_file_holds_no_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However long it takes to make, to write or to read: threads do that."""
    quick = getattr(table_file, name)
    whose: set[int] = set()

    def noted(*args: object, **said: object) -> object:
        whose.add(threading.get_ident())
        return quick(*args, **said)

    await keep(tmp_path, KNOWN)
    monkeypatch.setattr(table_file, name, noted)
    async with looping(tmp_path) as (store, stages):
        await append(store, OTHER)
        await until(lambda: stages.kept.position == 2 and whose)
    assert whose
    assert threading.get_ident() not in whose


def changed(file: Path) -> None:
    """Have a cause say something else, as a disk may."""
    content = file.read_bytes()
    assert content.count(b'"revoke"') == 1
    file.write_bytes(content.replace(b'"revoke"', b'"narrow"'))


def cut_off(file: Path) -> None:
    """Take the last bytes away."""
    file.write_bytes(file.read_bytes()[:-1])


def emptied(file: Path) -> None:
    """Take all bytes away."""
    file.write_bytes(b"")


@pytest.mark.parametrize("harm", [changed, cut_off, emptied])
async def test_a_damaged_file_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], None]
) -> None:
    """The checksum covers all of it; the facts make the table instead."""
    harm(await keep(tmp_path, KNOWN, revoke()))

    registry, first = await restarted(tmp_path, monkeypatch)
    assert 0 == first
    assert death(registry, TOP) is not None


async def test_a_file_of_another_version_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other rules may make another table of the same facts."""
    await keep(tmp_path, KNOWN, revoke())
    monkeypatch.setattr(table_file, "CODE", "of another version")

    _, first = await restarted(tmp_path, monkeypatch)
    assert 0 == first


async def test_a_file_of_another_genesis_is_left(tmp_path: Path) -> None:
    """A restored log has one of its own."""
    path = await keep(tmp_path, KNOWN)

    assert table_file.read(path, "g", dict(VOCABULARY)) is not None
    assert table_file.read(path, "another", dict(VOCABULARY)) is None


async def test_a_file_of_other_facts_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many facts of the same log, put back and written on otherwise."""
    await keep(tmp_path / "log", KNOWN, revoke())
    file = await keep(tmp_path / "other", KNOWN, OTHER)
    shutil.copy(file, tmp_path / "log")

    registry, first = await restarted(tmp_path / "log", monkeypatch)
    assert 0 == first
    assert death(registry, TOP) is not None


async def test_a_file_ahead_of_the_log_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older copy of the log was put back by hand: what it lost is not known."""
    await keep(tmp_path / "old", KNOWN)
    file = await keep(tmp_path / "new", KNOWN, revoke())
    shutil.copy(file, tmp_path / "old")

    registry, first = await restarted(tmp_path / "old", monkeypatch)
    assert 0 == first
    assert death(registry, TOP) is None


async def test_what_was_pruned_since_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file from before would keep it for ever."""
    await keep(tmp_path, OTHER, KNOWN)
    run(tmp_path, PRUNED, "INSERT INTO audit_pruned VALUES (1, x'7b7d')")

    registry, first = await restarted(tmp_path, monkeypatch)
    assert 0 == first
    assert [TOP] == [row.identifier for row in rows(registry)]


async def test_what_is_pruned_below_a_table_is_forgotten_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the table of the process that runs, and so in each of its files."""
    late = Identifier("jwt.jti", "late")
    async with looping(tmp_path) as (store, stages):
        await append(store, OTHER, KNOWN)
        await kept(store, stages)
        run(tmp_path, PRUNED, "INSERT INTO audit_pruned VALUES (1, x'7b7d')")
        await append(store, Node(node=late, **COMMON))
        await kept(store, stages)

    registry, first = await restarted(tmp_path, monkeypatch)
    assert 0 == first
    assert {TOP, late} == {row.identifier for row in rows(registry)}


async def test_a_file_that_cannot_be_written_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it all."""
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()

    def full(path: Path, content: object) -> None:
        loop.call_soon_threadsafe(tried.set)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table_file, "write", full)
    async with looping(tmp_path) as (store, stages):
        await append(store, KNOWN)
        await tried.wait()
        await append(store, revoke())
        await until(lambda: death(stages.registry, TOP) is not None)
    assert not (tmp_path / kept_table.FILE).exists()
