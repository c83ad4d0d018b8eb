"""Every mapper: order and repetition have no say, a cut costs what it cuts, no raise.

The samples of each dialect are hand-made (`tests.generators.samples`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.model.records import DeadLetter, Record
from streams.model.times import SECOND
from streams.sources.catalogue import vendors
from streams.sources.guess import guess_bytes
from streams.sources.scim.scim import ScimRequest
from streams.sources.scim.scim import records as scim_records
from streams.stages.ingest.ingress import Origin, facts_of
from tests.generators.samples import DIALECTS, MAPPINGS, SCIM, Dialect, Events, as_lines
from tests.property.replays import NOW, facts, orders, stated

if TYPE_CHECKING:
    from agents_registry.facts import Fact

pytestmark = pytest.mark.property


def test_every_registered_dialect_has_samples() -> None:
    """Whoever adds a source or an example mapping adds its samples."""
    mapped = {f"mapping {file.stem}" for file in MAPPINGS.glob("*.yaml")}
    assert vendors().keys() | mapped <= DIALECTS.keys()


@pytest.mark.parametrize("name", DIALECTS)
def test_samples_are_read_as_what_they_are(name: str) -> None:
    """They make facts or accesses in every round, and other ones in each."""
    dialect = DIALECTS[name]
    first, second = (
        stated(dialect.source().records(dialect.write(dialect.make(n)))) for n in (0, 1)
    )
    assert first
    assert not first & second
    if not name.startswith("mapping"):
        guessed = guess_bytes(dialect.write(dialect.make(0)))
        assert name.partition(",")[0] == guessed


@pytest.mark.parametrize("name", DIALECTS)
def test_twice_reversed_and_shuffled_give_the_same_state(name: str) -> None:
    """The set of facts and the registry's table are those of one reading in order.

    Whether events come as lines or as one array has no say either.
    """
    dialect = DIALECTS[name]
    found = dialect.make(0) + dialect.make(1)

    def read(events: Events) -> list[Fact]:
        return facts(dialect.source().records(dialect.write(events)))

    once = read(found)
    assert set(once) == set(facts(dialect.source().records(orjson.dumps(found)))) or (
        not dialect.tells_its_end
    )
    expected = table(Registry.build(once), NOW)
    for order in orders(found):
        again = read(order)
        assert set(once) == set(again)
        assert expected == table(Registry.build(again), NOW)


def cuts(dialect: Dialect, *, first: int, every: int) -> None:
    """Tear events, the first one and the others at every so many bytes."""

    def read(data: bytes) -> list[Record]:
        return list(dialect.source().records(data))

    made = dialect.make(0)
    sound = dialect.write(made[:2])  # of a vault's log the two lines of a call
    kept = stated(read(sound))
    for number, event in enumerate(made[2:]):
        piece = dialect.write([event])
        whole = stated(read(sound + piece)) | stated(read(piece + b"\n" + sound))
        for cut in range(number % every, len(piece), every if number else first):
            head, tail = piece[:cut], piece[cut:]
            for data in (sound + head, head + b"\n" + sound, tail + sound):
                found = read(data)
                assert kept <= stated(found), data
                assert stated(found) <= whole or not dialect.tells_its_end, data
                letters = sum(isinstance(one, DeadLetter) for one in found)
                assert letters <= 2 or data.startswith(tail), data


@pytest.mark.long
@pytest.mark.parametrize("name", DIALECTS)
def test_a_cut_at_any_byte_costs_only_what_it_cuts(name: str) -> None:
    """What stands before the cut and behind it is read; nothing is made up.

    The cut ends the input, ends a line within it, or begins the input.
    """
    cuts(DIALECTS[name], first=1, every=61)


@pytest.mark.parametrize("name", DIALECTS)
def test_a_cut_costs_only_what_it_cuts(name: str) -> None:
    """The same at a few bytes."""
    cuts(DIALECTS[name], first=5, every=307)


@pytest.mark.parametrize("name", [n for n in DIALECTS if DIALECTS[n].write is as_lines])
def test_a_cut_array_keeps_the_events_before_the_cut(name: str) -> None:
    """The same in one document, which has no lines to go on with."""
    dialect = DIALECTS[name]
    made = dialect.make(0)
    data = orjson.dumps(made)
    for cut in range(0, len(data), 397):
        complete, end = [], 1
        for event in made:
            end += len(orjson.dumps(event))
            if end > cut:
                break
            complete.append(event)
            end += 1
        kept = stated(dialect.source().records(as_lines(complete)))
        assert kept <= stated(dialect.source().records(data[:cut])), cut


@pytest.mark.campaign
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", DIALECTS)
def test_a_cut_at_any_byte_of_any_event(name: str) -> None:
    """The same at each byte of every event."""
    cuts(DIALECTS[name], first=1, every=1)


def test_a_scim_request_cut_at_any_byte_changes_nothing() -> None:
    """A body that is no JSON is a dead letter; the next request is read."""
    for request in SCIM(0):
        for cut in range(len(request.body)):
            torn = ScimRequest(request.method, request.path, request.body[:cut])
            (letter,) = scim_records(torn)
            assert isinstance(letter, DeadLetter)
        assert scim_records(request)


@pytest.mark.parametrize(("sent", "lives"), [(4, True), (5, False), (8, False)])
def test_scim_requests_that_are_repeated_change_no_verdict(
    sent: int, *, lives: bool
) -> None:
    """A directory repeats what it got no answer to; their order is their meaning."""
    for times in (1, 2):
        requests = [one for one in SCIM(0)[:sent] for _ in range(times)]
        found = [
            fact
            for number, request in enumerate(requests)
            for record in scim_records(request)
            if not isinstance(record, DeadLetter)
            for fact in facts_of(
                record,
                Origin("directory", "realm", received_at=NOW + number * 60 * SECOND),
                fresh_id=str(number),
            )
        ]
        rows = table(Registry.build(found), 2 * NOW)
        assert [lives] == [
            row.allowed for row in rows if row.identifier.kind == "scim.user"
        ]
