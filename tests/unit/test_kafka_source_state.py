"""What ingress keeps on Kafka comes after what it stands behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field

from streams.engines.kafka.ingress import source_state
from streams.engines.kafka.ingress.source_state import (
    KafkaCursors,
    KafkaKeeper,
    KafkaResources,
)
from streams.services.intake import Acceptance, IntakeBatch, NotWrittenError
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.ingress import Origin

if TYPE_CHECKING:
    from streams.engines.kafka.ingress.compacted_store import CompactedStore
    from streams.engines.kafka.ingress.ingress import KafkaLog

pytestmark = pytest.mark.unit

ROW = ("idp", "scim.user", "a/b", "Ann@x", None, True, 1, 2)
BATCH = IntakeBatch([], Origin("idp", "default", 1), Entitlements(()))
BY_NAME = "SELECT id, active FROM scim WHERE name = ? COLLATE NOCASE"


@define
class Topics:
    """The log and the kept state in one, with what was done in its order.

    Attributes:
        failing: how often the next writes fail.
    """

    done: list[str] = field(factory=list)
    failing: int = 0
    entries: dict[tuple[str, str], bytes] = field(factory=dict)
    listeners: list[Any] = field(factory=list)

    async def records(
        self, delivery: IntakeBatch, *, patient: bool = False
    ) -> Acceptance:
        """Take facts in, or not."""
        del delivery, patient
        self._do("facts")
        return Acceptance(0, 0, 0, "")

    async def put(self, kind: str, name: str, body: bytes) -> None:
        """Keep, and tell at once."""
        self._do(kind)
        self.entries[kind, name] = body
        for each in self.listeners:
            each(kind, name, body)

    async def forget(self, kind: str, name: str) -> None:
        """Keep no longer, and tell at once."""
        self._do(f"no {kind}")
        del self.entries[kind, name]
        for each in self.listeners:
            each(kind, name, None)

    async def catch_up(self) -> None:
        """Note that it was asked for."""
        self.done.append("caught up")

    def _do(self, what: str) -> None:
        if self.failing:
            self.failing -= 1
            raise NotWrittenError
        self.done.append(what)


@pytest.fixture
def topics() -> Topics:
    """Give empty topics."""
    return Topics()


def both(topics: Topics) -> tuple[CompactedStore, KafkaLog]:
    """Give them as what they stand for."""
    return cast("CompactedStore", topics), cast("KafkaLog", topics)


async def test_a_cursor_is_kept_behind_its_page(
    topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the page is not acked it is tried again, and the cursor waits."""
    monkeypatch.setattr(source_state, "AGAIN_SECONDS", 0)
    cursors = KafkaCursors(*both(topics))
    topics.failing = 2

    await cursors.write(BATCH, "idp/logs", b"{}")

    assert ["facts", "cursor"] == topics.done
    assert b"{}" == await cursors.load("idp/logs")
    assert "caught up" == topics.done[-1]


async def test_a_resource_is_kept_behind_its_facts(topics: Topics) -> None:
    """A directory that was refused finds nothing of what it asked for."""
    resources = KafkaResources(*both(topics))
    topics.failing = 1

    with pytest.raises(NotWrittenError):
        await resources.write(BATCH, ROW, gone=False)
    before = await resources.read(BY_NAME, "ann@X")
    await resources.write(BATCH, ROW, gone=False)
    found = await resources.read(BY_NAME, "ann@X")
    await resources.write(BATCH, ROW, gone=True)

    assert ([], [("a/b", 1)], []) == (
        before, found, await resources.read(BY_NAME, "ann@X")
    )  # fmt: skip
    told = [each for each in topics.done if each != "caught up"]
    assert ["facts", "scim", "facts", "no scim"] == told


async def test_resources_are_there_after_a_start(topics: Topics) -> None:
    """Whoever comes later has what was kept before, and passes over what is broken."""
    topics.entries = {("scim", "x"): b"{", ("scim", "y"): b"[1]", ("scim", "z"): b"3"}
    await KafkaResources(*both(topics)).write(BATCH, ROW, gone=False)

    later = KafkaResources(*both(topics))

    assert [("a/b", 1)] == await later.read(BY_NAME, "Ann@x")


async def test_health_is_kept_by_process(topics: Topics) -> None:
    """One that could not be written is written the next time."""
    kept, _ = both(topics)
    keeper = KafkaKeeper(kept, "i0")
    await keeper.save("sources/", b"{}")
    topics.failing = 1

    with pytest.raises(NotWrittenError):
        await keeper.flush()
    await keeper.flush()
    await keeper.flush()

    assert ["health"] == topics.done
    assert b"{}" == await keeper.load("sources/")
    assert await KafkaKeeper(kept, "i1").load("sources/") is None
