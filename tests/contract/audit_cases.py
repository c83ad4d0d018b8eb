"""What each adapter of `AuditChain` must do: the same case for every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from schemas.codec import decode_fact
from schemas.entries import Act
from streams.ports.fact_log import FactLog, LogBatch
from streams.stages.audit.proof import ChainVerifier
from tests.contract.port_cases import NOW, ORIGIN, REALM, encoded
from tests.integration.serving import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.ports.findings_log import AuditChain
    from streams.stages.audit.chain import Head


@frozen
class Audited:
    """A log that is audited while it is written.

    Attributes:
        log: of facts and acts.
        reader: gives the chains as a process that has just begun has them.
        read_head: checks the signature of a head.
        entries: lists what is durable in the log: keys of facts, and ``act``.
    """

    log: FactLog
    reader: Callable[[], AuditChain]
    read_head: Callable[[str], Head]
    entries: Callable[[], Awaitable[list[str]]]

    async def paged(self, limit: int, *, anew: bool = False) -> list[Any]:
        """Read all pages, each at a process of its own where that is wanted."""
        found: list[Any] = []
        reader, after = self.reader(), 0
        while True:
            lines, more = await reader.page(after, limit)
            assert len(_entries(lines)) <= limit
            found += lines
            if more is None:
                return found
            after, reader = more, self.reader() if anew else reader


def _entries(lines: list[Any]) -> list[Any]:
    return [line for line in lines if "sequence" in line]


def _told(line: Any) -> str:
    return str(line["entry"].get("fact_key", "act"))


class AuditChainCases:
    """Contract of `AuditChain`."""

    async def test_a_chain_holds_the_log_and_can_be_read_on_anywhere(
        self, audited: Audited
    ) -> None:
        """Each fact and act once, in order, signed; and no realm has another's."""
        for name in ("a", "b"):
            act = Act(realm=REALM, at=NOW, actor="ann", action=name, facts=[])
            facts = encoded(audited.log, name)
            batch = LogBatch(name=name, origin=ORIGIN, facts=facts, acts=[act])
            await audited.log.append(batch)
        told = await audited.entries()

        async def whole() -> list[Any] | None:
            lines = await audited.paged(99)
            return lines if len(_entries(lines)) >= len(told) else None

        lines = await until(whole)
        assert [_told(each) for each in _entries(lines)] == told
        verifier = ChainVerifier(audited.read_head, decode_fact)
        for line in lines:
            verifier.take(line)
        verifier.end()
        assert _entries(lines) == _entries(await audited.paged(1))
        assert _entries(lines) == _entries(await audited.paged(4, anew=True))
        behind, more = await audited.reader().page(len(told), 9)
        assert ([], None) == (_entries(behind), more)
        assert ([], None) == await audited.reader().page(0, 9, "another")
        own, _ = await audited.reader().page(0, 99, REALM)
        assert _entries(lines) == _entries(own)
        last = await audited.reader().last_head(REALM)
        assert last is not None
        head = audited.read_head(last)
        assert (REALM, len(told)) == (head.realm, head.sequence)
        assert _entries(lines)[-1]["hash"] == head.hash
        assert await audited.reader().last_head("another") is None
