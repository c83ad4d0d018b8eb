"""What an agent puts where its readers look, and when."""

from __future__ import annotations

import asyncio
import fcntl
import pathlib
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.clearance import GENERATION as GENERATIONS
from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    Lift,
    Node,
    Renewal,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import judge
from enforcement.shared import publishing, writing
from enforcement.shared.agent import Agent, LookAhead
from enforcement.shared.guard import SharedGuard
from enforcement.shared.layout import CHANGES, DEADLINE, NAMES, SharedFile, put
from enforcement.shared.publishing import SharedReplica, SharedStanding
from enforcement.shared.writing import TableWriter
from enforcement.verdict import Lapse, Mode
from tests.unit.test_shared_table import AGENT, NOW, SECOND, TOKEN, said, suspended

if TYPE_CHECKING:
    from pathlib import Path

    from agents_registry.facts import Fact

BORN = (
    said(Node, 0, node=AGENT),
    said(Node, 0, node=TOKEN),
    said(Edge, 0, child=TOKEN, parent=AGENT),
)


class Fed:
    """A standing that is fed by hand, and a reader."""

    def __init__(self, path: Path, name: str = "host") -> None:
        self.now = 0
        self.path = path
        self.standing = SharedStanding(
            path, name, Mode.FAIL_CLOSED, SECOND, lambda: self.now
        )
        self.standing.time = lambda: NOW + self.now
        self.guard = SharedGuard(path, clock=lambda: self.now)

    async def begin(self, genesis: str, position: int, *facts: Fact) -> SharedReplica:
        """Feed a whole table; give its replica once it is in force."""
        replica = self.standing.begin()
        assert isinstance(replica, SharedReplica)
        replica.adopt(genesis, position, Registry.build([*BORN, *facts]), None)
        while not self.standing.offer(replica):
            assert self.standing.replica is not replica
            await asyncio.sleep(0)
        return replica

    @property
    def files(self) -> int:
        """Count the files, whatever names they have."""
        return len({file.stat().st_ino for file in self.path.parent.iterdir()})

    def prove(self, end: int) -> None:
        """Have the server say how long its log is."""
        replica, seq = self.standing.replica, self.standing.ping()
        assert replica.genesis is not None
        self.standing.pong(replica, seq, replica.genesis, end, 1000)


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fed:
    """Give a standing without a table."""
    monkeypatch.setattr(writing, "SPARE_NAMES", 4096)
    return Fed(tmp_path / "table")


async def test_a_lease_is_of_what_readers_see(fed: Fed) -> None:
    """Of what is written, and not of what is known to come."""
    replica = await fed.begin("g", 5)
    assert fed.guard.check(TOKEN).reason is Lapse.NOT_CAUGHT_UP
    fed.prove(6)
    assert not fed.guard.check(TOKEN).allowed
    fed.prove(5)
    assert fed.guard.check(TOKEN).allowed
    assert fed.guard.check(TOKEN, at_least="g:0:6").reason is Lapse.NOT_YET_APPLIED

    replica._apply(suspended(AGENT, 1), 5)
    replica.position = 6
    fed.standing.refresh()
    assert fed.guard.check(TOKEN, at_least="g:0:6").cause is not None
    fed.now = SECOND
    assert fed.guard.check(AGENT).stale


async def test_a_condemned_table_has_no_lease(fed: Fed) -> None:
    """Readers deny at once where the agent does."""
    await fed.begin("g", 5)
    fed.prove(5)
    fed.standing.condemn(forget=False)
    assert fed.guard.check(TOKEN).reason is Lapse.NO_LEASE
    fed.standing.condemn(forget=True)
    assert fed.guard.check(TOKEN).reason is Lapse.NOT_CAUGHT_UP


async def test_what_a_log_that_is_gone_denied_stays_denied(fed: Fed) -> None:
    """Its file is kept beside, and by nobody once the agent ended."""
    await fed.begin("g", 5, suspended(AGENT, 1))
    fed.prove(5)
    assert fed.guard.check(TOKEN).reason.value == "suspended"
    fed.standing.meet("h")
    await fed.begin("h", 1)
    fed.prove(1)

    assert fed.guard.check(TOKEN).reason.value == "suspended"
    assert SharedGuard(fed.path, clock=lambda: 0).check(str(TOKEN)).cause is not None
    Fed(fed.path, "next")
    assert fed.files == 2
    fed.standing.close()
    Fed(fed.path)
    assert [fed.path] == [*fed.path.parent.iterdir()]


