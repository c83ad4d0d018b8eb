"""The reader of shared tables in Go, held against the rules as the one in Python is.

``python -m tests.integration.go_shared --operations 1000000 -- PROGRAM`` runs many.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from agents_registry.life import Reason
from conformance.drivers import Program
from tests.property.agreement import LENIENT
from tests.property.shared_tables import Sharing, campaign
from tests.property.worlds import EVERY_TOPIC

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

    from agents_registry.verdict import Judgement
    from conformance.drivers import Driver
    from tests.property.worlds import Question, World

POLICIES = {False: {"jwt.jti": "allow_if_principal_known"}, True: LENIENT}
NO_VERDICT = "not_caught_up"


class GoCounts:
    """What a program was asked."""

    checks = 0
    allowed = 0
    torn = 0


class GoSharing(Sharing):
    """A table that a program reads, too, also while it is written."""

    def __init__(
        self,
        program: Driver,
        counts: GoCounts,
        world: World,
        random: Random,
        folder: Path,
    ) -> None:
        self._program, self._counts = program, counts
        super().__init__(world, random, folder)

    def written(self) -> None:
        """Have the program read the file, by both policies."""
        super().written()
        for lenient, unknown in POLICIES.items():
            reply = self._program.ask({
                "do": "open", "lenient": lenient, "unknown": unknown, "clock": 0,
                "path": str(self.writer.path),
            })  # fmt: skip
            assert "trouble" not in reply, reply

    def hold_others(
        self, question: Question, right: list[Judgement], *, torn: bool
    ) -> None:
        """Ask the program; no verdict is one only while the table is written."""
        given = self._program.ask({
            "do": "check", "lenient": question.lenient, "clock": question.now,
            "names": list(map(str, question.identifiers)),
            "chain": list(map(str, question.chain)),
            "issued": question.issued_at, "scope": question.scope or "",
        })  # fmt: skip
        counts = self._counts
        counts.checks += 1
        counts.allowed += given["allowed"]
        if torn and given["reason"] == NO_VERDICT:
            counts.torn += 1
        elif given not in list(map(_told, right)):
            self.complaint = f"{question}\nGo: {given}\n{right}\n{self.facts}"


def _told(judged: Judgement) -> dict[str, Any]:
    """Answer of the program that gives a verdict."""
    reply: dict[str, Any] = {"allowed": judged.allowed, "reason": judged.reason.value}
    # That owners are dead has no single cause in Go.
    named = judged.cause and judged.reason is not Reason.NO_LIVING_OWNER
    return reply | {"cause": judged.cause.fact_id if named and judged.cause else None}


def compare(
    program: Driver, seed: int, operations: int, *topics: str
) -> tuple[int, GoCounts, str | None]:
    """Go through random worlds.

    Returns:
        The steps, what the program was asked, a complaint.
    """
    counts = GoCounts()
    taken, _, complaint = campaign(
        seed,
        operations,
        *(topics or EVERY_TOPIC),
        sharing_of=partial(GoSharing, program, counts),
    )
    return taken, counts, complaint


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--topic", action="append", default=[])
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    with Program(options.program) as program:
        taken, counts, complaint = compare(
            program, options.seed, options.operations, *options.topic
        )
    sys.stdout.write(
        f"{taken} operations, {counts.checks} checks of the program, {counts.allowed}"
        f" allowed, {counts.torn} without a verdict amid writes\n"
    )
    sys.exit(complaint)


if __name__ == "__main__":
    main()
