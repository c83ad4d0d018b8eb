"""Which agents use an account by credentials that hang on both, as the table tells."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from agents_registry.life import Reason
from agents_registry.lineage import (
    CREDENTIAL,
    MOST_PARENTS,
)
from agents_registry.parts import PartedDict
from streams.stages.access.agent_kinds import is_account, is_agent
from streams.stages.posture.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agents_registry.registry import Registry
    from agents_registry.steps import Steps

AT_ONCE: Final = 16  # credentials looked at until one is found that lives
_FOR_A_WHILE: Final = frozenset({Reason.SUSPENDED})


class AccountUsers:
    """Accounts with the agents that use them, and by which credentials.

    A credential that is suspended counts: it works again without a further fact.
    """

    def __init__(self) -> None:
        """Start with none; all are numbers of nodes of one table."""
        self._by: PartedDict[int, dict[int, dict[int, None]]] = PartedDict()
        self._accounts: PartedDict[int, dict[int, None]] = PartedDict()  # by agent
        self._standing: PartedDict[int, int] = PartedDict()

    def note(self, view: View, names: list[int]) -> list[int]:
        """Note what a credential hangs on; give the accounts that stand otherwise.

        Args:
            view: in which it was looked at.
            names: all of them.
        """
        lineage = view.registry.lineage
        if not all(lineage.flags[name] & CREDENTIAL for name in names):
            return []
        above = dict.fromkeys(
            up for name in names for up, _ in lineage.parents(name, MOST_PARENTS)
        )
        agents = [up for up in above if is_agent(lineage.kind(up))]
        lives = not _ended(view, names[0])
        changed = []
        for account in above if agents else ():
            if not is_account(lineage.kind(account)):
                continue
            users = self._by.setdefault(account, {})
            for agent in agents:
                by = users.setdefault(agent, {})
                self._accounts.setdefault(agent, {})[account] = None
                before = bool(by)
                for name in names:
                    by.pop(name, None)
                if lives:
                    by[names[0]] = None
                if bool(by) != before:
                    changed.append(account)
        return changed

    def is_used_by(self, names: list[int]) -> bool:
        """Whether an agent uses an account by a credential."""
        return any(name in self._accounts for name in names)

    def note_agent(self, names: list[int], standing: int) -> list[int]:
        """Note how an agent stands; give the accounts that it uses, if that is news."""
        changed: list[int] = []
        for name in names:
            accounts = self._accounts.get(name)
            if accounts and self._standing.get(name) != standing:
                self._standing[name] = standing
                changed += accounts
        return changed

    def of(self, registry: Registry, account: int, now: int) -> Steps[list[int]]:
        """Agents that use an account by a credential that lives."""
        users = self._by.get(account, {})
        found = []
        for agent, credentials in users.items():
            yield
            if (yield from _one_lives(registry, credentials, now)):
                found.append(agent)
        return found


def _one_lives(
    registry: Registry, credentials: dict[int, None], now: int
) -> Steps[bool]:
    """Whether one of some credentials lives; forget those that ended before it."""
    while some := list(islice(credentials, AT_ONCE)):
        view = View(registry)
        yield from view.collect(some, now, is_agent)
        for each in some:
            if not _ended(view, each):
                return True
            del credentials[each]
    return False


def _ended(view: View, node: int) -> bool:
    reasons: Iterable[Reason] = view.reasons(node)
    return not _FOR_A_WHILE.issuperset(reasons)
