"""A partition comes back from its local files as it was, or from the topic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from agents_registry.death import death
from agents_registry.facts import (
    Cause,
    Distrust,
    Edge,
    Effect,
    Fact,
    Lift,
    Node,
    OwnerSet,
)
from agents_registry.identifiers import VOCABULARY, Identifier, extend
from agents_registry.inventory import table
from agents_registry.steps import finish
from schemas.codec import edition
from streams.engines.kafka.checkpoints import checkpoint, journal
from streams.engines.kafka.checkpoints.checkpoint import FactsFile
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.facts.partition import Partition
from streams.engines.kafka.records.codec import (
    Heartbeat,
    Outgoing,
    fact_record,
    heartbeat_record,
)
from streams.pipeline import table_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.integration

GENESIS = "0123456789abcdef"
NOW = 1_800_000_000_000_000_000
KINDS = dict(VOCABULARY)


@define
class Raw:
    """A record of the topic."""

    offset: int
    key: bytes | None
    value: bytes | None


def name(number: int) -> Identifier:
    """Name a credential."""
    return Identifier("vault.accessor", f"a{number}")


def facts(numbers: Iterable[int]) -> list[Fact]:
    """Give chains of credentials, some of them revoked or owned."""
    found: list[Fact] = []
    for n in numbers:
        at = NOW + n
        found.append(
            Node(authority="v", version=at, received_at=at, node=name(n), issued_at=at)
        )
        if n % 5:
            found.append(
                Edge(
                    authority="v", version=at, received_at=at,
                    child=name(n), parent=name(n - 1),
                )
            )  # fmt: skip
        if n % 7 == 0:
            owners = (Identifier("person.id", f"p{n}"),)
            found.append(
                OwnerSet(
                    authority="v", version=at, received_at=at, node=name(n),
                    owners=owners,
                )
            )  # fmt: skip
        if n % 10 == 0:
            found.append(
                Cause(
                    authority="v", version=at, received_at=at, target=name(n),
                    effect=Effect.REVOKE, at=at,
                )
            )  # fmt: skip
    return found


def raw(outgoing: Iterable[Outgoing], start: int) -> list[Raw]:
    """Give records as they lie in the topic, from an offset on."""
    return [Raw(start + n, each.key, each.value) for n, each in enumerate(outgoing)]


def records(numbers: Iterable[int], start: int) -> list[Raw]:
    """Give the records of some facts."""
    return raw((fact_record("default", fact, 1) for fact in facts(numbers)), start)


def work_off(partition: Partition, some: list[Raw], *, save: bool = True) -> None:
    """Apply records, list what they condemned, and save."""
    partition.take(some)
    finish(partition.rebuild())
    while partition.waiting:
        partition.finish(finish(partition.slices()))
    if save:
        partition.save()
    if partition.worth_keeping:
        partition.keep()
        partition.file._settle()  # the next one is not put off


def opened(folder: Path, kinds: dict[str, object] | None = None) -> Partition:
    """Open the files and take up what they hold."""
    vocabulary = KINDS if kinds is None else extend({"my.kind": "credential"})
    file = FactsFile(folder / "facts-0", vocabulary, keep_after=10)
    if file.genesis != GENESIS:
        file.reset(GENESIS)
    partition = Partition(0, file, vocabulary, GENESIS)
    partition.restore(file.listed)
    return partition


def rows(partition: Partition) -> list[object]:
    """Give the table."""
    return list(table(partition.realm("default").cascade.registry, NOW))


def filled(folder: Path) -> tuple[list[object], int]:
    """Work off three batches, the last with no snapshot after it; give the table."""
    partition = opened(folder)
    for number in range(3):
        if number == 2:
            partition.file.keep_after = 10**6
        batch = records(range(30 * number, 30 * (number + 1)), partition.position)
        work_off(partition, batch)
    partition.file.close()
    return rows(partition), partition.position


def test_a_restart_gives_the_table_that_was(tmp_path: Path) -> None:
    """From a snapshot and what came after it; nothing is read from the start."""
    before, position = filled(tmp_path)
    file = FactsFile(tmp_path / "facts-0", KINDS)
    found = file.restored()
    file.close()
    partition = opened(tmp_path)

    assert found is not None
    assert 0 < found.position < position
    assert (before, position) == (rows(partition), partition.position)
    partition.file.close()


def test_a_restart_gives_what_may_have_revived_the_dead(tmp_path: Path) -> None:
    """Owners, and a lift that was taken back: no guard knew of the dead before."""
    said: dict[str, Any] = {"authority": "v", "version": NOW, "received_at": NOW}
    later = said | {"version": NOW + 1, "received_at": NOW + 1}
    dead, owner = name(1), Identifier("person.id", "p")
    distrust = Distrust(
        authority="operators", version=NOW + 2, received_at=NOW + 2, suspect="v",
        suspect_key="stolen", received_from=0, received_to=NOW + 1,
    )  # fmt: skip
    some: list[Fact] = [
        Node(node=dead, **said),
        Cause(target=dead, effect=Effect.SUSPEND, at=NOW, **said),
        Lift(target=dead, ingress_key="stolen", **later),
        distrust,
        OwnerSet(node=name(2), owners=(owner,), **said),
    ]

    def told(partition: Partition) -> tuple[object, int]:
        realm = partition.realm("default")
        why = death(realm.cascade.registry, dead)
        assert why is not None
        accepted = realm.accepted[why.cause.fact_id]
        return realm.known.turns(), realm.known.as_of(why, accepted)

    partition = opened(tmp_path)
    partition.file.keep_after = 1
    for fact in some:
        work_off(partition, raw([fact_record("default", fact, 1)], partition.position))
    before = told(partition)
    partition.file.close()
    again = opened(tmp_path)

    assert again.file.unkept == 0
    assert before == told(again) == ((0, 4, [(*name(2), 5)]), 4)
    again.file.close()


@pytest.mark.parametrize("damage", ["cut", "flipped", "none", "older"])
def test_a_snapshot_that_is_not_whole_is_left_alone(
    tmp_path: Path, damage: str
) -> None:
    """The journal has it all."""
    before, position = filled(tmp_path)
    path = tmp_path / "facts-0.snapshot"
    data = bytearray(path.read_bytes())
    if damage == "none":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "older":
        path.write_bytes(b"rescind0" + data[8:])
    else:
        data[-3] ^= 1
        path.write_bytes(data)
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert file.restored() is None
    file.close()
    partition = opened(tmp_path)

    assert (before, position) == (rows(partition), partition.position)
    partition.file.close()


def test_a_snapshot_of_another_vocabulary_is_left_alone(tmp_path: Path) -> None:
    """The classes of kinds are in the tables; the facts are merged anew."""
    before, _ = filled(tmp_path)
    partition = opened(tmp_path, {"more": "kinds"})

    assert before == rows(partition)
    partition.file.close()


def test_a_snapshot_of_other_schemas_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer version may read more of the same facts."""
    before, _ = filled(tmp_path)
    monkeypatch.setattr(table_file, "CODE", "newer")
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert file.restored() is None
    file.close()
    partition = opened(tmp_path)

    assert before == rows(partition)
    partition.file.close()


