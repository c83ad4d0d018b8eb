"""A shared table that changes while it is read, and the lease beside it."""

from __future__ import annotations

import os
from stat import S_IFREG
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agents_registry.causes import cause_of
from agents_registry.facts import (
    Cause,
    Edge,
    Effect,
    LabelSet,
    Lift,
    Node,
    OwnerSet,
    ScopeSet,
    Withdraw,
    fact_id,
)
from agents_registry.identifiers import Identifier
from agents_registry.life import Reason
from agents_registry.presentation import Presented
from agents_registry.registry import Registry
from agents_registry.verdict import DEFAULT_POLICY, judge
from enforcement.shared import finding, host, viewing, writing
from enforcement.shared import guard as guards
from enforcement.shared.agent import LookAhead
from enforcement.shared.guard import SharedGuard
from enforcement.shared.judging import judged_by
from enforcement.shared.layout import (
    APPLIED,
    CHANGES,
    CLOCK,
    DEADLINE,
    OF_VERSION,
    ROW,
    ROWS_END,
    STATE,
    NotATableError,
    SharedFile,
    end_predecessor,
    remove_leftovers,
)
from enforcement.shared.publishing import SharedReplica, SharedStanding
from enforcement.shared.viewing import MappedTable
from enforcement.shared.writing import TableWriter
from enforcement.verdict import Lapse, Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agents_registry.facts import Fact

SECOND = 1_000_000_000
NOW = 1_767_225_600 * SECOND
AGENT = Identifier("agent.id", "planner")
TOKEN = Identifier("session.id", "s1")
SAID = {
    **host.described(),
    "genesis": "g",
    "partition": 0,
    "mode": "fail_closed",
    "lease": SECOND,
}
VOUCHED = 7  # caught up, served and sound


def said(fact: type[Fact], when: int, /, **more: Any) -> Fact:
    """Make a fact of one authority."""
    return fact(authority="idp", version=NOW + when, received_at=NOW + when, **more)


def suspended(target: Identifier, at: int) -> Fact:
    """Suspend a target."""
    return said(Cause, at, target=target, effect=Effect.SUSPEND, at=NOW + at)


class Host:
    """A table in a file, its writer and its clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0
        self.replica = SharedReplica()
        self.merge(
            said(Node, 0, node=AGENT),
            said(Node, 0, node=TOKEN),
            said(Edge, 0, child=TOKEN, parent=AGENT),
        )
        self.share()

    def share(self, **described: Any) -> None:
        """Put the table into the file, with a lease of a second."""
        self.writer = TableWriter(self.replica.registry, self.path, SAID | described)
        for _ in self.writer.building():
            pass
        self.replica.writers = (self.writer,)
        self.words = self.writer.file.words
        self.words[CLOCK], self.words[STATE] = NOW, VOUCHED
        self.words[DEADLINE] = self.now + SECOND

    def merge(self, *facts: Fact) -> None:
        """Merge facts, and write them."""
        for fact in facts:
            self.replica._apply(fact, 0)

    def look_ahead(self) -> None:
        """Find out what is clear."""
        self.writer.enforce()
        standing: Any = SimpleNamespace(replica=self.replica)
        for _ in LookAhead(standing).looking(NOW):
            pass

    def guard(self, **more: Any) -> SharedGuard:
        """Make a reader that has this clock."""
        return SharedGuard(self.path, clock=lambda: self.now, **more)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Share a token and its agent."""
    monkeypatch.setattr(writing, "SPARE_NAMES", 4096)
    return Host(tmp_path / "table")


@pytest.mark.parametrize("scope", [None, "s|write"])
def test_a_narrow_on_what_an_owner_has_limits_it_in_a_shared_table(
    shared: Host, scope: str | None
) -> None:
    """The cause stands in the row of the owner, which nothing requires."""
    owner = Identifier("person.id", "ann")
    shared.merge(
        said(OwnerSet, 1, node=AGENT, owners=(owner,)),
        said(
            Cause, 2, target=Identifier("owner.of", str(owner)), at=NOW + 2,
            effect=Effect.NARROW, scopes=("s|read",),
        ),
    )  # fmt: skip
    shared.look_ahead()

    verdict = shared.guard().check(TOKEN, scope=scope)

    assert (verdict.allowed, verdict.reason) == (False, Reason.NARROWED)
    assert shared.guard().check(TOKEN, scope="s|read").allowed


