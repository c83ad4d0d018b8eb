"""Whether the keys of packed facts are those of what the facts say.

A key stands beside its value, and nothing but the value says what it has to be. Who
takes a fact for known by its key makes sure of that: a revocation that is taken for
another fact would be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents_registry.facts import HOUR, fact_id
from schemas.codec import decode_fact
from schemas.errors import SchemaError
from streams.engines.embedded.fact_block import BlockError, unpack
from streams.engines.embedded.short_rows import HOURS, ID, KINDS, LEAST

if TYPE_CHECKING:
    from agents_registry.facts import Fact
    from streams.engines.embedded.fact_block import FactBlock, PlacedFact


def proven_fact(key: bytes, value: bytes) -> Fact:
    """Fact of a record, whose key is the one given.

    Args:
        key: as a block has it.
        value: record of the log.

    Raises:
        BlockError: the record has another key, or cannot be read.
    """
    try:
        fact = decode_fact(value)
    except SchemaError as error:
        raise BlockError("a block has a fact that cannot be read") from error
    hour, kind = int.from_bytes(key[LEAST - HOURS : LEAST], "big"), KINDS[key[0]]
    said = kind, key[1 : 1 + ID], hour, key[LEAST:]
    at, ingress = fact.received_at // HOUR, fact.ingress_key.encode()
    if said != (fact.NAME, fact_id(fact), at, ingress):
        raise BlockError("a block has a fact with the key of another one")
    return fact


def proven_facts(block: FactBlock) -> dict[int, PlacedFact]:
    """Facts of a block by their places, with the keys that they were written with.

    Raises:
        BlockError: it is none, or was changed.
    """
    facts = unpack(block)
    if not block.is_summed:
        for each in facts.values():
            proven_fact(*each)
    return facts