async def test_what_a_log_that_is_gone_narrowed_outlives_its_expiry(fed: Fed) -> None:
    """Expired is no cause, and would hide the narrow behind it."""
    narrow = said(
        Cause, 1, target=TOKEN, effect=Effect.NARROW, at=NOW, scopes=("api|read",)
    )
    expiry = said(Renewal, 1, node=TOKEN, expires_at=NOW + SECOND)
    await fed.begin("g", 5, narrow, expiry)
    fed.prove(5)
    fed.standing.meet("h")
    await fed.begin("h", 1)
    fed.now = SECOND
    fed.prove(1)

    assert fed.guard.check(TOKEN, scope="api|write").reason.value == "narrowed"
    assert fed.guard.check(TOKEN, scope="api|read").allowed


async def test_a_table_that_is_built_anew_costs_no_lease(fed: Fed) -> None:
    """The old one is written to until the new one is whole, and both say the same."""
    old = await fed.begin("g", 5, suspended(AGENT, 1))
    fed.prove(5)
    successor = old.successor()
    facts = [*BORN, suspended(AGENT, 1)]
    successor.adopt("g", 5, Registry.build(facts), None)
    assert not fed.standing.offer(successor)
    fed.standing.refresh()
    lift = said(Lift, 2, target=AGENT)
    for replica in (old, successor):
        replica._apply(lift, 5)
        replica.position = 6
    fed.standing.refresh()
    assert fed.guard.check(TOKEN).reason.value == "lives"
    withdrawn = said(
        Withdraw, 3, fact_id=fact_id(lift).hex(), kind="lift", target=AGENT
    )
    for replica in (old, successor):
        replica._apply(withdrawn, 6)
    while not fed.standing.offer(successor):  # noqa: ASYNC110 - as frames come
        await asyncio.sleep(0)
    assert fed.guard.check(TOKEN).reason.value == "suspended"
    assert old.writers[0].file.words[DEADLINE] == 0


