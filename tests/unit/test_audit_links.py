"""A link of the audit fits into a record, whatever lies in the log of facts."""

from __future__ import annotations

import pytest

from schemas.codec import decode_fact
from streams.engines.kafka.audit.chains import ChainLink, Chains, line_of
from streams.engines.kafka.audit.records import link_record, read_audit
from streams.services.intake import MOST_FACT_BYTES
from streams.stages.audit.chain import BrokenChainError, Head
from streams.stages.audit.proof import ChainVerifier

pytestmark = pytest.mark.unit

KEY = b"default/node/00/1/2"
LARGE = b"x" * (MOST_FACT_BYTES + 1)


def linked(value: bytes) -> ChainLink:
    """Give the link of one record, as it is read back."""
    link = Chains("g", 0).link(0, KEY, value)
    assert link is not None
    read = read_audit(link_record(link).value)
    assert isinstance(read, ChainLink)
    return read


def verify(link: ChainLink) -> None:
    """Verify a chain of one link."""

    def no_head(_: str) -> Head:
        raise AssertionError

    ChainVerifier(no_head, decode_fact).take(line_of(link))


@pytest.mark.parametrize("value", [LARGE, b"nonsense", b""], ids=["large", "bad", ""])
def test_what_cannot_be_read_is_chained_by_its_hash(value: bytes) -> None:
    """A record of the largest size gives a link that the broker takes."""
    link = linked(value)

    assert len(link_record(link).value or b"") < MOST_FACT_BYTES
    verify(link)


def test_another_hash_of_it_is_seen() -> None:
    """The bytes are gone; what they were is still said."""
    link = linked(LARGE)

    with pytest.raises(BrokenChainError, match="changed"):
        verify(link._replace(value_hash=linked(b"other").value_hash))
    with pytest.raises(BrokenChainError, match="changed"):
        verify(link._replace(value=b"other"))