def test_a_withdraw_frees_what_an_owner_has_in_a_shared_table(shared: Host) -> None:
    """The row of the owner is written again, not that of the target alone."""
    owner = Identifier("person.id", "ann")
    shared.merge(said(OwnerSet, 1, node=AGENT, owners=(owner,)))
    cause = suspended(Identifier("owner.of", str(owner)), 2)
    shared.merge(cause)
    assert not shared.guard().check(TOKEN).allowed

    target, kind = Identifier("owner.of", str(owner)), Cause.NAME
    shared.merge(
        said(Withdraw, 3, fact_id=fact_id(cause).hex(), kind=kind, target=target)
    )

    assert shared.guard().check(TOKEN).allowed


def test_names_of_one_bucket_are_told_apart(shared: Host) -> None:
    """A dead one beside a living one, asked for the first time and again."""
    names = [Identifier("session.id", f"n{number}") for number in range(600)]
    shared.merge(*[said(Node, 1, node=name) for name in names])
    dead = set(names[::2])
    shared.merge(*[suspended(name, 2) for name in dead])
    shared.look_ahead()
    guard = shared.guard()

    for times in (1, finding.ONE_OF):
        for _ in range(times):
            allowed = [name for name in names if guard.check(str(name)).allowed]
            assert allowed == names[1::2]
        names = names[:100]
    assert guard.check("session.id:n600").reason is Reason.UNKNOWN_CREDENTIAL


def test_a_lift_on_what_no_owner_has_stops_no_writer(shared: Host) -> None:
    """A lift is not held to name an owner; the table goes on."""
    shared.merge(said(Lift, 1, target=Identifier("owner.of", "nobody")))

    assert not shared.writer.failed
    assert shared.guard().check(TOKEN).allowed


def test_a_label_makes_nobody_known(shared: Host) -> None:
    """It counts as a known parent in a shared table, and as no name in any."""
    label = Identifier("label.team", "payments")
    stranger = Identifier("agent.id", "nobody")
    shared.merge(said(LabelSet, 1, node=AGENT, labels=(label,)))
    registry = shared.replica.registry

    def reasons() -> set[Reason | Lapse]:
        shared.look_ahead()
        asked = [Presented(names) for names in ((label,), (stranger, label))]
        found: set[Reason | Lapse] = {judge(registry, one, NOW).reason for one in asked}
        return found | {shared.guard().check(one).reason for one in asked}

    assert reasons() == {Reason.UNKNOWN_CREDENTIAL}
    assert shared.guard().check(Presented((TOKEN, label))).allowed

    shared.merge(said(Node, 2, node=label))
    assert reasons() == {Reason.UNKNOWN_CREDENTIAL}
    assert judge(registry, Presented((label,)), NOW).reason is Reason.UNKNOWN_CREDENTIAL
    assert judge(registry, Presented((TOKEN, label)), NOW).allowed


class Counted:
    """A column that has something done before it is read for a certain time."""

    def __init__(self, column: Any, left: int, work: Callable[[], None]) -> None:
        self._column, self._left, self._work = column, left, work

    def __getitem__(self, at: int) -> Any:
        self._left -= 1
        if not self._left:
            self._work()
        return self._column[at]


def read_while(shared: Host, looks: int, work: Callable[[], None]) -> bool | None:
    """Judge the token, with work done before flags are looked at for a certain time."""
    table = MappedTable(shared.path)
    flags: Any = Counted(table.lineage.flags, looks, work)
    table.lineage.flags = flags
    found = judged_by(table, Presented((TOKEN,)), NOW, None, DEFAULT_POLICY)
    return None if found is None else found.allowed


@pytest.mark.parametrize("looks", range(1, 16))
@pytest.mark.parametrize("names", [(TOKEN, AGENT), (AGENT, TOKEN)])
def test_no_verdict_is_of_two_moments(
    shared: Host, looks: int, names: tuple[Identifier, Identifier]
) -> None:
    """One of two is ended before the other one lives again: no moment allowed both."""
    first, second = names
    shared.merge(suspended(first, 1))

    def change() -> None:
        shared.merge(suspended(second, 2), said(Lift, 3, target=first))

    assert read_while(shared, looks, change) is False


