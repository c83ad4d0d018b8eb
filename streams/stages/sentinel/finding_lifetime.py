"""Findings that tell of a state: they are open as long as it lasts.

Whoever found it knows when it is over, and says so by a signal: a source speaks again,
a stream flows, all guards have applied a cause, a vault is rid of a lease. What was
leaked, or was not revoked, is over once its name is denied for good. Where nobody is
left to say so (a source was taken out, an event named nobody) `FORGOTTEN` closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents_registry.flaws import finding_flaws
from agents_registry.identifiers import ATTRIBUTE
from agents_registry.life import Reason, nothing_ends
from agents_registry.lineage import NONE
from streams.model.findings import LASTING, POSTURE, FindingKind
from streams.model.times import DAY

if TYPE_CHECKING:
    from agents_registry.identifiers import Identifier
    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

FORGOTTEN: Final = 30 * DAY
OF_NAMES: Final = (FindingKind.LEAK, FindingKind.REVOCATION_NOT_APPLIED)
_FOR_GOOD: Final = frozenset({Reason.REVOKED, Reason.NOT_BEFORE, Reason.EXPIRED})
# What the vault cannot revoke lives on behind it, whoever denies the lease.
_ELSEWHERE: Final = frozenset({"vault.lease", "vault.lease_hmac"})


def longest_silence(kind: FindingKind, silence: int) -> int | None:
    """Time for which a finding may be without news (ns); None: for ever.

    Args:
        kind: of the finding.
        silence: what closes a finding on something that happened (ns).
    """
    if kind in POSTURE:
        return None
    return max(silence, FORGOTTEN) if kind in LASTING else silence


def denied_for_good(registry: Registry, name: Identifier, now: int) -> Steps[bool]:
    """Whether a name is dead, and not for as long as it is suspended.

    A value that is looked up is no name: posture ends what is told of it.
    """
    if name.kind.startswith(ATTRIBUTE):
        return False
    node = registry.lineage.find(name)
    if node == NONE or name.kind in _ELSEWHERE or nothing_ends(registry, (node,), now):
        return False
    flaws = yield from finding_flaws(registry, name, now)
    return any(flaw.reason in _FOR_GOOD for flaw in flaws)
