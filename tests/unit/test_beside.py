"""Large values lie in files, and a file that is not whole is never believed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from agents_registry.facts import Cause, Effect, Node
from agents_registry.identifiers import Identifier, extend
from agents_registry.steps import finish
from schemas.codec import in_force
from streams.engines.kafka.checkpoints.blob_files import LARGE
from streams.engines.kafka.checkpoints.journal import DamagedError
from streams.engines.kafka.checkpoints.uses_file import UsesFile
from streams.engines.kafka.records.accesses import access_records, read_access
from streams.engines.kafka.sentinel.owned_partition import OwnedPartition
from streams.pipeline.access_records import Accesses
from streams.pipeline.realm import Realm
from streams.stages.access.uses import AccessEvent
from streams.stages.ingest.ingress import Origin
from streams.stages.registry.cascade import Cascade
from streams.stages.sentinel.tolerances import Tolerances

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

BODY = bytes(range(256)) * (LARGE // 256)
S = 10**9
NOW = 10**18
TOKEN = Identifier("vault.accessor", "t")
ORIGIN = Origin("vault", "default", NOW, "k", 1)


@pytest.fixture
def file(tmp_path: Path) -> UsesFile:
    """Give an empty file."""
    return UsesFile(tmp_path / "u.db")


def beside(tmp_path: Path) -> list[Path]:
    """Give the files of large values."""
    return sorted((tmp_path / "u.large").iterdir())


def test_a_large_value_lies_in_a_file_of_its_own(
    file: UsesFile, tmp_path: Path
) -> None:
    """It comes back, and goes with its row; a file that no row names goes too."""
    file.save([("r", "a", BODY), ("r", "b", b"small")], [], 5)
    (kept,) = beside(tmp_path)
    (tmp_path / "u.large" / "left over").write_bytes(b"")

    assert {"r": [("a", BODY), ("b", b"small")]} == file.uses()
    assert [kept] == beside(tmp_path)
    file.save([("r", "a", None)], [], 6)
    assert [] == beside(tmp_path)
    file.save([("r", "a", BODY)], [], 7)
    file.reset()
    assert ({}, []) == (file.uses(), beside(tmp_path))
    file.close()


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_value_that_is_not_whole_is_an_error(
    file: UsesFile, tmp_path: Path, harm: str
) -> None:
    """A power cut may leave the row and not the bytes."""
    file.save([("r", "a", BODY)], [], 5)
    (path,) = beside(tmp_path)
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(BODY[:-1] if harm == "cut" else BODY[:-1] + b"?")

    with pytest.raises(DamagedError):
        file.uses()
    file.close()


def test_a_file_of_an_earlier_version_is_written_on(tmp_path: Path) -> None:
    """Its episodes lie in an index."""
    with closing(sqlite3.connect(tmp_path / "u.db")) as older:
        older.executescript(
            "CREATE TABLE episodes (realm TEXT, id TEXT, body BLOB NOT NULL,"
            " PRIMARY KEY (realm, id)) WITHOUT ROWID;"
            "INSERT INTO episodes VALUES ('r', 'a', x'01'), ('r', 'b', x'02');"
        )
    file = UsesFile(tmp_path / "u.db")
    file.save([], [("r", "a", b"1"), ("r", "b", None), ("r", "c", b"3")], 5)

    assert [("r", b"1"), ("r", b"3")] == sorted(file.episodes())
    file.close()


def watched(file: UsesFile, realm: Realm) -> OwnedPartition:
    """Give a partition that may begin at 3."""
    tolerances = Tolerances(0, 0, 10**20, 10**20)
    each = OwnedPartition(file, tolerances, lambda _: realm)
    each.position = 9
    return each


def found(each: OwnedPartition) -> list[tuple[str, int]]:
    """Give kind and count of all findings."""
    return [(e.finding.kind.value, e.finding.count) for e in each.unsaved.findings()]


def used_then_revoked(file: UsesFile, realm: Realm, owner: str) -> list[Any]:
    """Have a worker save the use of a token that ends while it is down; the blocks."""
    said: dict[str, Any] = {"authority": "v", "version": 1, "received_at": 1}
    realm.apply(Node(**said, node=TOKEN, issued_at=1), 0)
    use = AccessEvent((TOKEN,), "door", "allowed", 5 * S, "e", owner)
    records = list(access_records([use], ORIGIN, 0, 1, "f"))
    blocks = [read_access(each.value, each.headers) for each in records]
    each = watched(file, realm)
    finish(each.judge(blocks, NOW))
    each.save()
    realm.apply(Cause(**said, target=TOKEN, effect=Effect.REVOKE, at=1), 0)
    return blocks


def test_a_use_is_remembered_over_a_restart_for_a_cause_that_comes_late(
    file: UsesFile,
) -> None:
    """The topic is not read again: what the file lacks is missed for good."""
    realm = Realm(Cascade(extend({})))
    used_then_revoked(file, realm, "o")

    after = watched(file, realm)
    assert finish(after.restore(NOW))
    assert [("use_after_revocation", 1)] == found(after)


def test_a_worker_whose_file_is_damaged_reads_the_topic_again(
    file: UsesFile, tmp_path: Path
) -> None:
    """Nothing is left of the file, which stands in the way of none that is new."""
    realm = Realm(Cascade(extend({})))
    blocks = used_then_revoked(file, realm, "o" * LARGE)
    whole = watched(file, realm)
    assert finish(whole.restore(NOW))
    assert [("use_after_revocation", 1)] == found(whole)
    assert 9 == whole.position
    beside(tmp_path)[0].write_bytes(b"")

    damaged = watched(file, realm)
    assert not finish(damaged.restore(NOW))
    assert (None, []) == (file.position, found(damaged))
    anew = watched(file, realm)
    finish(anew.judge(blocks, NOW))
    assert [e.finding.id for e in whole.unsaved.findings()] == [
        e.finding.id for e in anew.unsaved.findings()
    ]
    file.close()


def test_a_file_of_an_earlier_version_is_taken_up(file: UsesFile) -> None:
    """Its names were no names of files: they held identifiers, and NUL between them."""
    single = [5 * S, "e", 5 * S, 1, False]
    bucket = [[str(TOKEN)], "door", "allowed", 0, NOW, None, [single]]
    keys = [f"{TOKEN}\0\0door\0allowed\0000", f"{'x' * 300}\0\0door\0allowed\0000"]
    file.save([("default", key, orjson.dumps(bucket)) for key in keys], [], 5)
    each = watched(file, Realm(Cascade(extend({}))))

    finish(each.restore(NOW))
    each.save()

    (row,) = file.uses()["default"]
    assert row[0] not in keys
    file.close()


def old_block(lines: list[dict[str, Any]]) -> Accesses:
    """Read a block as earlier versions wrote it."""
    common = {"event_type": "", "offset": 0, "parents": [], "ties": [], "actor": []}
    record = {
        "realm": "default", "source": "", "point": "door", "authority": "vault",
        "received_at": NOW, "ingress_key": "k", "lines": [common | x for x in lines],
    }  # fmt: skip
    read = read_access(in_force().encode("access", record), [("rescind-after", b"7")])
    assert isinstance(read, Accesses)
    return read


def test_blocks_of_earlier_versions_are_read() -> None:
    """Readers are upgraded first, and the topic holds a week."""
    block = old_block([
        {"identifiers": ["vault.accessor:t"], "occurred_at": 5, "outcome": "denied",
         "event_id": "e", "owner": "ann", "applied": 4, "scope": ["r|x"]},
        {"identifiers": ["vault.accessor:t"], "occurred_at": None, "outcome": None},
    ])  # fmt: skip

    assert 7 == block.after
    assert [
        AccessEvent((TOKEN,), "door", "denied", 5, "e", "ann", 4, ("r|x",)),
        AccessEvent((TOKEN,), "door", None, NOW, None),
    ] == [block.lines.use(row) for row in range(2)]


def test_a_line_that_cannot_be_read_stops_nothing(file: UsesFile) -> None:
    """It is told of; the lines beside it are judged."""
    use = AccessEvent((TOKEN,), "door", "allowed", 5 * S, "e")
    (record,) = access_records([use, use._replace(event_id="f")], ORIGIN, 0, 1, "f")
    value = record.value.replace(b'["e"]', b'[!e"]')
    block = read_access(value, record.headers)
    each = watched(file, Realm(Cascade(extend({}))))
    finish(each.judge([block], NOW))
    finish(each.settle(NOW + 900 * S))

    assert [("unknown_credential", 1)] == found(each)
    file.close()