@pytest.mark.parametrize("looks", range(1, 16))
def test_no_verdict_is_of_a_change_that_was_under_way(shared: Host, looks: int) -> None:
    """The reader begins before the row of the token is written, and after it began."""
    shared.merge(suspended(AGENT, 1))
    ending = suspended(TOKEN, 2)
    found: list[bool | None] = []
    write = shared.writer._write

    def finish() -> None:
        write(shared.replica.registry.lineage.find(TOKEN), ending)
        shared.words[CHANGES] += 1  # the change is whole
        shared.merge(said(Lift, 3, target=AGENT))

    def halfway(node: int, fact: Fact) -> None:
        shared.writer._write = write  # type: ignore[method-assign]
        found.append(read_while(shared, looks, finish))

    shared.writer._write = halfway  # type: ignore[method-assign]
    shared.merge(ending)

    assert found == [False]


def test_a_writer_that_died_in_the_middle_leaves_denials(shared: Host) -> None:
    """Of what it was writing; the rest stays as it was."""
    other = Identifier("session.id", "s2")
    shared.merge(said(Node, 0, node=other))
    guard = shared.guard(mode=Mode.OBSERVE)
    node = shared.replica.registry.lineage.find(TOKEN)
    shared.words[CHANGES] += 1
    shared.writer.file.columns["changed"][node] = shared.words[CHANGES]
    closed = shared.guard()

    assert closed.check(other).allowed
    verdict = closed.check(TOKEN)
    assert (verdict.allowed, verdict.reason) == (False, Lapse.NOT_CAUGHT_UP)
    assert guard.check(TOKEN).observed


def test_a_ring_that_does_not_come_back_is_denied(shared: Host) -> None:
    """A writer that died between two entries left it."""
    ring = shared.writer.file.columns["ring"]
    lineage = shared.replica.registry.lineage
    token, agent = lineage.find(TOKEN), lineage.find(AGENT)
    ring[token] = agent

    assert shared.guard().check(TOKEN).reason is Lapse.NOT_CAUGHT_UP


@pytest.mark.parametrize("looks", range(1, 7))
@pytest.mark.parametrize("presented", [str(TOKEN), Presented((TOKEN,)), (TOKEN,)])
def test_the_lease_is_read_before_the_table(
    shared: Host, presented: Any, looks: int
) -> None:
    """A process is stopped at one of its looks at the clock, for longer than a lease.

    Meanwhile the token is ended, and the agent gets another lease.
    """
    shared.look_ahead()
    left = looks

    def stopped() -> int:
        nonlocal left
        left -= 1
        if not left:
            shared.merge(suspended(TOKEN, 1))
            shared.now, shared.words[DEADLINE] = 2 * SECOND, 3 * SECOND
        return shared.now

    guard = SharedGuard(shared.path, clock=stopped)
    verdict = guard.check(presented)

    assert verdict.allowed == (left > 0)


@pytest.mark.parametrize("presented", [str(TOKEN), Presented((TOKEN,)), (TOKEN,)])
def test_scopes_of_several_levels_are_all_compared(
    shared: Host, presented: Any
) -> None:
    """Of a token and of its agent, both of which are known to be clear."""
    shared.merge(
        said(ScopeSet, 1, node=TOKEN, scopes=("a|x", "a|y")),
        said(ScopeSet, 1, node=AGENT, scopes=("a|x",)),
    )
    shared.look_ahead()
    guard = shared.guard()

    for scope, allowed in (("a|x", True), ("a|y", False), ("a|z", False)) * 2:
        assert guard.check(presented, scope=scope).allowed == allowed


