"""Any fact survives the wire, and no bytes at all crash the reader."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents_registry.facts import (
    FACTS,
    Cause,
    Effect,
    Fact,
    LabelSet,
    Reach,
    Relation,
    fact_key,
    from_plain,
    to_plain,
)
from agents_registry.identifiers import (
    ATTRIBUTE,
    MAX_VALUE_BYTES,
    VOCABULARY,
    Identifier,
)
from schemas.codec import (
    HEADER,
    MAGIC,
    bundled,
    decode_fact,
    encode_fact,
    fact_of,
    published,
)
from schemas.errors import SchemaError

pytestmark = pytest.mark.property

LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
IDENTIFIERS = st.builds(
    Identifier,
    st.sampled_from([*VOCABULARY, "attribute.email"]),
    TEXTS.filter(lambda value: 0 < len(value.encode()) <= MAX_VALUE_BYTES),
)
BY_TYPE: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "int": LONGS,
    "bool": st.booleans(),
    "Identifier": IDENTIFIERS,
    "tuple[Identifier, ...]": st.lists(IDENTIFIERS, max_size=4).map(tuple),
    "tuple[str, ...]": st.lists(TEXTS, max_size=4).map(tuple),
    "Relation": st.sampled_from(Relation),
    "Effect": st.sampled_from(Effect),
    "Reach": st.sampled_from(Reach),
}


def any_of(kind: type[Fact]) -> st.SearchStrategy[Fact]:
    """Give facts of one kind with any value that its annotations allow."""
    values = {}
    for a in attrs.fields(kind):
        name, _, none = str(a.type).partition(" | ")
        values[a.name] = st.none() | BY_TYPE[name] if none else BY_TYPE[name]
    makers: dict[type[Fact], Any] = {Cause: limited, LabelSet: labelled}
    return st.builds(makers.get(kind, kind), **values)


def labelled(**values: Any) -> LabelSet:
    """Make labels of any names."""
    names: tuple[Identifier, ...] = values.pop("labels")
    labels = (Identifier(f"label.{name.kind}", name.value) for name in names)
    return LabelSet(labels=tuple(labels), **values)


def limited(**values: Any) -> Cause:
    """Make a cause of any effect; a limit that it cannot have is left out."""
    kinds = tuple(kind.replace(":", "") or "kind" for kind in values.pop("kinds"))
    where: tuple[Identifier, ...] = values.pop("where")
    until, plain = values.pop("until"), Cause(**values)
    if plain.effect not in (Effect.SUSPEND, Effect.NARROW):
        return plain
    if plain.reach is Reach.SELF:
        return attrs.evolve(plain, until=until)
    names = (name for name in where if not name.kind.startswith(ATTRIBUTE))
    owners = [Identifier("owner.of", f"{name.kind}:x") for name in where[:1]]
    where = (*names, *owners)
    target = random_owner(values["event_id"]) or plain.target
    return attrs.evolve(plain, until=until, kinds=kinds, where=where, target=target)


def random_owner(text: str | None) -> Identifier | None:
    """Give an owner as a target, for some texts."""
    return Identifier("owner.of", "person.id:x") if text and len(text) % 2 else None


# A loaded machine makes no test fail.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ANY_FACT = st.sampled_from(list(FACTS.values())).flatmap(any_of)


@unhurried
@given(ANY_FACT)
def test_a_fact_comes_back_as_it_was(fact: Fact) -> None:
    """Equal in every field, and so with the same key."""
    read = decode_fact(encode_fact(fact))

    assert fact == read
    assert fact_key("realm", fact) == fact_key("realm", read)


@unhurried
@given(ANY_FACT)
def test_the_wire_and_the_plain_form_agree(fact: Fact) -> None:
    """Avro and JSON feeds give a guard the same fact."""
    assert decode_fact(encode_fact(fact)) == from_plain(to_plain(fact))


def slowly(data: bytes) -> Fact | None:
    """Read with the generic reader alone; None for what it refuses."""
    try:
        return fact_of(bundled().decode(data))
    except SchemaError:
        return None


@unhurried
@given(ANY_FACT, st.data())
def test_the_compiled_readers_agree_with_the_generic_one(
    fact: Fact, data: st.DataObject
) -> None:
    """A compiled reader gives what the generic one gives, or leaves it to that."""
    value = bytearray(encode_fact(fact))
    assert fact == slowly(bytes(value))
    assert bundled().fact(bytes(value)) in (fact, None)

    place = data.draw(st.integers(0, len(value) - 1))
    value[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(value)))
    for case in (value, value[:cut], value + value[cut:]):
        read = bundled().fact(bytes(case))
        assert read is None or read == slowly(bytes(case))


@unhurried
@given(ANY_FACT, st.data())
def test_damage_is_an_error_or_another_fact(fact: Fact, data: st.DataObject) -> None:
    """Flipped, cut and lengthened bytes raise nothing but SchemaError."""
    damaged = bytearray(encode_fact(fact))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(
            st.integers(0, 255)
        )
    cut = data.draw(st.integers(0, len(damaged)))

    for case in (damaged, damaged[:cut], damaged + damaged[cut:]):
        with suppress(SchemaError):
            assert isinstance(decode_fact(bytes(case)), Fact)


@unhurried
@given(st.sampled_from(sorted(published())), st.binary(max_size=200))
def test_foreign_bytes_are_an_error(schema_id: int, body: bytes) -> None:
    """Whatever stands behind a frame, the reader lives."""
    with suppress(SchemaError):
        assert isinstance(decode_fact(HEADER.pack(MAGIC, schema_id) + body), Fact)
