"""What ingress keeps beside the log comes after what it stands behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents_registry.facts import fact_key
from streams.ports.fact_log import Appended, LogBatch
from streams.services import ingest
from streams.services.cursors import KeptCursors
from streams.services.health_records import HealthRecords
from streams.services.ingest import Intake, until_written
from streams.services.intake import IntakeBatch, NotWrittenError
from streams.services.scim_resources import KeptResources
from streams.stages.ingest.admission import Entitlements
from streams.stages.ingest.ingress import Origin
from tests.unit.kept_bodies import BodiesInMemory

if TYPE_CHECKING:
    from streams.ports.keyed_store import KeyedStore

pytestmark = pytest.mark.unit

ROW = ("idp", "scim.user", "a/b", "Ann@x", None, True, 1, 2)
BATCH = IntakeBatch([], Origin("idp", "default", 1), Entitlements(()))


class LogInMemory:
    """Appends what stands behind the facts to a store, in the order of the port."""

    key = staticmethod(fact_key)

    def __init__(self, kept: BodiesInMemory) -> None:
        self.kept = kept

    async def append(self, batch: LogBatch, *, patient: bool = False) -> Appended:
        """Take facts in, or not."""

        async def attempt() -> None:
            self.kept.work("facts")
            for kind, name, body in batch.also:
                await self.kept.put(kind, name, body)

        await (until_written(attempt) if patient else attempt())
        return Appended(0, "")

    def written(self, realm: str) -> str:
        """No token."""
        return realm


@pytest.fixture
def kept() -> BodiesInMemory:
    """Give an empty store."""
    return BodiesInMemory()


def taking(kept: BodiesInMemory) -> tuple[KeyedStore, Intake]:
    """Give a store, and the way into a log behind which it is written."""
    return kept, Intake(LogInMemory(kept), lambda: "id")


async def test_a_cursor_is_kept_behind_its_page(
    kept: BodiesInMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the page is not durable it is tried again, and the cursor waits."""
    monkeypatch.setattr(ingest, "AGAIN_SECONDS", 0)
    cursors = KeptCursors(*taking(kept))
    kept.failing = 2

    await cursors.write(BATCH, "idp/logs", b"{}")

    assert ["facts", "cursor"] == kept.done
    assert b"{}" == await cursors.load("idp/logs")
    assert "caught up" == kept.done[-1]


async def test_a_resource_is_kept_behind_its_facts(kept: BodiesInMemory) -> None:
    """A directory that was refused finds nothing of what it asked for."""
    resources = KeptResources(*taking(kept))
    ann = "idp", "scim.user", "name", "ann@X"
    kept.failing = 1

    with pytest.raises(NotWrittenError):
        await resources.write(BATCH, ROW, gone=False)
    before = await resources.find(*ann)
    await resources.write(BATCH, ROW, gone=False)
    found = await resources.find(*ann)
    page = await resources.page("idp", "scim.user", 0, 10)
    await resources.write(BATCH, ROW, gone=True)

    assert (None, ROW[2:]) == (before, found)
    assert ([ROW[2:]], 1) == page
    assert await resources.find(*ann) is None
    told = [each for each in kept.done if each != "caught up"]
    assert ["facts", "scim", "facts", "no scim"] == told


async def test_resources_are_there_after_a_start(kept: BodiesInMemory) -> None:
    """Whoever comes later has what was kept before, and passes over what is broken."""
    for name, body in (("x", b"{"), ("y", b"[1]"), ("z", b"3")):
        await kept.put("scim", name, body)
    await KeptResources(*taking(kept)).write(BATCH, ROW, gone=False)

    later = KeptResources(*taking(kept))

    assert ROW[2:] == await later.find("idp", "scim.user", "name", "Ann@x")


async def test_health_is_kept_by_process(kept: BodiesInMemory) -> None:
    """One that could not be written is written the next time."""
    records = HealthRecords(kept, "i0")
    await records.save("sources/", b"{}")
    kept.failing = 1

    with pytest.raises(NotWrittenError):
        await records.flush()
    await records.flush()
    await records.flush()

    other = HealthRecords(kept, "i1")
    assert ["health"] == kept.done
    assert b"{}" == await records.load("sources/")
    assert await other.load("sources/") is None
    assert [b"{}"] == other.of_others("sources/")
    assert [] == records.of_others("sources/")


async def test_the_only_process_writes_its_health_at_once(kept: BodiesInMemory) -> None:
    """It has nobody to tell what it asked a transmitter."""
    records = HealthRecords(kept)

    await records.save("idp", b"{}")
    await records.asked("idp", "state")

    assert ["health"] == kept.done
    assert not await records.asked_elsewhere("idp", "state")
    assert b"{}" == await HealthRecords(kept).load("idp")
