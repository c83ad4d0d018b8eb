"""An audit chain that is verified page by page, for somebody who watches.

Each line goes through `ChainVerifier`, as with ``rescind audit verify``: what is said
to hold is what that took, line by line, and nothing else.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

from attrs import define, field

from schemas.codec import decode_fact
from streams.services.audit_heads import head_reader, public_key, thumbprint
from streams.stages.audit.chain import (
    BrokenChainError,
    IncompleteChainError,
    UnknownSignerError,
)
from streams.stages.audit.proof import ChainVerifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents_registry.steps import Steps
    from streams.stages.audit.chain import Head


__all__ = ["BrokenChainError", "ChainCheck", "CheckState", "key_id"]


def key_id(pem: str) -> str:
    """Thumbprint of a public key (PEM), as heads name their signer.

    Raises:
        ValueError: it is none.
    """
    return thumbprint(public_key(pem.encode()))


class CheckState(Enum):
    """How far a check is."""

    RUNNING = "running"
    HOLDS = "holds"
    INCOMPLETE = "incomplete"
    NO_KEY = "no key"
    BROKEN = "broken"


@define(eq=False)
class ChainCheck:
    """A check of one chain.

    Attributes:
        head: the signed head that the chain ended with when the check began.
        start: a head that was kept elsewhere, and behind which the check begins.
        kept: heads that were kept elsewhere, and which the chain must hold.
        own_key: the key is one that the person gave, and not the server's word.
        state: how it went.
        why: what did not fit.
        end: the signed head that the lines ended with.
        after: the entry behind which the next page begins.
        lines: entries and heads that were verified.
        bare: entries of them whose record was pruned, so that only hashes were left.
    """

    head: Head
    start: Head | None
    kept: tuple[Head, ...]
    own_key: bool
    _verifier: ChainVerifier
    state: CheckState = CheckState.RUNNING
    why: str = ""
    end: Head | None = None
    after: int = 0
    lines: int = 0
    bare: int = 0
    first: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.first = 1 if self.start is None else self.start.sequence + 1
        self.after = self.first - 1

    @classmethod
    def begin(
        cls,
        head: str,
        keys: Sequence[str],
        *,
        own_key: bool = False,
        kept: Sequence[str] = (),
        start: str | None = None,
    ) -> ChainCheck:
        """Begin a check.

        Args:
            head: the signed head that the chain ends with now.
            keys: public keys that may have signed heads (PEM).
            own_key: whoever asks has given them.
            kept: signed heads that were kept elsewhere.
            start: a signed head to begin behind, kept elsewhere too.

        Raises:
            BrokenChainError: a head is none, or signed by no such key.
            ValueError: a key cannot be read.
        """
        read_head = head_reader([public_key(key.encode()) for key in keys])
        last = read_head(head)
        behind = None if start is None else read_head(start)
        known = tuple(map(read_head, kept))
        verifier = ChainVerifier(read_head, decode_fact, [last, *known], behind)
        return cls(last, behind, known, own_key, verifier)

    @property
    def verified(self) -> int:
        """Return the last entry that was verified."""
        return self._verifier.sequence

    def take(self, lines: Sequence[Any], after: int | None) -> Steps[None]:
        """Verify the lines of a page; ``after`` is where the next one begins."""
        try:
            for line in lines:
                yield
                if self._is_before(line):
                    continue
                self._verifier.take(line)
                self.lines += 1
                self.bare += _is_bare(line)
            if after is None:
                self.end, self.state = self._verifier.end(), CheckState.HOLDS
            else:
                self.after = after
        except BrokenChainError as error:
            self.state, self.why = _state_of(error), str(error)

    def _is_before(self, line: Any) -> bool:
        """Whether a line stands in front of the head that the check begins behind."""
        if self.start is None or self.lines or not isinstance(line, dict):
            return False
        number = line.get("sequence", 0)
        return isinstance(number, int) and number <= self.start.sequence


def _is_bare(line: Any) -> bool:
    entry = line.get("entry")
    return bool(entry) and "fact_key" in entry and "value" not in line


def _state_of(error: BrokenChainError) -> CheckState:
    if isinstance(error, IncompleteChainError):
        return CheckState.INCOMPLETE
    if isinstance(error, UnknownSignerError):
        return CheckState.NO_KEY
    return CheckState.BROKEN
