"""Acknowledgements: what is said of one, and how they go with their findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from schemas.entries import Act
from streams.model.findings import Severity
from streams.ports.keyed_store import ACKNOWLEDGEMENT, KeyedStore
from streams.services.acknowledgements import LOOKED_AT, KeptAcknowledgements
from streams.stages.notify.acknowledgements import Acknowledgement, note_of
from tests.unit.test_finding_search import FINDING, NOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.ports.keyed_store import Put

pytestmark = pytest.mark.unit

GIVEN = Acknowledgement(finding="f", by="ann", at=NOW, note="on it", severity=4)
ACT = Act(realm="r", at=NOW, actor="ann", action="acknowledge")


class Kept(KeyedStore):
    """Bodies in memory."""

    async def catch_up(self) -> None:
        """Be there."""

    async def put(
        self, kind: str, name: str, body: bytes | None, *, patient: bool = False
    ) -> None:
        """Keep a body."""
        del patient
        self._hear(kind, name, body)


class Log:
    """Takes acts, and keeps what comes with them."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.acts: list[Act] = []

    async def record_act(self, act: Act, also: Sequence[Put] = ()) -> None:
        """Take an act."""
        self.acts.append(act)
        for put in also:
            await self.kept.put(*put)


def made() -> tuple[KeptAcknowledgements, Kept, Log]:
    """Make the service on memory."""
    kept = Kept()
    log: Any = Log(kept)
    return KeptAcknowledgements(kept, log), kept, log


def test_a_mark_says_whether_the_finding_got_worse_since() -> None:
    """By its severity; the time is for people."""
    assert GIVEN.mark(FINDING) == {
        "by": "ann", "at": "2027-01-15T08:00:00Z", "note": "on it", "worse": False,
    }  # fmt: skip
    worse = attrs.evolve(FINDING, severity=Severity.CRITICAL)
    assert GIVEN.mark(worse)["worse"]


def test_a_note_is_a_short_text_or_nothing() -> None:
    """Nothing else may be said."""
    assert note_of({}) == note_of({"note": None}) == ""
    assert note_of({"note": " on it "}) == "on it"
    for wrong in ({"note": 7}, {"note": "x" * 501}, {"by": "me"}):
        with pytest.raises(ValueError, match=r"note|unknown"):
            note_of(wrong)


async def test_each_change_is_one_act() -> None:
    """What is kept and its audit line go together."""
    acknowledged, _, log = made()
    assert acknowledged.of("f") is None
    await acknowledged.put(GIVEN, ACT)
    assert acknowledged.of("f") == GIVEN
    await acknowledged.drop("f", ACT)
    assert acknowledged.of("f") is None
    assert log.acts == [ACT, ACT]


async def test_what_a_newer_version_wrote_counts_for_nothing() -> None:
    """Rather show the finding as new."""
    acknowledged, kept, _ = made()
    for body in (b"{", b'{"finding":"f","who":"x"}', b"[]"):
        await kept.put(ACKNOWLEDGEMENT, "f", body)
        assert acknowledged.of("f") is None


async def test_they_go_with_their_findings_a_few_at_a_time() -> None:
    """Every one is looked at in turn, however many there are."""
    acknowledged, kept, _ = made()
    for number in range(3 * LOOKED_AT):
        given = attrs.evolve(GIVEN, finding=f"f{number:03}")
        await acknowledged.put(given, ACT)
    asked: list[str] = []

    async def is_there(name: str) -> bool:
        asked.append(name)
        return name >= "f030"

    for _ in range(5):
        await acknowledged.forget_gone(is_there)

    assert min(kept.items(ACKNOWLEDGEMENT)) == "f030"
    assert len(kept.items(ACKNOWLEDGEMENT)) == 3 * LOOKED_AT - 30
    assert len(asked) <= 5 * LOOKED_AT