def test_code_without_a_name_takes_no_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled modules alone do not tell one version from another."""
    monkeypatch.setattr(table_file, "CODE", None)
    filled(tmp_path)

    assert not (tmp_path / "facts-0.snapshot").exists()


def test_half_a_snapshot_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no room for it, what was written of it goes."""

    def full(where: str) -> None:
        if where == "table.written":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(table_file, "failpoint", full)
    filled(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["facts-0.journal"]


def test_no_snapshot_is_ahead_of_the_journal(tmp_path: Path) -> None:
    """What is not saved yet was not acked, and is not kept either."""
    partition = opened(tmp_path)
    work_off(partition, records(range(4), 0))
    partition.take(records(range(5, 9), partition.position))
    partition.keep()
    partition.file.close()

    assert not (tmp_path / "facts-0.snapshot").exists()


def test_a_torn_frame_is_cut_off(tmp_path: Path) -> None:
    """What a crash left half written is read again from the topic."""
    before, position = filled(tmp_path)
    path = tmp_path / "facts-0.journal"
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    partition = opened(tmp_path)
    assert partition.position < position

    again = records(range(60, 90), partition.position)
    work_off(partition, again)
    assert (before, position) == (rows(partition), partition.position)
    partition.file.close()


def test_a_snapshot_ahead_of_its_journal_is_left_alone(tmp_path: Path) -> None:
    """A journal that lost its end to a power cut never has a newer table."""
    filled(tmp_path)
    path = tmp_path / "facts-0.journal"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 4])
    partition = opened(tmp_path)

    assert partition.position == 0
    assert not partition.realms
    partition.file.close()


