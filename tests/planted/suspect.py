"""Run the properties on whatever core stands first on the path; say what was seen.

Started as a process of its own by `test_planted_bugs`, since the core that it meets
is a changed copy. Prints one JSON object: the number of examples it took, and the
complaint, or nulls.
"""

from __future__ import annotations

import json
import sys
from random import Random
from typing import TYPE_CHECKING

import agents_registry
from tests.property.agreement import TURNS
from tests.property.worlds import TOPICS, make

if TYPE_CHECKING:
    from collections.abc import Sequence


def first_complaint(
    seed: int, most: int, topics: Sequence[str]
) -> tuple[int, str] | None:
    """Give the number of the first example that a property complains of."""
    random = Random(seed)
    for number in range(1, most + 1):
        check = TURNS[number % len(TURNS)]
        topic, world = random.choice(topics), random.randrange(1 << 48)
        try:
            found = check(make(world, topic), world)
        except Exception as error:  # noqa: BLE001 - the changed core may do anything
            found = repr(error)
        if found:
            return number, f"{check.__name__}, {topic}, world {world}: {found}"
    return None


if __name__ == "__main__":
    seen = first_complaint(
        int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or list(TOPICS)
    )
    examples, said = seen or (None, None)
    core = agents_registry.__file__
    print(json.dumps({"core": core, "examples": examples, "complaint": said}))  # noqa: T201