async def test_a_file_that_fills_up_is_replaced(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lapse, and with all that came meanwhile."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    before = replica.writers[0]
    monkeypatch.setattr(publishing, "LITTLE_ROOM", 1.0)
    fed.standing.offer(replica)
    assert len(replica.writers) == 2
    monkeypatch.setattr(publishing, "LITTLE_ROOM", 0.0)
    while replica.writers[0] is before:
        await asyncio.sleep(0)
        fed.standing.offer(replica)
        assert fed.guard.check(TOKEN).allowed
    replica._apply(suspended(AGENT, 1), 5)
    assert fed.guard.check(TOKEN).reason.value == "suspended"
    assert fed.files == 1


async def test_without_room_there_is_no_lease_until_there_is(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact that cannot be written ends what readers may do by the table."""
    replica = await fed.begin("g", 5)
    fed.prove(5)

    with monkeypatch.context() as patch:
        patch.setattr(SharedFile, "reserve", full)
        replica._apply(suspended(AGENT, 1), 5)
        fed.standing.refresh()
        assert not fed.guard.check(TOKEN).allowed
        fed.standing.offer(replica)
        fed.standing.refresh()
        assert not fed.guard.check(TOKEN).allowed
    fed.standing.offer(replica)
    assert len(replica.writers) == 1  # it found no room a moment ago
    fed.now = publishing.RETRY
    fed.standing.offer(replica)
    while replica.failed:
        await asyncio.sleep(0)
        fed.standing.offer(replica)
    assert fed.guard.check(TOKEN).reason.value == "suspended"


def full(*_: Any) -> None:
    """Find no room."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), ValueError("bug")])
async def test_a_next_file_that_lacks_a_fact_is_never_put_in_force(
    fed: Fed, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Not even where later facts find room again; the old one goes on meanwhile."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "LITTLE_ROOM", 1.0)
        fed.standing.offer(replica)
    old, new = replica.writers
    while not new.complete:  # noqa: ASYNC110 - as frames come
        await asyncio.sleep(0)

    def fails(_: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(new, "put_row", fails)
        replica._apply(suspended(AGENT, 1), 5)
    replica.position = 6
    fed.standing.refresh()
    fed.prove(6)
    for _ in range(9):
        await asyncio.sleep(0)
        fed.standing.offer(replica)
    replica._apply(said(Node, 2, node=Identifier("session.id", "other")), 6)
    replica.position = 7
    fed.standing.refresh()
    fed.prove(7)
    assert replica.writers == (old,)
    verdict = fed.guard.check(TOKEN, at_least="g:0:7")
    assert verdict.reason.value == "suspended"
    assert not verdict.stale
    assert fed.files == 1


async def test_a_file_that_failed_is_not_written_to_any_more(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a later fact would make what is half written look whole."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    with monkeypatch.context() as patch:
        patch.setattr(replica.writers[0], "put_row", full)
        replica._apply(suspended(AGENT, 1), 5)
    words = replica.writers[0].file.words
    changes = words[CHANGES]
    replica._apply(said(Node, 2, node=AGENT), 6)
    fed.standing.refresh()
    assert changes % 2
    assert words[CHANGES] == changes
    assert replica.failed


async def test_what_a_file_lacks_is_not_said_to_be_applied(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to those who wait for it, nor in a receipt."""
    fed.standing._said["mode"] = "fail_open"
    opens = SharedGuard(fed.path, mode=Mode.FAIL_OPEN, clock=lambda: fed.now)
    replica = await fed.begin("g", 5)
    fed.prove(5)
    assert fed.standing.applied() == ("g", 5)
    assert opens.wait_for("g:0:5", 0)
    with monkeypatch.context() as patch:
        patch.setattr(replica.writers[0], "put_row", full)
        replica._apply(suspended(AGENT, 1), 5)
    replica.position = 6
    fed.standing.refresh()
    fed.prove(6)
    assert fed.standing.applied() is None
    assert not opens.wait_for("g:0:6", 0)
    assert not opens.check(TOKEN, at_least="g:0:6").allowed
    assert opens.check(TOKEN).stale

    fed.standing.offer(replica)
    while replica.failed:
        await asyncio.sleep(0)
        fed.standing.offer(replica)
    assert fed.standing.applied() == ("g", 6)
    assert opens.wait_for("g:0:6", 0)
    assert opens.check(TOKEN).reason.value == "suspended"


class Reserved:
    """A column that ends where no memory was reserved: a touch would be a SIGBUS."""

    def __init__(self, column: Any, words: Any) -> None:
        self._column, self._words = column, words

    def __len__(self) -> int:
        return len(self._column)

    def __getitem__(self, node: int) -> Any:
        assert node < self._words[NAMES]
        return self._column[node]

    def __setitem__(self, node: Any, value: Any) -> None:
        last = node.stop - 1 if isinstance(node, slice) else node
        assert last < self._words[NAMES]
        self._column[node] = value


async def test_nothing_is_kept_of_names_without_memory(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full memory file system would end the agent."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    clearance: Any = replica.registry.clearance
    for name in ("values", "_known"):
        reserved = Reserved(getattr(clearance, name), replica.writers[0].file.words)
        setattr(clearance, name, reserved)
    ahead = LookAhead(fed.standing)
    list(ahead.looking(NOW))
    assert len(clearance.values) > len(replica.registry.lineage)
    first, *others = (Identifier("session.id", name) for name in "abc")
    replica._apply(said(Edge, 1, child=first, parent=AGENT), 5)
    replica.registry.apply(said(Edge, 1, child=others[0], parent=AGENT))
    clearance.generation = GENERATIONS  # the last one: values are set to 0
    clearance.begin()
    list(ahead.looking(NOW))
    with monkeypatch.context() as patch:
        patch.setattr(SharedFile, "reserve", full)
        replica._apply(said(Edge, 1, child=others[1], parent=AGENT), 5)
    assert replica.failed
    list(ahead.looking(NOW))
    assert judge(replica.registry, Presented((TOKEN, *others)), NOW).path


async def test_a_file_that_cannot_be_filled_is_removed(
    fed: Fed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has taken may be all the room that is missing."""
    replica = await fed.begin("g", 5)
    monkeypatch.setattr(publishing, "LITTLE_ROOM", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(TableWriter, "_append", full)
        fed.standing.offer(replica)
        assert fed.files == 2
        for _ in range(9):
            await asyncio.sleep(0)
            fed.standing.offer(replica)
    assert fed.files == 1
    assert len(replica.writers) == 1


async def test_an_agent_ends_what_its_dead_predecessor_promised(fed: Fed) -> None:
    """Else its receipts would speak for readers that have the lease of before."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    with pytest.raises(ValueError, match="another agent called host"):
        Fed(fed.path)
    Fed(fed.path, "next")
    assert fed.guard.check(TOKEN).allowed
    died = replica.writers[0].file
    fcntl.flock(died._descriptor, fcntl.LOCK_UN)  # as the end of its process does
    Fed(fed.path)
    assert not fed.guard.check(TOKEN).allowed


async def test_readers_go_over_from_an_agent_to_the_next(fed: Fed) -> None:
    """An upgrade costs no lease where the next one is there before."""
    await fed.begin("g", 5)
    fed.prove(5)
    following = Fed(fed.path, "next")
    await following.begin("g", 5)
    following.prove(5)
    assert fed.guard.check(TOKEN).allowed
    fed.standing.close()
    assert fed.guard.check(TOKEN).allowed
    following.standing.close()
    assert not fed.guard.check(TOKEN).allowed


@pytest.mark.parametrize("call", ["hardlink_to", "replace"])
async def test_a_file_that_cannot_be_put_is_put_later(
    fed: Fed, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Meanwhile the one of before is in force, and no lease of the new log is told."""
    before = await fed.begin("g", 5, suspended(AGENT, 1))
    fed.prove(5)
    fed.standing.meet("h")
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, call, full)
        following = before.successor()
        following.adopt("h", 1, Registry.build(BORN), None)
        for _ in range(9):
            fed.standing.offer(following)
            await asyncio.sleep(0)
        assert fed.standing.replica is before
        assert following.writers[0].complete
    assert fed.guard.check(TOKEN).reason.value == "suspended"
    fed.now = publishing.RETRY
    assert fed.standing.offer(following)
    fed.prove(1)
    verdict = fed.guard.check(TOKEN)
    assert (verdict.reason.value, verdict.stale) == ("suspended", False)
    assert fed.guard.wait_for("h:0:1", 0)
    assert fed.files == 2


async def test_an_agent_that_ends_leaves_no_dead_file_before_readers(fed: Fed) -> None:
    """Where it put a file last, the other one puts its own there again."""
    replica = await fed.begin("g", 5)
    fed.prove(5)
    following = Fed(fed.path, "next")
    newer = await following.begin("g", 5)
    following.prove(5)
    put(replica.writers[0].path, fed.path)
    following.standing.offer(newer)
    assert fed.path.samefile(replica.writers[0].path)  # both are as good
    fed.standing.close()
    assert not SharedGuard(fed.path, clock=lambda: 0).check(TOKEN).allowed
    following.now = publishing.LOOK
    following.standing.offer(newer)
    assert SharedGuard(fed.path, clock=lambda: 0).check(TOKEN).allowed
    assert following.guard.check(TOKEN).allowed

    fed.path.unlink()
    following.now += publishing.LOOK
    following.standing.offer(newer)
    assert SharedGuard(fed.path, clock=lambda: 0).check(TOKEN).allowed
    assert fed.files == 1


async def test_the_denials_of_an_agent_stay_where_another_one_put_its_file(
    fed: Fed,
) -> None:
    """It keeps its own file, and not the one that stands before readers."""
    await fed.begin("g", 5, suspended(AGENT, 1))
    fed.prove(5)
    following = Fed(fed.path, "next")
    await following.begin("g", 5)
    fed.standing.meet("h")
    await fed.begin("h", 1)
    fed.prove(1)
    assert fed.guard.check(TOKEN).reason.value == "suspended"


async def test_probes_are_answered_by_the_file(fed: Fed) -> None:
    """What the agent knows is of no use where the file lacks it."""
    agent = Agent("http://localhost", "token", name="probed", path=fed.path)
    fed.standing = agent.standing  # type: ignore[assignment]
    assert agent._allows(str(TOKEN))  # nothing shows that it is denied
    replica = await fed.begin("g", 5)
    assert agent._allows(str(TOKEN))
    writers, replica.writers = replica.writers, ()
    replica._apply(suspended(AGENT, 1), 5)
    replica.writers = writers
    assert not agent.check(TOKEN).allowed
    assert agent._allows(str(TOKEN))
    replica._apply(suspended(TOKEN, 1), 6)
    assert not agent._allows(str(TOKEN))
    assert not agent._allows("no name")
    fed.standing.close()
