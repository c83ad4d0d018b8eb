"""What the model says to a case of the kit: the suite itself has to be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from agents_registry.facts import Fact, from_plain
from agents_registry.identifiers import Identifier, extend
from conformance.facts import span, time
from conformance.game import GENESIS
from tests.conformance.export import REASONS
from tests.model import reasons_to_deny
from tests.standing import standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conformance.cases import Case

# Reasons with a cause behind them: of a log that is gone they stand.
CAUSED: Final = {"revoked", "suspended", "not_before", "narrowed"}
LAPSES: Final = {"not_caught_up", "no_lease", "not_yet_applied", "unreadable"}
# What a table without facts may say beside a lapse, where labels may be missing.
DOUBTS: Final = {"no_living_owner"}


def wrong_checks(case: Case) -> Iterator[str]:
    """Yield the checks of a case that the model does not agree with."""
    told = Told(case)
    for step in case.steps or case.checks:
        if "check" not in step:
            told.take(step)
            continue
        if "now" in step:
            told.now = time(step["now"])
        want = set(step.get("deny", ()))
        if "unreadable" in want:
            continue
        found = told.reasons(step)
        if step.get("observed"):
            agrees = case.settings["mode"] == "observe"
        elif "allow" in step:
            agrees = not found
        elif want & LAPSES:
            agrees = want - LAPSES - DOUBTS <= found
        else:
            agrees = want == found
        if not agrees:
            yield f"{case.group}: {case.name}: {step}: the model finds {found}"


class Told:
    """The facts that a guard has applied by now, and the time.

    Attributes:
        now: ns, as if nobody had set the wall clock.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._facts: list[Fact] = [] if case.steps else self._read(case.facts)
        self._chunks: list[Fact] = []
        self._kept: list[list[Fact]] = []  # of logs that are gone
        self._genesis = GENESIS
        self._position = 0
        self._is_cut = False
        self.now = time(case.now)
        self._set = 0

    def take(self, step: dict[str, Any]) -> None:
        """Follow a step, as far as it brings facts or moves the wall clock."""
        [(name, content)] = step.items()
        log = self._case.facts
        if name == "beside":
            self.take(content)
        elif name == "sync":
            wanted = content if isinstance(content, dict) else {"to": content}
            self._meet(wanted.get("genesis", GENESIS))
            self._put(log[: wanted["to"]], wanted["to"])
        elif name == "prove" and isinstance(content, dict):
            self._is_cut |= content.get("end", self._position) < self._position
        elif name == "snapshot":
            start, stop = content["facts"]
            self._chunks += self._read(log[start:stop])
            if not content["more"]:
                self._meet(content.get("genesis", GENESIS))
                self._facts, self._chunks = self._chunks, []
                self._position = content.get("offset", stop)
        elif name in {"connect", "drop"}:
            self._chunks = []
        elif name == "delta" and content["from"] == self._position:
            indices = content.get("facts", range(content["from"], content["to"]))
            held = [log[i] for i in indices]
            self._put(held, content["to"], self._facts)
        elif name == "wait":
            self.now += span(content)
        elif name == "wall":
            self._set += span(content)

    def reasons(self, check: dict[str, Any]) -> set[str]:
        """Ask the model."""
        names = check["check"]
        names = names if isinstance(names, list) else [names]
        issued = check.get("issued_at")
        if not names:
            return {"unknown_credential"}
        asked: dict[str, Any] = {
            "issued_at": None if issued is None else time(issued),
            "chain": tuple(map(Identifier.parse, check.get("chain", ()))),
            "scope": check.get("scope"),
            "unknown": self._case.settings["unknown"],
            "vocabulary": extend(self._case.vocabulary),
        }

        def reasons(facts: list[Fact], now: int) -> set[str]:
            identifiers = tuple(map(Identifier.parse, names))
            told = reasons_to_deny(standing(facts), identifiers, now=now, **asked)
            return {REASONS.get(reason, reason) for reason in told}

        # Set back, the time is carried on.
        found = reasons(self._facts, self.now + max(0, self._set))
        for facts in self._kept:
            found |= reasons(facts, 0) & CAUSED
        return found

    def _meet(self, genesis: str) -> None:
        """Begin another log, or one whose end was lost: what denied denies on."""
        if genesis != self._genesis or self._is_cut:
            self._kept.append(self._facts)
        self._genesis, self._is_cut = genesis, False

    def _put(
        self, plain: list[dict[str, Any]], to: int, onto: list[Fact] | None = None
    ) -> None:
        try:
            self._facts = (onto or []) + self._read(plain)
        except ValueError:
            return  # nobody can read it: the message is refused as a whole
        self._position, self._chunks = to, []

    @staticmethod
    def _read(plain: list[dict[str, Any]]) -> list[Fact]:
        return [from_plain(dict(one)) for one in plain]
