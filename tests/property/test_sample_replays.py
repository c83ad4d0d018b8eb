"""Our samples, repeated, reordered and cut: the same state, and never an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from agents_registry.inventory import table
from agents_registry.registry import Registry
from streams.model.records import DeadLetter
from streams.sources.reading.envelope import Event, events
from tests.generators.samples import as_lines
from tests.golden.answers import ANSWERS, SAMPLES, reader
from tests.property.replays import NOW, facts, orders, stated

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from tests.generators.samples import Events

pytestmark = pytest.mark.property

READ = [
    name
    for name, answer in ANSWERS.items()
    if answer["source"] != "scim" and not name.endswith(".log")  # lines of text
]


@pytest.mark.parametrize("name", READ)
def test_twice_reversed_and_shuffled_give_the_same_state(name: str) -> None:
    """The set of facts and the registry's table are those of the file."""
    data, source = (SAMPLES / name).read_bytes(), ANSWERS[name]["source"]
    found = [item.body for item in events(data, "") if isinstance(item, Event)]

    def read(bodies: Events) -> list[Fact]:
        return facts(reader(source).records(as_lines(bodies)))

    once = facts(reader(source).records(data))
    expected = table(Registry.build(once), NOW)
    for order in orders(found):
        again = read(order)
        assert set(once) == set(again)
        assert expected == table(Registry.build(again), NOW)


@pytest.mark.parametrize("name", READ)
def test_lines_and_a_dense_document_say_the_same(name: str) -> None:
    """Blanks and line breaks between the events have no say."""
    data, source = (SAMPLES / name).read_bytes(), ANSWERS[name]["source"]
    if not name.endswith((".json", ".jsonl")):
        data = as_lines(
            [one.body for one in events(data, "") if isinstance(one, Event)]
        )
    dense = b"\n".join(
        orjson.dumps(orjson.loads(one))
        for one in ([data] if name.endswith(".json") else data.splitlines())
    )
    written, again = (list(reader(source).records(one)) for one in (data, dense))
    assert stated(written) == stated(again)
    assert len(written) == len(again)


@pytest.mark.parametrize("name", READ)
def test_a_cut_never_raises_and_never_lies_about_its_place(name: str) -> None:
    """At every 401th byte; both halves are read, whatever form the file has."""
    data, source = (SAMPLES / name).read_bytes(), ANSWERS[name]["source"]
    whole = stated(reader(source).records(data))
    for cut in range(0, len(data), 401):
        for half in (data[:cut], data[cut:]):
            found = list(reader(source).records(half))
            for record in found:
                assert record.offset <= len(half)
            letters = [one for one in found if isinstance(one, DeadLetter)]
            assert letters or stated(found) <= whole