def test_a_damaged_journal_is_noticed_where_it_is_read(tmp_path: Path) -> None:
    """A rebuild needs every fact: it ends the worker, and all is read again."""
    filled(tmp_path)
    path = tmp_path / "facts-0.journal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    partition = opened(tmp_path)
    end = partition.position
    distrust = Distrust(
        authority="operators", version=NOW, received_at=NOW, suspect="v",
        suspect_key="", received_from=0, received_to=NOW,
    )  # fmt: skip

    partition.take(raw([fact_record("default", distrust, 1)], end))
    with pytest.raises(DamagedError):
        finish(partition.rebuild())
    partition.file.close()

    again = opened(tmp_path)
    assert again.position == 0
    again.file.close()


def test_a_pruned_key_drops_the_checkpoint(tmp_path: Path) -> None:
    """The next start reads the topic, where the record is gone."""
    partition = opened(tmp_path)
    batch = records(range(30), 0)
    work_off(partition, batch)
    work_off(partition, [Raw(partition.position, batch[0].key, None)])
    partition.file.close()
    file = FactsFile(tmp_path / "facts-0", KINDS)

    assert file.genesis == ""
    file.close()


def test_facts_of_another_log_never_fit(tmp_path: Path) -> None:
    """A reset leaves nothing behind."""
    filled(tmp_path)
    file = FactsFile(tmp_path / "facts-0", KINDS)
    file.reset("another")

    assert ("another", 0, 0) == (file.genesis, file.position, file.listed)
    assert [] == list(file.rows())
    assert file.restored() is None
    file.close()


def test_outputs_that_may_be_missing_are_listed_again(tmp_path: Path) -> None:
    """Also of facts that are in the snapshot: it says nothing of acks."""
    partition = opened(tmp_path)
    partition.take(records(range(30), 0))
    partition.save()  # nothing was listed
    partition.keep()
    partition.file._settle()
    assert (tmp_path / "facts-0.snapshot").exists()
    wanted = [r.offset for r in partition.realm("default").cascade._roots]
    partition.file.close()
    again = opened(tmp_path)

    assert 0 < len(wanted)
    assert set(wanted) <= {r.offset for r in again.realm("default").cascade._roots}
    again.file.close()


def test_heartbeats_move_the_position_alone(tmp_path: Path) -> None:
    """Those of this log are skipped; one of another raises a doubt."""
    partition = opened(tmp_path)
    for genesis in (GENESIS, "another"):
        beat = Heartbeat(
            genesis=genesis, partition=0, writer="w", sequence=1, sent_at=NOW
        )
        partition.take(raw([heartbeat_record(beat)], partition.position))
        assert (genesis != GENESIS) == partition.genesis_mismatch
    assert 2 == partition.position
    partition.file.close()


def test_what_was_passed_over_is_not_forgotten_by_a_reset(tmp_path: Path) -> None:
    """A crash may come before it was read again: then the next start lists it too."""
    file = FactsFile(tmp_path / "facts-0", KINDS)
    file.reset(GENESIS)
    file.save([], [], 9, 9, unread=4)
    file.close()
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert (4, edition(), False) == (file.unread, file.edition, file.outgrown)

    file.reset(GENESIS)
    file.reset(GENESIS)
    assert file.unread is None
    file.close()
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert (4, edition(), 0) == (file.unread, file.edition, file.position)

    file.save([], [], 2, 2)
    file.close()
    file = FactsFile(tmp_path / "facts-0", KINDS)
    assert (None, 2) == (file.unread, file.position)
    file.close()


