"""Write what the server makes of the golden cases, a real vault's log among them.

Each golden case is played to the embedded engine; its facts and the model's answers
for every credential become a case of the conformance kit.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from agents_registry.facts import Cause, Node
from agents_registry.identifiers import VOCABULARY, Identifier, extend
from conformance.facts import EPOCH
from streams.apps.embedded import serve
from tests.conformance.export import (
    REASONS,
    dump,
    is_credential,
    seconds,
    written,
)
from tests.golden.engines import Case, EmbeddedEngine
from tests.integration.working import task_of
from tests.model import reasons_to_deny
from tests.standing import standing

if TYPE_CHECKING:
    from agents_registry.facts import Fact

REPOSITORY = Path(__file__).parents[2]
HEADER = (
    "# Written by tests/conformance/export.py: what the server makes of the events of\n"
    "# tests/golden/cases.\n"
)


async def recorded() -> str:
    """Give the file."""
    paths = sorted((REPOSITORY / "tests/golden/cases").glob("*.yaml"))
    return HEADER + dump({"cases": [await _case(Case.read(path)) for path in paths]})


async def _case(case: Case) -> dict[str, Any]:
    facts, vocabulary = await _played(case)
    stand = standing(facts)
    # Right after the last cause: later on most tokens of the vault expired anyway.
    last = [fact.at for fact in facts if isinstance(fact, Cause)]
    now = max(last, default=case.clock.now)
    names = list(dict.fromkeys(fact.node for fact in facts if isinstance(fact, Node)))
    asked = [name for name in names if is_credential(name)] or names

    def check(name: Identifier) -> dict[str, Any]:
        found = reasons_to_deny(stand, (name,), now=now, vocabulary=extend(vocabulary))
        reasons = sorted(REASONS.get(reason, reason) for reason in found)
        said: dict[str, Any] = {"deny": reasons} if reasons else {"allow": "full"}
        return {"check": str(name), **said}

    declared = {k: v for k, v in vocabulary.items() if k not in VOCABULARY}
    return {
        "name": case.path.stem.replace("_", " "),
        "why": case.plain["describe"],
        **({"vocabulary": declared} if declared else {}),
        "now": seconds(now - EPOCH),
        "facts": list(written(facts, EPOCH)),
        "checks": [check(name) for name in asked],
    }


async def _played(case: Case) -> tuple[list[Fact], dict[str, str]]:
    """Send a case to a server; give its log and its vocabulary."""
    clock = case.clock
    with TemporaryDirectory() as folder:
        settings = case.settings(Path(folder), REPOSITORY)
        async with task_of(
            lambda stop, told: serve(
                settings, stop=stop, started=told, clock=clock, fresh_id=clock.fresh_id
            )
        ) as served:
            await case.play(EmbeddedEngine(served), clock, REPOSITORY)
            store = served.stages.store
            facts: list[Fact] = []
            while len(facts) < store.end:
                facts += [one.fact for one in await store.facts(len(facts), 1000)]
            return facts, served.feed._vocabulary