def test_a_fact_on_a_name_with_many_causes_writes_little(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row goes on from the row of before; a reader follows it, and reads it once."""
    many = 300
    shared.merge(*(suspended(AGENT, at) for at in range(1, many)))
    reader = shared.guard()
    assert reader.check(TOKEN).cause is not None
    shared.share()
    shared.merge(suspended(AGENT, many))
    begin = shared.words[ROWS_END]
    last = suspended(AGENT, many + 1)
    shared.merge(last)
    assert shared.words[ROWS_END] - begin < 1000

    read: list[Any] = []

    def counted(plain: Any) -> Any:
        read.append(plain)
        return cause_of(plain)

    monkeypatch.setattr(viewing, "cause_of", counted)
    reader = shared.guard()
    assert reader.check(TOKEN).cause is not None
    assert len(read) == many + 1
    back = {"fact_id": fact_id(last).hex(), "kind": Cause.NAME, "target": AGENT}
    shared.merge(said(Withdraw, many + 2, **back))
    assert reader.check(TOKEN).cause is not None
    assert len(read) == many + 1
    shared.merge(said(Lift, many + 1, target=AGENT))
    assert reader.check(TOKEN).allowed
    shared.merge(suspended(AGENT, many + 3))
    assert not reader.check(TOKEN).allowed
    assert shared.guard().check(TOKEN) == reader.check(TOKEN)
    assert len(read) == 2 * (many + 2)
    lift = said(Lift, many + 4, target=AGENT)
    shared.merge(lift)
    assert reader.check(TOKEN).allowed
    back = {"fact_id": fact_id(lift).hex(), "kind": Lift.NAME, "target": AGENT}
    shared.merge(said(Withdraw, many + 5, **back))
    assert not reader.check(TOKEN).allowed


@pytest.mark.parametrize("wrong", ["", "zz", "ab", "A" * 64, "é" * 64])
def test_what_is_no_id_takes_nothing_back(shared: Host, wrong: str) -> None:
    """Of a name with many causes, either."""
    shared.merge(*(suspended(AGENT, at) for at in range(1, 20)))
    shared.merge(said(Withdraw, 20, fact_id=wrong, kind=Cause.NAME, target=AGENT))

    assert not shared.replica.failed
    assert shared.guard().check(TOKEN).cause is not None


def test_a_row_does_not_go_on_from_a_later_one(shared: Host) -> None:
    """It would have no end."""
    shared.merge(suspended(AGENT, 1))
    agent = shared.replica.registry.lineage.find(AGENT)
    itself = shared.words[ROWS_END] // ROW
    shared.writer.file.columns["row"][agent] = shared.writer.put_row({"before": itself})

    assert shared.guard().check(TOKEN).reason is Lapse.NOT_CAUGHT_UP


@pytest.mark.parametrize("name", ["boot_id", "time_namespace"])
def test_a_table_of_another_clock_is_none(
    shared: Host, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its deadline is a time of a clock that this process does not have."""
    monkeypatch.setitem(guards._HOST, name, "another")
    guard = shared.guard()

    assert guard.check(TOKEN).reason is Lapse.NOT_CAUGHT_UP
    assert "another boot or another clock" in str(guard.trouble)


def test_who_fails_open_needs_an_agent_that_says_so(shared: Host) -> None:
    """A closure took all readers of this agent to deny without a lease."""
    guard = shared.guard(mode=Mode.FAIL_OPEN)
    assert guard.check(TOKEN).reason is Lapse.NOT_CAUGHT_UP
    assert "fail closed" in str(guard.trouble)
    assert not shared.guard(routes={"r": Mode.FAIL_OPEN}).check(TOKEN).allowed

    shared.share(mode="fail_open")
    guard = shared.guard(mode=Mode.FAIL_OPEN)
    shared.now = 2 * SECOND
    verdict = guard.check(TOKEN)
    assert (verdict.allowed, verdict.stale) == (True, True)
    assert shared.guard().check(TOKEN).reason is Lapse.NO_LEASE


def test_a_token_is_denied_until_its_facts_are_there(shared: Host) -> None:
    """Of the same log alone."""
    guard = shared.guard()
    shared.words[APPLIED] = 7
    assert guard.check(TOKEN, at_least="g:0:7").allowed
    for token in ("g:0:8", "h:0:7", "g:1:7"):
        assert guard.check(TOKEN, at_least=token).reason is Lapse.NOT_YET_APPLIED
    assert guard.wait_for("g:0:7", 0)
    assert not guard.wait_for("g:0:8", 0)


def test_a_file_that_is_no_table_is_told(tmp_path: Path, shared: Host) -> None:
    """Nothing of it is believed."""
    path = tmp_path / "other"
    path.write_bytes(b"")
    for size in (0, 1, 1 << 16):
        path.write_bytes(bytes(size))
        with pytest.raises(NotATableError):
            SharedFile.opened(path)
    shared.words[OF_VERSION] = 2
    assert "version 2" in str(shared.guard().trouble)
    shared.words[OF_VERSION] = 1
    whole = shared.path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotATableError):
        SharedFile.opened(path)
    path.write_bytes(whole.replace(b'"flags": ["u8"', b'"flags": ["i8"', 1))
    with pytest.raises(NotATableError):
        SharedFile.opened(path)