def test_a_newer_version_knows_that_it_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a snapshot says where the facts end."""
    filled(tmp_path)
    partition = opened(tmp_path)
    partition.unread = 7
    work_off(partition, records(range(90, 95), partition.position))
    partition.file.close()
    monkeypatch.setattr(checkpoint, "edition", lambda: "newer")
    file = FactsFile(tmp_path / "facts-0", KINDS)

    assert (7, True) == (file.unread, file.outgrown)
    file.close()


def test_a_file_tells_the_schemas_of_all_its_facts(tmp_path: Path) -> None:
    """Of those before the snapshot too: a rebuild reads them."""
    partition = opened(tmp_path)
    partition.file.keep_after = 10**6
    first = records(range(1, 20), 0)
    work_off(partition, first)
    partition.file.keep_after = 1
    work_off(partition, records([21], partition.position)[:1])
    partition.file.close()
    assert (tmp_path / "facts-0.snapshot").exists()
    partition = opened(tmp_path)
    work_off(partition, records([22], partition.position)[:1])
    told = {each.value[:5] for each in first if each.value}
    assert told == set(partition.file.headers())
    partition.file.close()
    again = FactsFile(tmp_path / "facts-0", KINDS)

    assert told == set(again.headers())
    again.reset("another")
    assert [] == again.headers()
    again.close()


@pytest.mark.parametrize("stride", [1, 1000, journal.STRIDE])
@pytest.mark.parametrize("warm", [True, False])
def test_facts_from_an_offset_on_are_all_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stride: int, *, warm: bool
) -> None:
    """Wherever reading begins."""
    monkeypatch.setattr(journal, "STRIDE", stride)
    filled(tmp_path)
    if not warm:
        (tmp_path / "facts-0.snapshot").unlink()
    partition = opened(tmp_path)
    for number in range(90, 99):
        work_off(partition, records([number], partition.position))
    everything = list(partition.file.rows())

    assert partition.position == len(everything)
    for since in range(partition.position + 1):
        assert everything[since:] == list(partition.file.rows(since=since))
    partition.file.close()


def test_a_standby_lists_nothing_of_its_snapshot(tmp_path: Path) -> None:
    """And all of it from the commit on, once it works."""
    filled(tmp_path)
    file = FactsFile(tmp_path / "facts-0", KINDS)
    partition = Partition(0, file, KINDS, GENESIS)
    partition.standby = True
    partition.restore(0)
    tailed = partition.waiting
    partition.promote(0)

    assert 0 == tailed < partition.waiting
    file.close()


def test_a_take_over_from_a_damaged_file_is_none(tmp_path: Path) -> None:
    """It ends the worker, and the next start reads the topic."""
    filled(tmp_path)
    file = FactsFile(tmp_path / "facts-0", KINDS)
    partition = Partition(0, file, KINDS, GENESIS)
    partition.standby = True
    partition.restore(0)
    path = tmp_path / "facts-0.journal"
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)

    with pytest.raises(DamagedError):
        partition.promote(0)
    assert file.genesis == ""
    file.close()


def test_a_key_without_parts_names_its_own_realm(tmp_path: Path) -> None:
    """Two of them are not taken for one."""
    partition = opened(tmp_path)
    one, other = facts([1])[:1], facts([2])[:1]
    for realm, (fact,) in (("one", one), ("other", other)):
        value = fact_record(realm, fact, 1).value
        partition.take([Raw(partition.position, f"{realm}/node".encode(), value)])

    assert {"one", "other"} == partition.realms.keys()
    assert [1, 1] == [
        len(list(table(each.cascade.registry, NOW)))
        for each in partition.realms.values()
    ]
    partition.file.close()