def test_a_file_that_is_full_is_told(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica says so, and its standing takes the lease away."""
    file = shared.writer.file
    with pytest.raises(OSError, match="no room"):
        file.reserve("rows", len(file.rows) + 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file, "reserve", full)
    shared.merge(suspended(TOKEN, 1))
    assert shared.replica.failed


@pytest.mark.parametrize("presented", [str(TOKEN), Presented((TOKEN,)), str(AGENT)])
def test_a_lease_of_another_clock_is_none(shared: Host, presented: Any) -> None:
    """No deadline is further ahead than the length of the lease."""
    guard = shared.guard()
    if presented != str(AGENT):  # that one is walked
        shared.look_ahead()
    shared.words[DEADLINE] = SECOND
    assert guard.check(presented).allowed
    shared.words[DEADLINE] = SECOND + 1
    assert guard.check(presented).reason is Lapse.NO_LEASE


def test_without_the_name_of_the_boot_there_is_no_lease(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease of the boot before could be taken for one of this boot."""
    monkeypatch.setattr(host, "_BOOT", shared.path / "none")
    monkeypatch.setattr(guards, "_HOST", host.described())
    shared.share(boot_id="")
    guard = shared.guard()
    assert not guard.check(TOKEN).allowed
    assert "another boot" in str(guard.trouble)
    with pytest.raises(ValueError, match="another boot"):
        SharedStanding(shared.path, "host", Mode.FAIL_CLOSED, SECOND, lambda: 0)


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    """Neither the file that a link leads to is changed, nor any other one removed."""
    other, link = tmp_path / "other", tmp_path / "table"
    other.write_bytes(b"A" * 200)
    link.symlink_to(other)
    foreign = (
        ".table.env",
        ".table.0123abcd",
        ".table.0123abcd.gone",
        ".tableX0123abcd",
    )
    for name in foreign:
        (tmp_path / name).write_bytes(b"A" * 200)
    assert end_predecessor(link) == {}
    remove_leftovers(link)
    assert other.read_bytes() == b"A" * 200
    assert len([*tmp_path.iterdir()]) == 2 + len(foreign)
    link.unlink()
    other.rename(link)
    assert end_predecessor(link) == {}
    assert link.read_bytes() == b"A" * 200
    made = TableWriter(Registry(), tmp_path / ".table.89abcdef", SAID)
    (tmp_path / ".table.env").unlink()
    (tmp_path / ".table.env").hardlink_to(made.path)
    remove_leftovers(link)
    assert made.path.exists()  # its agent lives
    made.file.end()
    remove_leftovers(link)
    assert not made.path.exists()
    assert (tmp_path / ".table.env").exists()


def test_a_file_that_others_may_have_written_is_refused(
    shared: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its mode, and in a folder for everybody by its owner."""
    guard = shared.guard()
    assert guard.trouble is None
    shared.path.chmod(0o642)
    assert "everybody may write" in str(shared.guard().trouble)
    shared.path.chmod(0o640)
    folder = shared.path.parent
    folder.chmod(0o1777)
    assert shared.guard().trouble is None
    stat = os.stat_result((S_IFREG | 0o644, 1, 1, 1, 4711, 0, 1 << 20, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: stat)
    assert "anybody may have put" in str(shared.guard().trouble)
    folder.chmod(0o755)
    assert "anybody" not in str(shared.guard().trouble)


def test_what_is_clear_rests_on_causes_that_are_over(tmp_path: Path) -> None:
    """A clock that went back finds them again, whatever way it asks."""
    host = Host(tmp_path / "table")
    over = SECOND
    host.merge(
        said(
            Cause, 0, target=AGENT, effect=Effect.SUSPEND, at=NOW,
            until=NOW + over - 2 * SECOND,
        )
    )  # fmt: skip
    host.writer.enforce()
    standing: Any = SimpleNamespace(replica=host.replica)
    for _ in LookAhead(standing).looking(NOW + over):
        pass
    host.words[DEADLINE] = 2 * SECOND
    guard = host.guard()
    host.now = over
    asked: list[Any] = [str(TOKEN), Presented((TOKEN,)), TOKEN]
    assert [guard.check(one).allowed for one in asked * 2] == [True] * 6

    host.now = 0
    host.words[DEADLINE] = SECOND
    assert [guard.check(one).reason.value for one in asked * 2] == ["suspended"] * 6
